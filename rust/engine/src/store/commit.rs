//! The commit: packs durable, then one segment for all batches, then the check, then the answer. `docs/format.md` has the argument.

use std::io::IoSlice;
use std::sync::PoisonError;
use std::time::{SystemTime, UNIX_EPOCH};

use super::batch::{Batch, Place, Row};
use super::packs::pack_path;
use super::place::frame_len;
use super::runs::PackRef;
use super::seal::{blob_entry, entry, uncertain};
use super::stage::{SMALL, SMALL_LIMIT};
use super::stats::add;
use super::{Inner, Store, internal};
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::disk::Staged;
use crate::error::At;
use crate::format::pack::PackHeader;
use crate::format::{BatchRecord, BlobEntry, Entry, Footer, FrameKind, Locator, PackRow, Run, SegmentName};
use crate::id::{Id, WriterId};
use crate::index::by_digest::{ByDigest, DigestSet};
use crate::index::levels::level_dir;
use crate::index::write::SegmentWriter;
use crate::mutant::planted;
use crate::{Error, Result};

/// What became of one blob of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    /// The blob's key.
    pub key: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Bytes that were added to the store for it, frame headers and recipe nodes included.
    pub stored: u64,
    /// Whether it was there already: nothing was stored for it.
    pub existed: bool,
    /// Where it stands, if that can be said in few words.
    pub locator: Option<Locator>,
}

/// What all batches of one commit put into the index.
#[derive(Default)]
pub(crate) struct Content {
    pub(crate) entries: Vec<Entry>,
    blobs: Vec<BlobEntry>,
    pub(crate) records: Vec<BatchRecord>,
    packs: Vec<PackRow>,
    /// The small frames of all batches, one after the other as in the pack that will hold them.
    pub(crate) frames: Vec<u8>,
    pub(crate) small: Vec<Entry>,
    small_blobs: Vec<BlobEntry>,
    /// Where a digest stands among `small`.
    seen: ByDigest<(Digest, FrameKind), usize>,
}

/// One batch on its way through the commit.
struct Member {
    slot: usize,
    batch: Batch,
    record: BatchRecord,
    /// Packs of its own that have names, for taking back.
    named: Vec<Id>,
    /// Small frames that turned out to be known since they were staged.
    late: ByDigest<Digest, Entry>,
    /// Where its small frames stand in the pack that all batches of the commit share.
    shared: ByDigest<Digest, u64>,
}

impl Store {
    /// Make batches visible, together and durably. One batch's failure does not touch the others; a failure of what they share
    /// fails all that are left. Each batch is answered after the check that nothing it leans on was condemned or lost meanwhile.
    ///
    /// An error of class `Uncertain` says that the batch may or may not be durable: ask `committed` with its id.
    pub fn commit(&self, batches: Vec<Batch>) -> Vec<Result<Vec<Saved>>> {
        let inner = &self.inner;
        let mut results: Vec<Option<Result<Vec<Saved>>>> = batches.iter().map(|_| None).collect();
        let mut fail = |slot: usize, error: Error| {
            if let Some(result) = results.get_mut(slot) {
                *result = Some(Err(error));
            }
        };
        // A crowded level makes every look-up slow; that it could not be merged is no reason to fail a commit.
        let _ = inner.merge_if_crowded(&Cancel::new());
        let mut members = Vec::new();
        for (slot, batch) in batches.into_iter().enumerate() {
            match inner.check_writable().and_then(|()| inner.join(slot, batch)) {
                Ok(member) => members.push(member),
                Err(error) => fail(slot, error),
            }
        }
        let mut content = Content::default();
        let mut sound = Vec::new();
        let small = members.iter().any(|member| member.batch.stage.lock().is_ok_and(|stage| !stage.small.is_empty()));
        let count = members.len();
        for (at, mut member) in members.into_iter().enumerate() {
            let last = !small && at.saturating_add(1) == count;
            match inner.gather(&mut member, &mut content, last) {
                Ok(()) => sound.push(member),
                Err(error) => fail(member.slot, error),
            }
        }
        if !sound.is_empty() {
            let outcome = match sound.first() {
                Some(first) => inner.publish(content, first.batch.writer.id),
                None => Ok(None),
            };
            for member in sound {
                let slot = member.slot;
                let answer = match &outcome {
                    Ok(small_pack) => inner.answer(member, *small_pack),
                    Err(Failure::Before(error)) => {
                        inner.unname(&member.named);
                        Err(error.clone())
                    }
                    Err(Failure::After(error)) => {
                        member.batch.writer.leave();
                        Err(uncertain(error, &member.batch.id))
                    }
                };
                if let Some(result) = results.get_mut(slot) {
                    *result = Some(answer);
                }
            }
        }
        results.into_iter().map(|result| result.unwrap_or_else(|| Err(internal()))).collect()
    }
}

pub(crate) enum Failure {
    /// Nothing is visible, nothing will be.
    Before(Error),
    /// The segment was issued.
    After(Error),
}

impl Failure {
    /// For whoever does not care which.
    pub(crate) fn into_error(self) -> Error {
        match self {
            Self::Before(error) | Self::After(error) => error,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Before(error)
    }
}

impl Inner {
    fn join(&self, slot: usize, batch: Batch) -> Result<Member> {
        batch.check_complete()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let record = BatchRecord {
            batch: batch.id,
            time_ms: i64::try_from(now).unwrap_or(i64::MAX),
            pinned: batch.options.pin,
            leaned: Vec::new(),
        };
        let mut member =
            Member { slot, batch, record, named: Vec::new(), late: ByDigest::default(), shared: ByDigest::default() };
        self.look_again(&mut member)?;
        member.record.leaned = member.batch.leaned_keys();
        if let Some(time) = self.clock(&member.batch) {
            member.record.time_ms = time;
        }
        Ok(member)
    }

    /// The store's clock: the time of a file that was just written.
    fn clock(&self, batch: &Batch) -> Option<i64> {
        let stage = batch.stage.lock().unwrap_or_else(PoisonError::into_inner);
        stage.packs.last().and_then(|pack| pack.staged.modified_ms().ok())
    }

    /// What was saved by others since this batch looked: its frames need not be stored again while they are still in memory.
    fn look_again(&self, member: &mut Member) -> Result<()> {
        let batch = &mut member.batch;
        if batch.generation == self.levels.generation() {
            return Ok(());
        }
        let stage = batch.stage.get_mut().unwrap_or_else(PoisonError::into_inner);
        for placed in stage.entries.iter().filter(|placed| placed.pack == SMALL) {
            if let Some(Some(entry)) = batch.known.chunks(self, placed.kind, &[placed.digest])?.first() {
                batch.known.lean(entry);
                if placed.root {
                    batch.known.lean_on_blob(placed.digest);
                }
                member.late.insert(placed.digest, *entry);
            }
        }
        Ok(())
    }

    /// Seal a member's own packs and add its rows to the commit.
    fn gather(&self, member: &mut Member, content: &mut Content, last: bool) -> Result<()> {
        let ordinal = u32::try_from(content.records.len()).map_err(|_| internal())?;
        let sealed = self.seal_packs(&mut member.batch, &member.record, &content.packs, last)?;
        member.named = sealed.rows.iter().map(|row| row.pack).collect();
        let own = !sealed.rows.is_empty();
        content.packs.extend(sealed.rows);
        let blobs = member.batch.blobs.iter().map(|(key, tree)| blob_entry(*key, tree, ordinal));
        if own {
            content.blobs.extend(blobs);
        } else {
            content.small_blobs.extend(blobs);
        }
        content.records.push(member.record.clone());
        let stage = member.batch.stage.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut leaned = DigestSet::default();
        for placed in &stage.entries {
            match stage.sealed_id(placed.pack) {
                Some(pack) => content.entries.push(entry(placed, pack, placed.offset, ordinal)),
                None if member.late.contains_key(&placed.digest) => {}
                None => {
                    if let Some(&at) = content.seen.get(&(placed.digest, placed.kind)) {
                        // Another batch of this commit stores it; this one leans on it.
                        if placed.root {
                            leaned.insert(placed.digest);
                        }
                        member.shared.insert(placed.digest, content.small.get(at).map_or(0, |entry| entry.offset));
                        continue;
                    }
                    let from = usize::try_from(placed.offset).map_err(|_| internal())?;
                    let to =
                        usize::try_from(placed.offset.saturating_add(placed.frame_len())).map_err(|_| internal())?;
                    let frame = stage.small.get(from..to).ok_or_else(internal)?;
                    let offset = (content.frames.len() as u64).saturating_add(crate::format::pack::PACK_HEADER as u64);
                    content.seen.insert((placed.digest, placed.kind), content.small.len());
                    content.small.push(entry(placed, Id([0; 16]), offset, ordinal));
                    content.frames.extend_from_slice(frame);
                    member.shared.insert(placed.digest, offset);
                }
            }
        }
        if !leaned.is_empty()
            && let Some(record) = content.records.last_mut()
        {
            record.leaned.extend(leaned);
            record.leaned.sort_unstable();
            record.leaned.dedup();
        }
        Ok(())
    }

    /// Write the small pack and the segment, sync, name, sync. Returns the id of the small pack.
    pub(crate) fn publish(&self, mut content: Content, writer: WriterId) -> Result<Option<Id>, Failure> {
        let id = writer.new_id()?;
        let mut staged = self.disk.stage().at("stage a segment in", "tmp")?;
        let mut named = None;
        let mut pack_len = 0;
        let has_small = !content.small.is_empty() || !content.small_blobs.is_empty();
        if has_small {
            let embedded = content.frames.len() <= SMALL_LIMIT;
            let pack = if embedded { id } else { writer.new_id()? };
            let bytes = small_pack(&mut content, pack, embedded)?;
            let row = PackRow { pack, len: bytes.len() as u64, embedded };
            if embedded {
                staged.write_at(&[IoSlice::new(&bytes)], 0).at("write", "segment")?;
                pack_len = row.len;
            } else {
                self.write_pack(&pack, &bytes)?;
            }
            content.packs.push(row);
            named = Some(pack);
        }
        let separate = content.packs.iter().any(|row| !row.embedded);
        let result = self.publish_segment(&mut staged, content, id, pack_len, separate);
        if let (Err(Failure::Before(_)), Some(pack)) = (&result, named.filter(|pack| *pack != id)) {
            self.unname(&[pack]);
        }
        result.map(|()| named)
    }

    fn publish_segment(
        &self,
        staged: &mut Box<dyn Staged>,
        mut content: Content,
        id: Id,
        pack_len: u64,
        separate: bool,
    ) -> Result<(), Failure> {
        content.entries.sort_unstable_by_key(|entry| (entry.digest, entry.pack, entry.offset));
        content.blobs.sort_unstable_by_key(|blob| (blob.key, blob.root));
        content.packs.sort_unstable_by_key(|row| row.pack);
        let name = SegmentName {
            id,
            entries: content.entries.len() as u64,
            blobs: content.blobs.len() as u64,
            packs: content.packs.len() as u64,
            pins: 0,
            records_len: content.records.iter().fold(0, |sum, record| sum.saturating_add(record.encoded_len() as u64)),
            pack_len,
        };
        let mut writer = SegmentWriter::new(staged.as_ref(), name, 0)?;
        content.entries.iter().try_for_each(|entry| writer.entry(entry))?;
        content.blobs.iter().try_for_each(|blob| writer.blob(blob))?;
        content.packs.iter().try_for_each(|row| writer.pack(row))?;
        content.records.iter().try_for_each(|record| writer.record(record))?;
        writer.finish()?;
        // The segment's bytes are durable before it has a name; and so are the names of the packs that it lists.
        if separate && !planted("packs-dir-not-synced") {
            self.disk.sync_dir("packs").at("sync", "packs")?;
        }
        self.issue(staged, 0, name)
    }

    /// Sync a staged segment, name it, sync its folder: the commit point is the name.
    pub(crate) fn issue(&self, staged: &mut Box<dyn Staged>, level: u8, name: SegmentName) -> Result<(), Failure> {
        let dir = level_dir(level);
        let path = format!("{dir}/{name}");
        staged.sync().at("sync segment", &path)?;
        if let Err(error) = staged.publish(&path) {
            let error = Error::io("publish segment", &path, error);
            // The call failed. If the name is not there it has no effect now; if it is, or nobody can say, it may.
            return match self.disk.stat(&path) {
                // On a bucket a request whose answer was lost may still be on its way.
                Ok(None) if !may_come(&error) => Err(Failure::Before(error)),
                _ => Err(Failure::After(error)),
            };
        }
        if let Err(error) = self.disk.sync_dir(&dir)
            && !planted("sync-error-ignored")
        {
            let error = Error::io("sync", &dir, error);
            let _ = self.poison.set(error.clone());
            return Err(Failure::After(error));
        }
        add(&self.counters.commits, 1);
        // The commit holds. That this process cannot open its segment concerns later look-ups only, which list again.
        let _ = self.levels.add(level, name);
        Ok(())
    }

    /// A pack that is in memory: durable, then named.
    fn write_pack(&self, id: &Id, bytes: &[u8]) -> Result<()> {
        let path = pack_path(id);
        let mut staged = self.disk.stage().at("stage a pack in", "tmp")?;
        staged.write_at(&[IoSlice::new(bytes)], 0).at("write pack", &path)?;
        staged.sync().at("sync pack", &path)?;
        staged.publish(&path).at("publish pack", &path)
    }

    /// Step 3, then the results.
    fn answer(&self, member: Member, small_pack: Option<Id>) -> Result<Vec<Saved>> {
        let Member { mut batch, record, named, late, shared, .. } = member;
        let mut own = named;
        own.extend(small_pack);
        if let Err(error) = self.confirm(&batch, &record, &own) {
            batch.writer.leave();
            return Err(uncertain(&error, &batch.id));
        }
        let rows = std::mem::take(&mut batch.rows);
        let saved =
            rows.into_iter().map(|row| saved(&mut batch, row.ok_or_else(internal)?, small_pack, &shared, &late));
        let saved: Vec<Saved> = saved.collect::<Result<_>>()?;
        let counters = &self.counters;
        add(&counters.batches, 1);
        add(&counters.blobs_saved, saved.len() as u64);
        add(&counters.blobs_known, saved.iter().filter(|one| one.existed).count() as u64);
        add(&counters.bytes_saved, saved.iter().fold(0, |sum, one| sum.saturating_add(one.size)));
        add(&counters.bytes_stored, saved.iter().fold(0, |sum, one| sum.saturating_add(one.stored)));
        Ok(saved)
    }
}

/// Whether a failed write may have its effect later.
fn may_come(error: &Error) -> bool {
    error.io_kind() == Some(std::io::ErrorKind::TimedOut)
}

/// The small frames of all batches as a complete pack; its entries join the others.
fn small_pack(content: &mut Content, pack: Id, embedded: bool) -> Result<Vec<u8>> {
    content.small.iter_mut().for_each(|entry| entry.pack = pack);
    content.small_blobs.sort_unstable_by_key(|blob| (blob.key, blob.root));
    let mut footer = Footer {
        entries: std::mem::take(&mut content.small),
        blobs: std::mem::take(&mut content.small_blobs),
        records: content.records.clone(),
        packs: Vec::new(),
    };
    footer.list_packs(pack, embedded, content.packs.iter().copied())?;
    let mut bytes = Vec::with_capacity(content.frames.len().saturating_add(4096));
    PackHeader { pack }.encode(&mut bytes);
    bytes.append(&mut content.frames);
    footer.encode(pack, &mut bytes)?;
    content.entries.append(&mut footer.entries);
    content.blobs.append(&mut footer.blobs);
    Ok(bytes)
}

/// A row as its caller sees it.
fn saved(
    batch: &mut Batch,
    row: Row,
    small_pack: Option<Id>,
    shared: &ByDigest<Digest, u64>,
    late: &ByDigest<Digest, Entry>,
) -> Result<Saved> {
    let Row { key, size, mut stored, mut existed, root, runs } = row;
    let stage = batch.stage.get_mut().unwrap_or_else(PoisonError::into_inner);
    let runs = match runs {
        Place::Own => {
            if let (Some(entry), None) = (late.get(&key), root) {
                (stored, existed) = (0, true);
                vec![Run { pack: entry.pack, offset: entry.offset, len: frame_len(entry), first: 0, count: 1 }]
            } else {
                let placed = *stage.find(&key).ok_or_else(internal)?;
                let place = match stage.sealed_id(placed.pack) {
                    Some(pack) => Some((pack, placed.offset)),
                    None => small_pack.zip(shared.get(&key).copied()),
                };
                let run = |(pack, offset)| Run { pack, offset, len: placed.frame_len(), first: 0, count: 1 };
                place.map(run).into_iter().collect()
            }
        }
        Place::Runs(runs) => {
            let named = runs.iter().map(|run| {
                let pack = match run.pack {
                    PackRef::Known(id) => Some(id),
                    PackRef::Own(at) => stage.sealed_id(at),
                };
                pack.map(|pack| Run { pack, offset: run.offset, len: run.length, first: run.first, count: run.count })
            });
            named.collect::<Option<Vec<Run>>>().unwrap_or_default()
        }
        Place::Nowhere => Vec::new(),
    };
    let locator = (!runs.is_empty()).then_some(Locator { size, root, runs });
    Ok(Saved { key, size, stored, existed, locator })
}
