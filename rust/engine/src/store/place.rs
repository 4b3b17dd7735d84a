//! Chunks on their way into a stage: which are known, which are stored, and the recipe that lists them.

use std::borrow::Cow;
use std::sync::Mutex;

use super::Inner;
use super::batch::{Place, Row};
use super::known::Known;
use super::pipeline::lock;
use super::recipe::{Builder, Tree};
use super::runs::{PackRef, Runs};
use super::stage::{Placed, Stage, Write};
use crate::codec::{Codec, Encoded};
use crate::digest::{self, Digest};
use crate::format::frame::{FRAME_HEADER, FrameHeader};
use crate::format::{Entry, FrameKind};
use crate::id::WriterId;
use crate::{Error, Result};

/// A chunk that has been hashed, looked up and, where it is new, encoded.
pub(crate) enum Ready<'a> {
    /// An entry of the index that can be leaned on.
    Known(Entry),
    /// New to the store.
    Fresh(FrameHeader, Encoded<'a>),
}

/// A large blob, chunk by chunk.
#[derive(Debug, Default)]
pub(crate) struct Large {
    pub(crate) builder: Builder,
    runs: Runs,
    stored: u64,
}

/// Where chunks are placed: one batch's stage.
pub(crate) struct Placer<'b> {
    pub(crate) store: &'b Inner,
    pub(crate) writer: WriterId,
    pub(crate) stage: &'b Mutex<Stage>,
    pub(crate) known: &'b Known,
}

impl Placer<'_> {
    /// Hash, look up and encode chunks of a large blob. Runs on any thread.
    pub(crate) fn prepare<'a>(&self, chunks: &[&'a [u8]]) -> Result<Vec<Ready<'a>>> {
        let digests: Vec<Digest> = chunks.iter().map(|chunk| digest::hash(chunk)).collect();
        let known = self.known.chunks(self.store, FrameKind::Chunk, &digests)?;
        let mut encoder = self.store.encoder()?;
        digests
            .iter()
            .zip(known)
            .zip(chunks)
            .map(|((digest, known), chunk)| match known {
                Some(entry) => Ok(Ready::Known(entry)),
                None => fresh(*digest, chunk, &mut encoder),
            })
            .collect()
    }

    /// Place a blob that is one chunk and new.
    pub(crate) fn whole<'a>(&self, ready: Ready<'a>, writes: &mut Vec<Write<'a>>) -> Result<Row> {
        match ready {
            Ready::Known(entry) => {
                self.known.lean(&entry);
                self.known.lean_on_blob(entry.digest);
                let runs = super::batch::one_run(PackRef::Known(entry.pack), entry.offset, frame_len(&entry));
                Ok(Row {
                    key: entry.digest,
                    size: u64::from(entry.raw),
                    stored: 0,
                    existed: true,
                    root: None,
                    runs: Place::Runs(runs),
                })
            }
            Ready::Fresh(header, encoded) => {
                let mut stage = lock(self.stage);
                let key = header.digest;
                let size = u64::from(header.raw);
                if stage.ledger.find_root(&key)?.is_some() {
                    return Ok(Row { key, size, stored: 0, existed: true, root: None, runs: Place::Own });
                }
                let placed = stage.place(self.store, self.writer, &header, encoded, true, writes)?;
                Ok(Row { key, size, stored: placed.frame_len(), existed: false, root: None, runs: Place::Own })
            }
        }
    }

    /// Place the next chunk of a large blob.
    pub(crate) fn chunk<'a>(&self, large: &mut Large, ready: Ready<'a>, writes: &mut Vec<Write<'a>>) -> Result<()> {
        let mut stage = lock(self.stage);
        let (digest, len) = match ready {
            Ready::Known(entry) => {
                self.known.lean(&entry);
                large.runs.push(PackRef::Known(entry.pack), entry.offset, frame_len(&entry));
                (entry.digest, u64::from(entry.raw))
            }
            Ready::Fresh(header, encoded) => {
                let placed = match stage.ledger.find(&header.digest)? {
                    Some(placed) => placed,
                    None => {
                        let placed = stage.place(self.store, self.writer, &header, encoded, false, writes)?;
                        large.stored = large.stored.saturating_add(placed.frame_len());
                        placed
                    }
                };
                large.runs.push(PackRef::Own(placed.pack), placed.offset, placed.frame_len());
                (header.digest, u64::from(header.raw))
            }
        };
        let Large { builder, runs, stored } = large;
        builder.push(digest, len, &mut |bytes| self.node(&mut stage, bytes, writes, runs, stored))
    }

    /// Close a large blob's recipe.
    pub(crate) fn finish(&self, key: Digest, large: Large, writes: &mut Vec<Write<'_>>) -> Result<(Row, Tree)> {
        let Large { builder, mut runs, mut stored } = large;
        let mut stage = lock(self.stage);
        let tree = builder.finish(&mut |bytes| self.node(&mut stage, bytes, writes, &mut runs, &mut stored))?;
        drop(stage);
        let row = Row {
            key,
            size: tree.size,
            stored,
            existed: false,
            root: Some(tree.root),
            runs: Place::Runs(runs.finish()),
        };
        Ok((row, tree))
    }

    fn node(
        &self,
        stage: &mut Stage,
        bytes: &[u8],
        writes: &mut Vec<Write<'_>>,
        runs: &mut Runs,
        stored: &mut u64,
    ) -> Result<Digest> {
        let digest = digest::hash_node(bytes);
        if let Some(placed) = stage.ledger.find(&digest)? {
            runs.push_node(PackRef::Own(placed.pack), placed.offset, placed.frame_len());
            return Ok(digest);
        }
        if let Some(Some(entry)) = self.known.chunks(self.store, FrameKind::Node, &[digest])?.first() {
            self.known.lean(entry);
            runs.push_node(PackRef::Known(entry.pack), entry.offset, frame_len(entry));
            return Ok(digest);
        }
        // Digests do not compress.
        let encoded = Encoded { codec: Codec::Raw, group: 0, payload: Cow::Owned(bytes.to_vec()) };
        let header = header(FrameKind::Node, digest, bytes.len(), &encoded)?;
        let placed: Placed = stage.place(self.store, self.writer, &header, encoded, false, writes)?;
        *stored = stored.saturating_add(placed.frame_len());
        runs.push_node(PackRef::Own(placed.pack), placed.offset, placed.frame_len());
        Ok(digest)
    }
}

/// Encode a chunk that is new.
pub(crate) fn fresh<'a>(digest: Digest, chunk: &'a [u8], encoder: &mut crate::codec::Encoder) -> Result<Ready<'a>> {
    let encoded = encoder.encode(chunk)?;
    let header = header(FrameKind::Chunk, digest, chunk.len(), &encoded)?;
    Ok(Ready::Fresh(header, encoded))
}

fn header(kind: FrameKind, digest: Digest, raw: usize, encoded: &Encoded<'_>) -> Result<FrameHeader> {
    let size = |len: usize| {
        u32::try_from(len).map_err(|_| Error::invalid("too-large", "a chunk is larger than a frame can hold"))
    };
    Ok(FrameHeader {
        kind,
        codec: encoded.codec,
        group: encoded.group,
        stored: size(encoded.payload.len())?,
        raw: size(raw)?,
        digest,
        sum: FrameHeader::sum_of(encoded.codec, &encoded.payload),
    })
}

/// Header and payload of the frame that an entry names.
pub(crate) fn frame_len(entry: &Entry) -> u64 {
    u64::from(entry.stored).saturating_add(FRAME_HEADER as u64)
}
