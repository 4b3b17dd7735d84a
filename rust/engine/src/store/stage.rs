//! What a batch has stored but not committed: frames in memory while it is small, in staged packs once it is not.

use std::io::IoSlice;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::Inner;
use super::ledger::Ledger;
use super::packs::pack_path;
use super::pending::Lent;
use crate::Result;
use crate::codec::Encoded;
use crate::digest::Digest;
use crate::disk::Staged;
use crate::error::At;
use crate::format::FrameKind;
use crate::format::frame::{FRAME_HEADER, FrameHeader};
use crate::format::pack::PackHeader;
use crate::id::Id;
use crate::index::by_digest::ByDigest;

/// A batch whose frames take no more than this is committed as one file: its pack stands at the head of its segment.
pub(crate) const SMALL_LIMIT: usize = 256 * 1024;
/// In a folder a batch holds a descriptor for each of its packs until it is committed. So packs grow: every so many of them ...
const DOUBLED_AFTER: usize = 64;
/// ... and so often: 16 GiB take 64 descriptors, 500 GiB take 320, 4 TiB some 800 of the 1,024 that systems allow a process.
const MOST_DOUBLINGS: usize = 5;
/// The pack number of frames that are still in memory.
pub(crate) const SMALL: u32 = u32::MAX;
/// System calls take at most this many pieces (IOV_MAX).
const PIECES: usize = 1024;

/// A pack that nobody else can see yet.
#[derive(Debug)]
pub(crate) struct PackFile {
    pub(crate) id: Id,
    /// Written and read by many; one syncs and names it.
    staged: RwLock<Box<dyn Staged>>,
}

impl PackFile {
    pub(crate) fn staged(&self) -> RwLockReadGuard<'_, Box<dyn Staged>> {
        self.staged.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// To sync and name it.
    pub(crate) fn alone(&self) -> RwLockWriteGuard<'_, Box<dyn Staged>> {
        self.staged.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a frame of this batch stands.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placed {
    pub(crate) digest: Digest,
    /// Index into [`Stage::packs`], or [`SMALL`].
    pub(crate) pack: u32,
    /// Of the frame's header; in memory, from the buffer's start.
    pub(crate) offset: u64,
    pub(crate) stored: u32,
    pub(crate) raw: u32,
    pub(crate) kind: FrameKind,
    /// Whether the batch saved it as a blob.
    pub(crate) root: bool,
}

impl Placed {
    /// Header and payload.
    pub(crate) fn frame_len(&self) -> u64 {
        u64::from(self.stored).saturating_add(FRAME_HEADER as u64)
    }
}

/// Bytes to be written, to a place that is already decided; none where they leave in order, and were copied as they were placed.
pub(crate) struct Write<'a> {
    pack: Arc<PackFile>,
    offset: u64,
    parts: Vec<Part<'a>>,
    frames: Vec<Placed>,
}

enum Part<'a> {
    Head(Vec<u8>),
    Frame(Vec<u8>, Encoded<'a>),
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Stage {
    pub(crate) packs: Vec<Arc<PackFile>>,
    /// The ids of the packs once they are sealed, in the same order.
    pub(crate) sealed: Vec<Id>,
    end: u64,
    pub(crate) small: Vec<u8>,
    /// A digest is stored once.
    pub(crate) ledger: Ledger,
    /// The row of the ledger that each pack begins with.
    pub(crate) starts: Vec<u32>,
    /// What another batch of this process is writing and this one needs, too; whether as a blob of its own.
    pub(crate) borrowed: ByDigest<Digest, (Lent, bool)>,
}

impl Stage {
    /// Show what stands in one of its packs, by offset.
    pub(crate) fn each_of(&self, pack: usize, see: &mut dyn FnMut(&Placed) -> Result<()>) -> Result<()> {
        let Some(&from) = self.starts.get(pack) else { return Ok(()) };
        let to = self.starts.get(pack.saturating_add(1)).copied().unwrap_or(u32::MAX);
        self.ledger.each(from, to, see)
    }

    /// Decide the place of a frame. Bytes that must be written now are added to `writes`; small batches stay in memory.
    pub(crate) fn place<'a>(
        &mut self,
        store: &Inner,
        writer: crate::WriterId,
        header: &FrameHeader,
        encoded: Encoded<'a>,
        root: bool,
        writes: &mut Vec<Write<'a>>,
    ) -> Result<Placed> {
        let frame = FRAME_HEADER.saturating_add(encoded.payload.len());
        let mut bytes = Vec::with_capacity(FRAME_HEADER);
        header.encode(&mut bytes)?;
        let (pack, offset) = if self.packs.is_empty() && self.small.len().saturating_add(frame) <= SMALL_LIMIT {
            let offset = self.small.len();
            self.small.extend_from_slice(&bytes);
            self.small.extend_from_slice(&encoded.payload);
            (SMALL, offset as u64)
        } else {
            if self.packs.is_empty() || self.end >= self.pack_target(store) {
                self.open_pack(store, writer, writes)?;
            }
            let offset = self.end;
            self.end = offset.saturating_add(frame as u64);
            (self.last_pack(), offset)
        };
        let placed = Placed {
            digest: header.digest,
            pack,
            offset,
            stored: header.stored,
            raw: header.raw,
            kind: header.kind,
            root,
        };
        if pack != SMALL {
            let file = self.packs.last().ok_or_else(super::internal)?;
            push(store, writes, file, offset, Part::Frame(bytes, encoded), &[placed])?;
        }
        self.ledger.push(store.disk.as_ref(), placed, store.entries_in_memory, pack != SMALL)?;
        Ok(placed)
    }

    /// The length at which the current pack is closed and the next one begun.
    fn pack_target(&self, store: &Inner) -> u64 {
        let grown = if store.disk.reach().far { 0 } else { self.packs.len() / DOUBLED_AFTER };
        (0..grown.min(MOST_DOUBLINGS)).fold(store.pack_target, |target, _| target.saturating_mul(2))
    }

    fn last_pack(&self) -> u32 {
        u32::try_from(self.packs.len().saturating_sub(1)).unwrap_or(SMALL)
    }

    fn open_pack(&mut self, store: &Inner, writer: crate::WriterId, writes: &mut Vec<Write<'_>>) -> Result<()> {
        let id = writer.new_id()?;
        let staged = store.disk.stage_for(&pack_path(&id)).at("stage a pack in", "tmp")?;
        let pack = Arc::new(PackFile { id, staged: RwLock::new(staged) });
        let mut head = Vec::with_capacity(self.small.len().saturating_add(32));
        PackHeader { pack: id }.encode(&mut head);
        let start = head.len() as u64;
        head.append(&mut self.small);
        self.end = head.len() as u64;
        self.packs.push(Arc::clone(&pack));
        self.starts.push(if self.starts.is_empty() { 0 } else { self.ledger.len() });
        let number = self.last_pack();
        if number == 0 {
            // All that was placed so far stood in memory, and stands in this pack now.
            for entry in self.ledger.recent_mut() {
                entry.pack = number;
                entry.offset = entry.offset.saturating_add(start);
            }
        }
        let moved = if number == 0 { self.ledger.recent() } else { &[] };
        push(store, writes, &pack, 0, Part::Head(head), moved)
    }
}

/// Neighbours in one pack are written together.
fn push<'a>(
    store: &Inner,
    writes: &mut Vec<Write<'a>>,
    pack: &Arc<PackFile>,
    offset: u64,
    part: Part<'a>,
    placed: &[Placed],
) -> Result<()> {
    let joins = |last: &mut Write<'a>| Arc::ptr_eq(&last.pack, pack) && last.parts.len() < PIECES / 2;
    let fresh = || Write { pack: Arc::clone(pack), offset, parts: Vec::new(), frames: Vec::new() };
    let mut write = writes.pop_if(joins).unwrap_or_else(fresh);
    if store.disk.reach().far {
        pack.staged().write_at(&part.pieces(), offset).at("write pack", &pack.id.to_string())?;
    } else {
        write.parts.push(part);
        write.frames.extend_from_slice(placed);
    }
    writes.push(write);
    Ok(())
}

impl Part<'_> {
    fn pieces(&self) -> [IoSlice<'_>; 2] {
        match self {
            Part::Head(head) => [IoSlice::new(head), IoSlice::new(&[])],
            Part::Frame(header, encoded) => [IoSlice::new(header), IoSlice::new(&encoded.payload)],
        }
    }
}

impl Write<'_> {
    /// Write it, let the system begin to write it out, and offer its frames to other batches.
    pub(crate) fn run(&self, store: &Inner) -> Result<()> {
        let pieces: Vec<_> = self.parts.iter().flat_map(Part::pieces).collect();
        let len = pieces.iter().fold(0_u64, |sum, piece| sum.saturating_add(piece.len() as u64));
        let staged = self.pack.staged();
        let what = self.pack.id.to_string();
        if !pieces.is_empty() {
            staged.write_at(&pieces, self.offset).at("write pack", &what)?;
        }
        staged.start_writeback(self.offset, len).at("write pack", &what)?;
        if store.disk.reads_back() {
            store.pending.offer(&self.pack, &self.frames);
        }
        Ok(())
    }
}
