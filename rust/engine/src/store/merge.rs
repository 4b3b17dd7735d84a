//! Merging: many small segments become one in the next level, their small packs one pack. Triggered by writers, so that the
//! number of segments stays small.

use std::collections::BTreeSet;
use std::io::IoSlice;
use std::sync::Arc;

use super::copied::Copied;
use super::packs::pack_path;
use super::publish::Failure;
use super::stats::add;
use super::writer::Writer;
use super::{Inner, Store, internal};
use crate::Result;
use crate::cancel::{Cancel, serving};
use crate::digest::Digest;
use crate::disk::Staged;
use crate::error::At;
use crate::format::segment::LEVELS;
use crate::format::{BatchRecord, BlobEntry, Entry, Footer, PackRow, PinRow, SegmentName};
use crate::id::{Id, WriterId};
use crate::index::by_digest::ByDigest;
use crate::index::levels::Snapshot;
use crate::index::segment::Segment;
use crate::index::write::SegmentWriter;
use crate::mutant::planted;

/// A level with more segments than this is merged: level 0, and the others.
const MANY: [usize; 2] = [16, 8];
/// With more than this in level 0 the next commit merges first.
const TOO_MANY: usize = 256;
/// A writer merges at most this much at once; larger merges are the collector's.
const INPUT: u64 = 256 * 1024 * 1024;
/// A merged pack up to this length stays at the head of its segment's file.
const EMBED: u64 = 32 * 1024 * 1024;

/// How many segments a level may hold before it is merged.
fn many(level: u8) -> usize {
    MANY.get(usize::from(level.min(1))).copied().unwrap_or(16)
}

/// The segments that a writer would merge: none where there are not too many, or too few of them are small enough and sound.
fn to_merge(snapshot: &Snapshot, level: u8, input: u64) -> Vec<Arc<Segment>> {
    if snapshot.level(level).count() <= many(level) {
        return Vec::new();
    }
    let mut inputs: Vec<&Arc<Segment>> = snapshot.level(level).filter(|segment| !segment.is_harmed()).collect();
    // The smallest first: one that is too large for a writer stays, and keeps no other from being merged.
    inputs.sort_by_key(|segment| segment.file_len());
    let mut size = 0_u64;
    inputs.retain(|segment| {
        size = size.saturating_add(segment.file_len());
        size <= input
    });
    if inputs.len() <= many(level) / 2 {
        return Vec::new();
    }
    inputs.sort_by_key(|segment| segment.name().id);
    inputs.into_iter().map(Arc::clone).collect()
}

/// What a merged segment will hold. Entries of up to [`INPUT`] bytes of segments.
#[derive(Default)]
struct Merged {
    entries: Vec<Entry>,
    blobs: Vec<BlobEntry>,
    packs: Vec<PackRow>,
    records: Vec<BatchRecord>,
    pins: BTreeSet<(Digest, Id)>,
    /// A record's place, by its batch.
    ordinals: ByDigest<Id, u32>,
    /// Records of batches that are not pinned are dropped when they are older than this, in milliseconds since 1970.
    drop_before: i64,
}

/// A merged segment that has no name yet.
struct Merge {
    staged: Box<dyn Staged>,
    target: u8,
    name: SegmentName,
    /// The pack that small frames were copied into, where it is too large for the segment's file.
    own: Option<(Id, Box<dyn Staged>)>,
    new_packs: Vec<Id>,
    /// The inputs that it stands for.
    taken: Vec<Arc<Segment>>,
}

impl Store {
    /// Whether some level holds so many segments that `maintain` would merge them. Looks at nothing but memory.
    pub fn is_crowded(&self) -> bool {
        let inner = &self.inner;
        let Ok(snapshot) = inner.levels.snapshot() else { return false };
        inner.writable && (0..LEVELS.saturating_sub(1)).any(|level| !to_merge(&snapshot, level, INPUT).is_empty())
    }

    /// Merge levels that hold too many segments, unless another process does. Returns whether anything was merged. A writer calls it
    /// after its batches were answered.
    ///
    /// # Errors
    /// `Cancelled`; the disk's errors. Whatever fails, every committed blob stays readable.
    pub fn maintain(&self, cancel: &Cancel) -> Result<bool> {
        let inner = &self.inner;
        if !inner.writable || inner.poison.get().is_some() {
            return Ok(false);
        }
        let mut any = false;
        for level in 0..LEVELS.saturating_sub(1) {
            cancel.check()?;
            any |= inner.merge_level(level, cancel)?;
        }
        Ok(any)
    }
}

impl Inner {
    /// Merge before a commit when level 0 has grown beyond measure.
    pub(crate) fn merge_if_crowded(&self, cancel: &Cancel) -> Result<()> {
        let crowded = self.levels.snapshot()?.level(0).count() > TOO_MANY;
        if crowded {
            self.merge_level(0, cancel)?;
        }
        Ok(())
    }

    fn merge_level(&self, level: u8, cancel: &Cancel) -> Result<bool> {
        if to_merge(self.levels.snapshot()?.as_ref(), level, INPUT).is_empty() {
            return Ok(false);
        }
        let writer = self.writer()?;
        let Some(_held) = self.disk.try_lock("locks/merge", true).at("lock", "locks/merge")? else { return Ok(false) };
        let snapshot = self.levels.refresh()?;
        let mut inputs = to_merge(&snapshot, level, INPUT);
        let mut sound = Vec::with_capacity(inputs.len());
        for segment in &inputs {
            cancel.check()?;
            sound.push(segment.verify().is_ok());
        }
        // An input that does not verify is left out and kept.
        let mut sound = sound.into_iter();
        inputs.retain(|_| sound.next() == Some(true));
        if inputs.len() <= many(level) / 2 {
            return Ok(false);
        }
        let merge = self.merge(&inputs, level.saturating_add(1), writer.id, cancel)?;
        // From the first name on a folder's is seen to its end, whoever gives up; a bucket's requests may take long.
        let flag = Cancel::here().filter(|_| self.disk.reach().far);
        let replaced = serving(flag, || self.replace(&writer, merge))?;
        add(&self.counters.merges, u64::from(replaced));
        Ok(replaced)
    }

    /// Write the merged segment, and its pack. Nothing has a name yet.
    fn merge(&self, inputs: &[Arc<Segment>], target: u8, writer: WriterId, cancel: &Cancel) -> Result<Merge> {
        let id = writer.new_id()?;
        let staged = self.disk.stage().at("stage a segment in", "tmp")?;
        let small = inputs.iter().fold(0_u64, |sum, segment| sum.saturating_add(segment.name().pack_len));
        let embedded = small <= EMBED;
        let mut copy = Copied::default();
        let mut own = None;
        let mut pack_len = 0;
        let mut taken = Vec::new();
        if small == 0 {
            taken = inputs.to_vec();
        } else if embedded {
            self.copy_frames(inputs, id, staged.as_ref(), &mut copy, &mut taken, cancel)?;
        } else {
            let pack = writer.new_id()?;
            let file = self.disk.stage().at("stage a pack in", "tmp")?;
            self.copy_frames(inputs, pack, file.as_ref(), &mut copy, &mut taken, cancel)?;
            own = Some((pack, file));
        }
        // By the store's clock; a disk that has none keeps them.
        let now = staged.modified_ms().unwrap_or(0);
        let retention = i64::try_from(self.settings.retention_ms).unwrap_or(i64::MAX);
        let mut merged = Merged { drop_before: now.saturating_sub(retention), ..Merged::default() };
        for segment in &taken {
            cancel.check()?;
            merged.take_in(segment, &copy)?;
        }
        merged.settle();
        if !copy.entries.is_empty() {
            let pack = own.as_ref().map_or(id, |(pack, _)| *pack);
            let file: &dyn Staged = own.as_ref().map_or(staged.as_ref(), |(_, file)| file.as_ref());
            let row = write_footer(file, pack, &merged, embedded)?;
            merged.packs.push(row);
            merged.packs.sort_unstable_by_key(|row| row.pack);
            if embedded {
                pack_len = row.len;
            }
        }
        cancel.check()?;
        let new_packs: Vec<Id> = merged
            .packs
            .iter()
            .filter(|row| copy.entries.iter().any(|entry| entry.pack == row.pack))
            .map(|row| row.pack)
            .collect();
        let name = merged.write(staged.as_ref(), id, target, pack_len)?;
        cancel.check()?;
        Ok(Merge { staged, target, name, own, new_packs, taken })
    }

    /// Publish the merged segment in place of its inputs; `false` when they stay, because what it leans on is going.
    fn replace(&self, writer: &Writer, mut merge: Merge) -> Result<bool> {
        let own = merge.own.as_ref().map(|(pack, _)| *pack);
        let named = merge.own.take().map_or(Ok(()), |(pack, file)| self.name_pack(pack, file));
        if planted("merge-drops-inputs-early") {
            self.drop_inputs(&merge.taken)?;
        }
        let issued =
            named.map_err(Failure::Before).and_then(|()| self.issue(&mut merge.staged, merge.target, merge.name));
        match (&issued, own) {
            (Err(Failure::Before(_)), Some(pack)) => self.unname(&[pack]),
            (Err(Failure::After(_)), _) => writer.leave(),
            _ => {}
        }
        issued.map_err(Failure::into_error)?;
        // From here on nothing is left that a segment does not list.
        self.settle(&merge)
    }

    fn name_pack(&self, pack: Id, mut file: Box<dyn Staged>) -> Result<()> {
        let path = pack_path(&pack);
        file.sync().at("sync pack", &path)?;
        file.publish(&path).at("publish pack", &path)?;
        self.disk.sync_dir("packs").at("sync", "packs")
    }

    /// Step 3 for what a merge wrote: a pack that was condemned at once leaves the inputs as they are.
    fn settle(&self, merge: &Merge) -> Result<bool> {
        self.notes.refresh(self.disk.as_ref())?;
        let snapshot = self.levels.refresh()?;
        for pack in &merge.new_packs {
            if self.notes.is_condemned(pack) || !self.pack_is_there(&snapshot, pack)? {
                return Ok(false);
            }
        }
        self.drop_inputs(&merge.taken)?;
        self.levels.refresh()?;
        Ok(true)
    }

    fn drop_inputs(&self, inputs: &[Arc<Segment>]) -> Result<()> {
        inputs.iter().try_for_each(|segment| {
            self.disk.remove(segment.path()).at("remove", segment.path())?;
            Ok(())
        })
    }
}

impl Merged {
    fn take_in(&mut self, segment: &Segment, copy: &Copied) -> Result<()> {
        let mut ordinals = Vec::new();
        for record in segment.records()? {
            if !record.pinned && record.time_ms < self.drop_before {
                ordinals.push(None);
                continue;
            }
            let next = u32::try_from(self.records.len()).map_err(|_| internal())?;
            let at = *self.ordinals.entry(record.batch).or_insert(next);
            ordinals.push(Some(at));
            match self.records.get_mut(usize::try_from(at).map_err(|_| internal())?) {
                Some(known) => known.leaned.extend(record.leaned),
                None => self.records.push(record),
            }
        }
        let ordinal =
            |batch: Option<u32>| batch.and_then(|at| ordinals.get(usize::try_from(at).ok()?).copied().flatten());
        for at in 0..segment.layout().chunks.blocks() {
            for mut entry in segment.entries_of(at)? {
                entry.batch = ordinal(entry.batch);
                if let Some((pack, offset)) = copy.moved.get(&(entry.pack, entry.offset)) {
                    (entry.pack, entry.offset) = (*pack, *offset);
                }
                self.entries.push(entry);
            }
        }
        segment.each_blob(&mut |blob| {
            self.blobs.push(BlobEntry { batch: ordinal(blob.batch), ..*blob });
            Ok(())
        })?;
        segment.each_pin(&mut |pin| {
            self.pins.insert((pin.key, pin.batch));
            Ok(())
        })?;
        let own = segment.name().id;
        self.packs.extend(segment.pack_rows()?.iter().filter(|row| !(row.embedded && row.pack == own)));
        Ok(())
    }

    /// Sort, and count each thing once: an entry by key and place, a record by batch, a key of a record once.
    fn settle(&mut self) {
        self.entries.sort_unstable_by_key(|entry| (entry.digest, entry.pack, entry.offset, !entry.root));
        let mut kept: Vec<Entry> = Vec::with_capacity(self.entries.len());
        for entry in self.entries.drain(..) {
            match kept.last() {
                Some(last) if (last.digest, last.pack, last.offset) == (entry.digest, entry.pack, entry.offset) => {
                    // Two batches saved it; one entry names one of them, the other leans on it from now on.
                    if entry.root
                        && entry.batch != last.batch
                        && let Some(record) = entry.batch.and_then(|at| self.records.get_mut(usize::try_from(at).ok()?))
                    {
                        record.leaned.push(entry.digest);
                    }
                }
                _ => kept.push(entry),
            }
        }
        self.entries = kept;
        self.blobs.sort_unstable_by_key(|blob| (blob.key, blob.root));
        let mut blobs: Vec<BlobEntry> = Vec::with_capacity(self.blobs.len());
        for blob in self.blobs.drain(..) {
            match blobs.last() {
                Some(last) if (last.key, last.root) == (blob.key, blob.root) => {
                    if blob.batch != last.batch
                        && let Some(record) = blob.batch.and_then(|at| self.records.get_mut(usize::try_from(at).ok()?))
                    {
                        record.leaned.push(blob.key);
                    }
                }
                _ => blobs.push(blob),
            }
        }
        self.blobs = blobs;
        self.packs.sort_unstable_by_key(|row| row.pack);
        self.packs.dedup_by_key(|row| row.pack);
        for record in &mut self.records {
            record.leaned.sort_unstable();
            record.leaned.dedup();
        }
    }

    fn write(&self, staged: &dyn Staged, id: Id, level: u8, pack_len: u64) -> Result<SegmentName> {
        let name = SegmentName {
            id,
            entries: self.entries.len() as u64,
            blobs: self.blobs.len() as u64,
            packs: self.packs.len() as u64,
            pins: self.pins.len() as u64,
            records_len: self.records.iter().fold(0, |sum, record| sum.saturating_add(record.encoded_len() as u64)),
            pack_len,
        };
        let mut writer = SegmentWriter::new(staged, name, level)?;
        self.entries.iter().try_for_each(|entry| writer.entry(entry))?;
        self.blobs.iter().try_for_each(|blob| writer.blob(blob))?;
        self.packs.iter().try_for_each(|row| writer.pack(row))?;
        self.pins.iter().try_for_each(|(key, batch)| writer.pin(&PinRow { key: *key, batch: *batch }))?;
        self.records.iter().try_for_each(|record| writer.record(record))?;
        writer.finish()?;
        Ok(name)
    }
}

/// The footer of the pack that small frames were copied into: its entries as the merged segment has them, and their records.
fn write_footer(file: &dyn Staged, pack: Id, merged: &Merged, embedded: bool) -> Result<PackRow> {
    let mut entries: Vec<Entry> = merged.entries.iter().filter(|entry| entry.pack == pack).copied().collect();
    entries.sort_unstable_by_key(|entry| entry.offset);
    let end = entries.last().map(Entry::end).ok_or_else(internal)?;
    let mut footer =
        Footer { entries, blobs: merged.blobs.clone(), records: merged.records.clone(), packs: Vec::new() };
    footer.list_packs(pack, embedded, std::iter::empty())?;
    let mut bytes = Vec::new();
    footer.encode(pack, &mut bytes)?;
    file.write_at(&[IoSlice::new(&bytes)], end).at("write", "pack")?;
    Ok(PackRow { pack, len: footer.pack_len().ok_or_else(internal)?, embedded })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;
    use crate::WriterId;
    use crate::chunk::Params;
    use crate::disk::SimDisk;
    use crate::format::Settings;
    use crate::store::{BatchOptions, OpenOptions};

    #[test]
    fn a_segment_that_is_too_large_to_be_merged_keeps_no_other_from_it() {
        let settings = Settings {
            store: WriterId::random().unwrap().new_id().unwrap(),
            chunking: Params::default(),
            zstd_level: 1,
            retention_ms: 1,
            conditional_writes: true,
            quoted_etags: true,
            list_after_put: true,
            reader_features: Vec::new(),
            writer_features: Vec::new(),
        };
        let options = OpenOptions {
            write: true,
            create: true,
            shared: false,
            settings,
            threads: 1,
            entries_in_memory: 1_000,
            pack_target: 256 << 20,
        };
        let store = Store::open(Arc::new(SimDisk::memory()), options).unwrap();
        for commit in 0_u32..40 {
            // The first, whose id sorts before the others', is the large one.
            let blobs: Vec<[u8; 8]> = (0_u32..if commit == 0 { 5_000 } else { 1 })
                .map(|at| ((u64::from(commit) << 32) | u64::from(at)).to_le_bytes())
                .collect();
            let items: Vec<&[u8]> = blobs.iter().map(<[u8; 8]>::as_slice).collect();
            let mut batch = store.begin(BatchOptions::default()).unwrap();
            batch.add(&items, &Cancel::new()).unwrap();
            store.commit(vec![batch]).remove(0).unwrap();
        }
        let snapshot = store.inner.levels.refresh().unwrap();
        let mut lengths: Vec<u64> = snapshot.level(0).map(|segment| segment.file_len()).collect();
        lengths.sort_unstable();
        let input = lengths.last().unwrap().saturating_sub(1);
        assert_eq!(to_merge(&snapshot, 0, input).len(), 39);
        assert!(
            to_merge(&snapshot, 0, lengths.first().unwrap().saturating_mul(3)).is_empty(),
            "too few are small enough"
        );
        assert_eq!(to_merge(&snapshot, 0, INPUT).len(), 40);
    }
}
