//! Chunks on their way into a stage: which are known, which are stored, and the recipe that lists them.

use std::borrow::Cow;
use std::collections::hash_map::Entry::Vacant;
use std::sync::Mutex;

use super::Inner;
use super::batch::{Place, Row};
use super::known::Known;
use super::pending::Lent;
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
    /// Another batch of this process has written it.
    Lent(Lent),
}

/// A large blob, chunk by chunk.
#[derive(Debug, Default)]
pub(crate) struct Large {
    pub(crate) builder: Builder,
    laid: Laid,
}

/// Where its chunks and nodes stand, and what they took.
#[derive(Debug, Default)]
struct Laid {
    runs: Runs,
    stored: u64,
    borrowed: Vec<Digest>,
    waiting: Waiting,
}

impl Laid {
    fn own(&mut self, placed: &Placed) {
        self.push(PackRef::Own(placed.pack), placed.offset, placed.frame_len(), placed.kind);
    }

    fn known(&mut self, entry: &Entry) {
        self.push(PackRef::Known(entry.pack), entry.offset, frame_len(entry), entry.kind);
    }

    /// It stands there if the lender is committed.
    fn lent(&mut self, stage: &mut Stage, lent: Lent) {
        self.known(&lent.entry());
        if let Vacant(free) = stage.borrowed.entry(lent.placed.digest) {
            self.stored = self.stored.saturating_add(lent.placed.frame_len());
            self.borrowed.push(lent.placed.digest);
            free.insert((lent, false));
        }
    }

    fn push(&mut self, pack: PackRef, offset: u64, length: u64, kind: FrameKind) {
        match kind {
            FrameKind::Chunk => self.runs.push(pack, offset, length),
            FrameKind::Node => self.runs.push_node(pack, offset, length),
        }
    }
}

/// Nodes of a large blob that have no place yet: they are put side by side, so that one read fetches all of them.
#[derive(Debug, Default)]
struct Waiting {
    nodes: Vec<(Digest, Vec<u8>)>,
    len: usize,
}

/// So many bytes of nodes wait for the end of their blob: those of some 400 MiB.
const PATIENCE: usize = 256 * 1024;

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
        let chunks = digests.iter().zip(known).zip(chunks);
        self.store.with_encoder(|encoder| {
            let ready = chunks.map(|((digest, known), chunk)| match known {
                Some(entry) => Ok(Ready::Known(entry)),
                None => self.fresh(*digest, chunk, encoder),
            });
            ready.collect()
        })
    }

    /// Encode a chunk that is not in the index, unless another batch of this process has it already.
    pub(crate) fn fresh<'a>(
        &self,
        digest: Digest,
        chunk: &'a [u8],
        encoder: &mut crate::codec::Encoder,
    ) -> Result<Ready<'a>> {
        match self.known.borrow(self.store, &digest) {
            Some(lent) => Ok(Ready::Lent(lent)),
            None => fresh(digest, chunk, encoder),
        }
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
                    borrowed: Vec::new(),
                })
            }
            Ready::Lent(lent) => {
                let mut stage = lock(self.stage);
                let Placed { digest: key, raw, .. } = lent.placed;
                let row = |existed, stored| Row { stored, existed, ..Row::own(key, u64::from(raw)) };
                if stage.ledger.find_root(&key)?.is_some() {
                    return Ok(row(true, 0));
                }
                let stored = lent.placed.frame_len();
                Ok(match stage.borrowed.insert(key, (lent, true)) {
                    Some(_) => row(true, 0),
                    None => row(false, stored),
                })
            }
            Ready::Fresh(header, encoded) => {
                let mut stage = lock(self.stage);
                let key = header.digest;
                let size = u64::from(header.raw);
                if stage.ledger.find_root(&key)?.is_some() {
                    return Ok(Row { existed: true, ..Row::own(key, size) });
                }
                let placed = stage.place(self.store, self.writer, &header, encoded, true, writes)?;
                Ok(Row { stored: placed.frame_len(), ..Row::own(key, size) })
            }
        }
    }

    /// Place the next chunk of a large blob.
    pub(crate) fn chunk<'a>(&self, large: &mut Large, ready: Ready<'a>, writes: &mut Vec<Write<'a>>) -> Result<()> {
        let mut stage = lock(self.stage);
        let (digest, len) = match ready {
            Ready::Known(entry) => {
                self.known.lean(&entry);
                large.laid.known(&entry);
                (entry.digest, u64::from(entry.raw))
            }
            Ready::Lent(lent) => {
                let Placed { digest, raw, .. } = lent.placed;
                match stage.ledger.find(&digest)? {
                    Some(placed) => large.laid.own(&placed),
                    None => large.laid.lent(&mut stage, lent),
                }
                (digest, u64::from(raw))
            }
            Ready::Fresh(header, encoded) => {
                let placed = match stage.ledger.find(&header.digest)? {
                    Some(placed) => placed,
                    None => {
                        let placed = stage.place(self.store, self.writer, &header, encoded, false, writes)?;
                        large.laid.stored = large.laid.stored.saturating_add(placed.frame_len());
                        placed
                    }
                };
                large.laid.own(&placed);
                (header.digest, u64::from(header.raw))
            }
        };
        let Large { builder, laid } = large;
        builder.push(digest, len, &mut |bytes| self.node(&mut stage, bytes, laid))?;
        if laid.waiting.len > PATIENCE {
            self.place_nodes(&mut stage, writes, laid)?;
        }
        Ok(())
    }

    /// Close a large blob's recipe.
    pub(crate) fn finish(&self, key: Digest, large: Large, writes: &mut Vec<Write<'_>>) -> Result<(Row, Tree)> {
        let Large { builder, mut laid } = large;
        let mut stage = lock(self.stage);
        let tree = builder.finish(&mut |bytes| self.node(&mut stage, bytes, &mut laid))?;
        self.place_nodes(&mut stage, writes, &mut laid)?;
        drop(stage);
        let row = Row {
            key,
            size: tree.size,
            stored: laid.stored,
            existed: false,
            root: Some(tree.root),
            runs: Place::Runs(laid.runs.finish()),
            borrowed: laid.borrowed,
        };
        Ok((row, tree))
    }

    /// A node that is complete. One that has a place is leaned on, others wait for theirs.
    fn node(&self, stage: &mut Stage, bytes: &[u8], laid: &mut Laid) -> Result<Digest> {
        let digest = digest::hash_node(bytes);
        if let Some(placed) = stage.ledger.find(&digest)? {
            laid.own(&placed);
            return Ok(digest);
        }
        if let Some(Some(entry)) = self.known.chunks(self.store, FrameKind::Node, &[digest])?.first() {
            self.known.lean(entry);
            laid.known(entry);
            return Ok(digest);
        }
        if let Some(lent) = self.known.borrow(self.store, &digest) {
            laid.lent(stage, lent);
            return Ok(digest);
        }
        laid.waiting.len = laid.waiting.len.saturating_add(bytes.len());
        laid.waiting.nodes.push((digest, bytes.to_vec()));
        Ok(digest)
    }

    fn place_nodes(&self, stage: &mut Stage, writes: &mut Vec<Write<'_>>, laid: &mut Laid) -> Result<()> {
        for (digest, bytes) in std::mem::take(&mut laid.waiting).nodes {
            if stage.ledger.find(&digest)?.is_some() {
                continue;
            }
            // Digests do not compress.
            let len = bytes.len();
            let encoded = Encoded { codec: Codec::Raw, group: 0, payload: Cow::Owned(bytes) };
            let header = header(FrameKind::Node, digest, len, &encoded)?;
            let placed: Placed = stage.place(self.store, self.writer, &header, encoded, false, writes)?;
            laid.stored = laid.stored.saturating_add(placed.frame_len());
            laid.own(&placed);
        }
        Ok(())
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
