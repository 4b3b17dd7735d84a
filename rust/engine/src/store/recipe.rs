//! A large blob's recipe: the tree of nodes that lists its chunks, built as the chunks come.
//!
//! Nodes are cut by content like the blob itself, so that a changed megabyte rewrites one path of the tree, not the list.

use crate::digest::Digest;
use crate::format::node::{self, Node, NodeRecord as Record};
use crate::{Error, Result};

/// A finished tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tree {
    pub(crate) root: Digest,
    pub(crate) height: u8,
    pub(crate) size: u64,
    pub(crate) chunks: u64,
}

/// Collects records; gives each node that is complete to `emit`, which stores it and returns its digest.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    levels: Vec<Level>,
    size: u64,
    chunks: u64,
}

#[derive(Debug, Default)]
struct Level {
    records: Vec<Record>,
    emitted: u64,
    last: Option<Digest>,
}

impl Builder {
    /// The bytes listed so far.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// The chunks listed so far.
    pub(crate) fn chunks(&self) -> u64 {
        self.chunks
    }

    /// List one more chunk.
    pub(crate) fn push(
        &mut self,
        digest: Digest,
        len: u64,
        emit: &mut dyn FnMut(&[u8]) -> Result<Digest>,
    ) -> Result<()> {
        self.size = self.size.checked_add(len).ok_or_else(too_large)?;
        self.chunks = self.chunks.checked_add(1).ok_or_else(too_large)?;
        self.push_at(0, Record { digest, len }, emit)
    }

    fn push_at(&mut self, height: usize, record: Record, emit: &mut dyn FnMut(&[u8]) -> Result<Digest>) -> Result<()> {
        while self.levels.len() <= height {
            self.levels.push(Level::default());
        }
        let Some(level) = self.levels.get_mut(height) else { return Err(too_large()) };
        level.records.push(record);
        if node::ends(level.records.len(), &record.digest) { self.flush(height, emit) } else { Ok(()) }
    }

    fn flush(&mut self, height: usize, emit: &mut dyn FnMut(&[u8]) -> Result<Digest>) -> Result<()> {
        let Some(level) = self.levels.get_mut(height) else { return Ok(()) };
        let records = std::mem::take(&mut level.records);
        let len = records.iter().try_fold(0_u64, |sum, record| sum.checked_add(record.len)).ok_or_else(too_large)?;
        let mut bytes = Vec::new();
        let tall = u8::try_from(height).map_err(|_| too_large())?;
        Node { height: tall, records }.encode(&mut bytes)?;
        let digest = emit(&bytes)?;
        level.emitted = level.emitted.saturating_add(1);
        level.last = Some(digest);
        self.push_at(height.saturating_add(1), Record { digest, len }, emit)
    }

    /// Close every level up to the one node that is the root.
    pub(crate) fn finish(mut self, emit: &mut dyn FnMut(&[u8]) -> Result<Digest>) -> Result<Tree> {
        let mut height = 0_usize;
        loop {
            let open = self.levels.get(height).is_some_and(|level| !level.records.is_empty());
            if open {
                self.flush(height, emit)?;
            }
            match self.levels.get(height) {
                Some(Level { emitted: 1, last: Some(root), .. }) => {
                    let height = u8::try_from(height).map_err(|_| too_large())?;
                    return Ok(Tree { root: *root, height, size: self.size, chunks: self.chunks });
                }
                Some(_) => height = height.saturating_add(1),
                None => return Err(Error::invalid("empty-recipe", "a recipe needs at least one chunk")),
            }
        }
    }
}

fn too_large() -> Error {
    Error::invalid("too-large", "the blob is larger than a recipe can describe")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest;
    use std::collections::HashMap;

    fn build(chunks: &[(Digest, u64)]) -> (Tree, HashMap<Digest, Vec<u8>>) {
        let mut nodes = HashMap::new();
        let mut emit = |bytes: &[u8]| {
            let digest = digest::hash_node(bytes);
            nodes.insert(digest, bytes.to_vec());
            Ok(digest)
        };
        let mut builder = Builder::default();
        for (digest, len) in chunks {
            builder.push(*digest, *len, &mut emit).unwrap();
        }
        let tree = builder.finish(&mut emit).unwrap();
        (tree, nodes)
    }

    fn leaves(nodes: &HashMap<Digest, Vec<u8>>, at: Digest, out: &mut Vec<(Digest, u64)>) -> u8 {
        let node = Node::decode(&nodes[&at]).unwrap();
        for record in &node.records {
            if node.height == 0 {
                out.push((record.digest, record.len));
            } else {
                let mut below = Vec::new();
                assert_eq!(leaves(nodes, record.digest, &mut below) + 1, node.height);
                assert_eq!(below.iter().map(|(_, len)| len).sum::<u64>(), record.len);
                out.append(&mut below);
            }
        }
        node.height
    }

    fn chunk(n: u32) -> (Digest, u64) {
        (digest::hash(&n.to_le_bytes()), 1 + u64::from(n % 1000))
    }

    #[test]
    fn a_recipe_lists_every_chunk_in_order_at_any_length() {
        for count in [1, 2, 15, 16, 17, 127, 128, 129, 511, 512, 513, 5_000, 40_000] {
            let chunks: Vec<_> = (0..count).map(chunk).collect();
            let (tree, nodes) = build(&chunks);
            let mut found = Vec::new();
            assert_eq!(leaves(&nodes, tree.root, &mut found), tree.height);
            assert_eq!(found, chunks);
            assert_eq!(tree.chunks, u64::from(count));
        }
    }

    #[test]
    fn a_recipe_of_equal_chunks_ends() {
        let chunks = vec![chunk(7); 100_000];
        let (tree, nodes) = build(&chunks);
        let mut found = Vec::new();
        leaves(&nodes, tree.root, &mut found);
        assert_eq!(found.len(), 100_000);
    }

    #[test]
    fn an_inserted_chunk_rewrites_one_path_of_the_recipe() {
        let mut chunks: Vec<_> = (0..16_000).map(chunk).collect();
        let (_, before) = build(&chunks);
        chunks.insert(8_000, chunk(1_000_000));
        let (_, after) = build(&chunks);
        let fresh: usize =
            after.iter().filter(|(digest, _)| !before.contains_key(*digest)).map(|(_, bytes)| bytes.len()).sum();
        assert!(fresh < 60_000, "{fresh} bytes of nodes are new");
    }
}
