//! What stands beside a chunk that was found: where each look at the index is a request, the footer of its pack answers for all of the
//! pack, and for those beside it.
//!
//! An index that names one frame of a pack names every one that has a batch (`docs/format.md`, pack): so a footer says nothing that the
//! index would not, and what is found here is named by the segment that named the first.

use std::io::IoSliceMut;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use super::Inner;
use super::packs::pack_path;
use super::pipeline::{self, lock};
use crate::cancel::{Cancel, lock_unless_cancelled};
use crate::digest::Digest;
use crate::error::At;
use crate::format::pack::{PACK_TRAILER, PackTrailer};
use crate::format::{BlobEntry, Entry, Footer, FrameKind};
use crate::id::Id;
use crate::index::by_digest::ByDigest;
use crate::index::levels::Snapshot;
use crate::index::segment::Segment;
use crate::{Error, Result};

/// Remember at most this many entries: some 40 MB.
const REMEMBERED: usize = 1 << 18;
/// A blob of no more chunks than this is looked up chunk by chunk.
const FEW: u64 = 16;
/// So many look-ups are made one after the other.
const EARLY: u32 = 32;
/// A footer takes about this much: an entry for each 64 KiB, and as much again for what else is in it.
const TAIL: u64 = 64 * 1024;
/// Bytes that a recipe takes for a chunk.
const RECORD: u64 = 40;
/// Packs of one commit whose footers are read together, beyond one for each 128 MiB of the blob that is wanted.
const BESIDE: u64 = 2;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Neighbours {
    state: Mutex<State>,
    reading: Mutex<()>,
    /// Whoever asks the index while little is known waits for what the one before finds.
    turn: Mutex<()>,
    turns: AtomicU32,
}

#[derive(Debug, Default)]
struct State {
    entries: ByDigest<Digest, Entry>,
    /// Packs whose footers were read, or could not be, and the segments that name them.
    packs: ByDigest<Id, Arc<Segment>>,
    /// Where something was found last; there the next is looked for first.
    last: Option<Arc<Segment>>,
}

impl Neighbours {
    /// What is known, if the segment that names it is of this view: one that is gone may have been lost, not merged.
    fn find(&self, snapshot: &Snapshot, digest: &Digest, kind: FrameKind) -> Option<(Entry, Arc<Segment>)> {
        let entry = lock(&self.state).entries.get(digest).copied().filter(|entry| entry.kind == kind)?;
        Some((entry, self.segment_of(snapshot, &entry.pack)?))
    }

    /// The segment of this view in which a pack was found.
    pub(crate) fn segment_of(&self, snapshot: &Snapshot, pack: &Id) -> Option<Arc<Segment>> {
        let segment = lock(&self.state).packs.get(pack).cloned()?;
        snapshot.segments.iter().any(|other| Arc::ptr_eq(other, &segment)).then_some(segment)
    }

    /// Look first where this was found.
    pub(crate) fn begin_with(&self, segment: Option<Arc<Segment>>) {
        if segment.is_some() {
            lock(&self.state).last = segment;
        }
    }

    fn last(&self) -> Option<Arc<Segment>> {
        lock(&self.state).last.clone()
    }

    /// All nodes that are known, if they take no more than so many bytes.
    fn nodes(&self, most: u64) -> Vec<Digest> {
        let state = lock(&self.state);
        let nodes = || state.entries.values().filter(|entry| entry.kind == FrameKind::Node);
        let len = nodes().fold(0_u64, |sum, entry| sum.saturating_add(entry.raw.into()));
        if len <= most { nodes().map(|entry| entry.digest).collect() } else { Vec::new() }
    }

    fn has(&self, snapshot: &Snapshot, pack: &Id) -> bool {
        self.segment_of(snapshot, pack).is_some()
    }

    fn add(&self, pack: Id, segment: &Arc<Segment>, footer: Option<Footer>) {
        let mut state = lock(&self.state);
        let entries = footer.map(|footer| footer.entries).unwrap_or_default();
        if state.entries.len().saturating_add(entries.len()) > REMEMBERED {
            state.entries.clear();
            state.packs.clear();
        }
        // A frame without a batch was withdrawn before its commit: no index names it.
        state
            .entries
            .extend(entries.into_iter().filter(|entry| entry.batch.is_some()).map(|entry| (entry.digest, entry)));
        state.packs.insert(pack, Arc::clone(segment));
    }
}

impl Inner {
    /// Call `take` with entries of a chunk or node until it says that it has seen enough. With `many`, others beside it will be asked for.
    pub(crate) fn places(
        &self,
        snapshot: &Snapshot,
        digest: &Digest,
        kind: FrameKind,
        many: bool,
        take: &mut dyn FnMut(&Entry, &Arc<Segment>) -> Result<bool>,
    ) -> Result<Option<Error>> {
        if !self.disk.reach().far {
            return snapshot.chunks(digest, kind, take);
        }
        if let Some((entry, segment)) = self.neighbours.find(snapshot, digest, kind)
            && take(&entry, &segment)?
        {
            return Ok(None);
        }
        let early = self.neighbours.turns.fetch_add(1, Ordering::Relaxed) < EARLY;
        let _turn = early.then(|| lock_unless_cancelled(&self.neighbours.turn)).transpose()?;
        if early
            && let Some((entry, segment)) = self.neighbours.find(snapshot, digest, kind)
            && take(&entry, &segment)?
        {
            return Ok(None);
        }
        let mut hit = None;
        let damage = snapshot.chunks_from(self.neighbours.last().as_ref(), digest, kind, &mut |entry, segment| {
            let enough = take(entry, segment)?;
            hit = enough.then(|| (entry.pack, Arc::clone(segment)));
            Ok(enough)
        })?;
        if let Some((pack, segment)) = hit {
            if many && !segment.is_here() {
                self.look_around(snapshot, &pack, &segment, BESIDE)?;
            }
            self.neighbours.begin_with(Some(segment));
        }
        Ok(damage)
    }

    /// A large blob's chunks will be asked for, all or most of them: learn where they stand by the footers of its commit, if its
    /// index is a request for each look.
    ///
    /// Returns the nodes of its recipe, or what may be, where they can be read together; none where they had better be read one level
    /// after the other.
    pub(crate) fn look_ahead(&self, snapshot: &Snapshot, blob: &BlobEntry) -> Result<Vec<Digest>> {
        if !self.disk.reach().far
            || blob.chunks <= FEW
            || self.neighbours.find(snapshot, &blob.root, FrameKind::Node).is_some()
        {
            return Ok(Vec::new());
        }
        let mut root = None;
        snapshot.chunks_from(self.neighbours.last().as_ref(), &blob.root, FrameKind::Node, &mut |entry, segment| {
            root = Some((entry.pack, Arc::clone(segment)));
            Ok(true)
        })?;
        let Some((pack, segment)) = root.filter(|(_, segment)| !segment.is_here()) else { return Ok(Vec::new()) };
        self.look_around(snapshot, &pack, &segment, BESIDE.saturating_add(blob.size >> 27))?;
        Ok(self.neighbours.nodes(blob.chunks.saturating_mul(RECORD << 1)))
    }

    /// Read a pack's footer, and those of its commit's other packs if it lists no more than so many. What cannot be read says nothing.
    fn look_around(&self, snapshot: &Snapshot, pack: &Id, segment: &Arc<Segment>, beside: u64) -> Result<()> {
        let _one_at_a_time = lock_unless_cancelled(&self.neighbours.reading)?;
        if self.neighbours.has(snapshot, pack) {
            return Ok(());
        }
        let footer = self.footer(snapshot, pack, segment);
        let others: Vec<Id> = footer.iter().flat_map(|footer| &footer.packs).map(|row| row.pack).collect();
        Cancel::check_here()?; // what one caller gave up, others may read
        self.neighbours.add(*pack, segment, footer);
        if others.len() as u64 > beside {
            return Ok(());
        }
        let others: Vec<Id> = others.into_iter().filter(|other| !self.neighbours.has(snapshot, other)).collect();
        let footers =
            pipeline::map(&others, self.threads, 1, &Cancel::new(), |other| Ok(self.footer(snapshot, other, segment)))?;
        for (other, footer) in others.into_iter().zip(footers).filter(|(_, footer)| footer.is_some()) {
            self.neighbours.add(other, segment, footer);
        }
        Ok(())
    }

    /// The footer of a pack that is a file of its own and that a segment names; the pack is there, then, with the length that it names.
    fn footer(&self, snapshot: &Snapshot, pack: &Id, segment: &Segment) -> Option<Footer> {
        if snapshot.embedded(pack).is_some() {
            return None;
        }
        let len = segment.pack_row(pack).ok()??.len;
        let footer = self.read_tail(pack, len).ok()?;
        self.packs.see(pack, true);
        Some(footer)
    }

    fn read_tail(&self, pack: &Id, len: u64) -> Result<Footer> {
        let path = pack_path(pack);
        let short = || Error::corrupt("pack-trailer", format!("pack {pack} is cut short"));
        let file = self.disk.open_named(&path, Some(len)).at("open", &path)?.ok_or_else(short)?;
        let read = |from: u64| -> Result<Vec<u8>> {
            let mut bytes = vec![0; usize::try_from(len.saturating_sub(from)).map_err(|_| short())?];
            let read = file.read_at(&mut [IoSliceMut::new(&mut bytes)], from).at("read", &path)?;
            if read == bytes.len() { Ok(bytes) } else { Err(short()) }
        };
        let mut from = len.saturating_sub(TAIL.saturating_add(len >> 10));
        let mut tail = read(from)?;
        let trailer = PackTrailer::decode(tail.last_chunk::<PACK_TRAILER>().ok_or_else(short)?)?;
        let start = trailer.body_start(len)?;
        if trailer.pack != *pack {
            return Err(Error::corrupt("pack-trailer", format!("pack {pack} says that it is {}", trailer.pack)));
        }
        if start < from {
            from = start;
            tail = read(from)?;
        }
        let at = usize::try_from(start.saturating_sub(from)).map_err(|_| short())?;
        let end = tail.len().saturating_sub(PACK_TRAILER);
        Footer::decode(&trailer, len, tail.get(at..end).ok_or_else(short)?)
    }
}
