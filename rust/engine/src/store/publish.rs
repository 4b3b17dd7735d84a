//! The commit point: the small pack and the segment of all batches of a commit, durable, then named.

use std::collections::hash_map::Entry as MapEntry;
use std::io::IoSlice;

use super::Inner;
use super::ledger::{self, Scratch};
use super::packs::pack_path;
use super::stage::SMALL_LIMIT;
use super::stats::add;
use crate::digest::Digest;
use crate::disk::Staged;
use crate::error::At;
use crate::format::pack::{PACK_HEADER, PackHeader};
use crate::format::{BatchRecord, BlobEntry, Entry, Footer, FrameKind, PackRow, SegmentName};
use crate::id::{Id, WriterId};
use crate::index::by_digest::ByDigest;
use crate::index::levels::level_dir;
use crate::index::write::SegmentWriter;
use crate::mutant::planted;
use crate::{Error, Result};

/// What all batches of one commit put into the index.
#[derive(Default)]
pub(crate) struct Content {
    pub(crate) entries: Vec<Entry>,
    /// Entries of batches that were too large to keep theirs in memory.
    pub(crate) runs: Vec<Scratch>,
    pub(crate) blobs: Vec<BlobEntry>,
    pub(crate) records: Vec<BatchRecord>,
    pub(crate) packs: Vec<PackRow>,
    /// The small frames of all batches, one after the other as in the pack that will hold them.
    frames: Vec<u8>,
    small: Vec<Entry>,
    pub(crate) small_blobs: Vec<BlobEntry>,
    /// Where a digest stands among them.
    seen: ByDigest<(Digest, FrameKind), u64>,
}

impl Content {
    /// Whether its batches store nothing new.
    fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.runs.is_empty() && self.blobs.is_empty() && self.small.is_empty()
    }

    /// Add a frame, header and payload, to the pack that the small batches of the commit share, unless it is there. Returns where it
    /// stands in that pack, and whether it was there.
    pub(crate) fn add_frame(&mut self, entry: Entry, frame: &[u8]) -> (u64, bool) {
        let offset = (self.frames.len() as u64).saturating_add(PACK_HEADER as u64);
        match self.seen.entry((entry.digest, entry.kind)) {
            MapEntry::Occupied(seen) => (*seen.get(), true),
            MapEntry::Vacant(free) => {
                free.insert(offset);
                self.frames.extend_from_slice(frame);
                self.small.push(Entry { offset, ..entry });
                (offset, false)
            }
        }
    }
}

/// How a commit failed.
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
    /// Write the small pack and, into `staged`, the segment; sync, name, sync. Returns the id of the small pack.
    pub(crate) fn publish(
        &self,
        mut staged: Box<dyn Staged>,
        mut content: Content,
        writer: WriterId,
    ) -> Result<Option<Id>, Failure> {
        if planted("lean-on-undurable") && content.is_empty() {
            return Ok(None);
        }
        let id = writer.new_id()?;
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
        if planted("batch-in-halves") && separate && content.entries.len() > 1 {
            let entries = content.entries.split_off(content.entries.len() / 2);
            let early = Content { entries, packs: content.packs.clone(), ..Content::default() };
            let mut staged = self.disk.stage().at("stage a segment in", "tmp")?;
            self.publish_segment(&mut staged, early, writer.new_id()?, 0, true)?;
        }
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
            entries: content
                .runs
                .iter()
                .fold(content.entries.len() as u64, |sum, run| sum.saturating_add(run.rows().into())),
            blobs: content.blobs.len() as u64,
            packs: content.packs.len() as u64,
            pins: 0,
            records_len: content.records.iter().fold(0, |sum, record| sum.saturating_add(record.encoded_len() as u64)),
            pack_len,
        };
        let mut writer = SegmentWriter::new(staged.as_ref(), name, 0)?;
        ledger::merge(&content.entries, &content.runs, &mut |entry| writer.entry(entry))?;
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
