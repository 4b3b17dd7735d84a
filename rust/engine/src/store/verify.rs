//! Check everything that stands in a store: every block of the index, every frame of every pack, every recipe, every large blob,
//! every named document.

use std::collections::HashSet;
use std::io::IoSliceMut;
use std::sync::{Arc, Mutex};

use super::frames::{Job, plan};
use super::locate::Piece;
use super::pipeline::{self, lock};
use super::{Inner, Store};
use crate::cancel::Cancel;
use crate::digest::{Digest, StreamHasher};
use crate::disk::File;
use crate::error::At;
use crate::format::{BlobEntry, Entry, Footer, FrameKind};
use crate::id::Id;
use crate::index::by_digest::DigestSet;
use crate::index::levels::Snapshot;
use crate::mutant::planted;
use crate::names;
use crate::{Error, Kind, Result};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Stable name of what is wrong, an error's cause.
    pub cause: String,
    /// The file or object of the store that it was found in.
    pub path: String,
    /// A sentence.
    pub text: String,
}

/// What was checked, and what was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VerifyReport {
    /// Segments read to the last block.
    pub segments: u64,
    /// Packs read to the last frame.
    pub packs: u64,
    /// Frames decoded and held against their digests.
    pub frames: u64,
    /// Large blobs put together and held against their keys.
    pub large_blobs: u64,
    /// Named documents held against their checksums.
    pub documents: u64,
    /// Bytes of packs read.
    pub bytes: u64,
    /// Packs that no segment names: a commit that is under way, or what a writer left that died.
    pub unlisted_packs: u64,
    /// What is wrong; empty when all is well.
    pub findings: Vec<Finding>,
}

/// What was checked already.
#[derive(Default)]
struct Seen {
    segments: HashSet<String>,
    packs: DigestSet<Id>,
    blobs: DigestSet<(Digest, Digest)>,
}

/// How often it looks for what was merged meanwhile.
const ROUNDS: usize = 8;

struct Tally<'a> {
    report: VerifyReport,
    progress: &'a mut (dyn FnMut(u64) + Send),
}

impl VerifyReport {
    fn count(counter: &mut u64, n: u64) {
        *counter = counter.saturating_add(n);
    }
}

impl Store {
    /// Read and check everything. Damaged frames are noted, so that saving their blobs again heals them, where the store may be written.
    /// `progress` is called with the bytes read so far.
    ///
    /// # Errors
    /// `Cancelled`; errors of the disk that say nothing about the bytes.
    pub fn verify(&self, progress: &mut (dyn FnMut(u64) + Send), cancel: &Cancel) -> Result<VerifyReport> {
        let inner = &self.inner;
        let mut snapshot = inner.levels.refresh()?;
        let tally = Mutex::new(Tally { report: VerifyReport::default(), progress });
        if let Err(error) = super::open::read_settings(inner.disk.as_ref()) {
            find(&tally, "store.json", &error);
        }
        let documents =
            names::verify::verify(inner.disk.as_ref(), cancel, &mut |path, error| find(&tally, path, error))?;
        lock(&tally).report.documents = documents;
        let mut listed: Vec<(Id, Option<u64>)> = Vec::new();
        for entry in inner.disk.list("packs").at("list", "packs")? {
            match Id::from_hex(&entry.name) {
                Some(id) => listed.push((id, None)),
                None => find(
                    &tally,
                    &format!("packs/{}", entry.name),
                    &Error::corrupt("pack-name", "not the name of a pack"),
                ),
            }
        }
        let mut seen = Seen::default();
        for _ in 0..ROUNDS {
            inner.verify_view(&snapshot, std::mem::take(&mut listed), &mut seen, &tally, cancel)?;
            // Segments that are merged meanwhile are gone, and what stood in them stands in others.
            let now = inner.levels.refresh()?;
            if now.losses == snapshot.losses {
                break;
            }
            let gone = |path: &str| {
                path.starts_with("index/")
                    && !now.segments.iter().any(|segment| segment.path() == path)
                    && !now.broken.iter().any(|(broken, _)| broken == path)
            };
            lock(&tally).report.findings.retain(|finding| !gone(&finding.path));
            snapshot = now;
        }
        let mut report = tally.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).report;
        report.findings.sort_unstable_by(|a, b| (&a.path, &a.cause).cmp(&(&b.path, &b.cause)));
        Ok(report)
    }
}

fn find(tally: &Mutex<Tally<'_>>, path: &str, error: &Error) {
    let finding = Finding { cause: error.cause().to_owned(), path: path.to_owned(), text: error.to_string() };
    lock(tally).report.findings.push(finding);
}

impl Inner {
    /// Check segments, the packs that they name and those in `packs`, and large blobs, as far as nothing of it was seen before.
    fn verify_view(
        &self,
        snapshot: &Arc<Snapshot>,
        mut packs: Vec<(Id, Option<u64>)>,
        seen: &mut Seen,
        tally: &Mutex<Tally<'_>>,
        cancel: &Cancel,
    ) -> Result<()> {
        for (path, error) in snapshot.broken.iter().filter(|(path, _)| seen.segments.insert(path.clone())) {
            find(tally, path, error);
        }
        let mut blobs: Vec<BlobEntry> = Vec::new();
        for segment in snapshot.segments.iter().filter(|segment| seen.segments.insert(segment.path().to_owned())) {
            cancel.check()?;
            VerifyReport::count(&mut lock(tally).report.segments, 1);
            if let Err(error) = segment.verify().and_then(|()| segment.records().map(|_| ())) {
                find(tally, segment.path(), &error);
            }
            match segment.pack_rows() {
                Ok(rows) => packs.extend(rows.iter().map(|row| (row.pack, Some(row.len)))),
                Err(error) => find(tally, segment.path(), &error),
            }
            let read = segment.each_blob(&mut |blob| {
                blobs.push(*blob);
                Ok(())
            });
            if let Err(error) = read {
                find(tally, segment.path(), &error);
            }
        }
        self.note_index_damage(snapshot);
        // Behind each other: what a segment says of a pack before what the folder says.
        packs.sort_unstable_by_key(|(id, len)| (*id, len.is_none()));
        packs.dedup_by_key(|(id, _)| *id);
        packs.retain(|(id, _)| seen.packs.insert(*id));
        pipeline::map(&packs, self.threads, 1, cancel, |(id, len)| {
            self.verify_pack(snapshot, id, *len, tally, cancel)
        })?;
        blobs.sort_unstable_by_key(|blob| (blob.key, blob.root));
        blobs.dedup_by_key(|blob| (blob.key, blob.root));
        blobs.retain(|blob| seen.blobs.insert((blob.key, blob.root)));
        pipeline::map(&blobs, self.threads, 1, cancel, |blob| {
            let checked = self.verify_blob(snapshot, blob, cancel).or_else(|error| {
                let now = self.levels.refresh()?;
                if now.losses == snapshot.losses { Err(error) } else { self.verify_blob(&now, blob, cancel) }
            });
            if let Err(error) = checked {
                if error.kind() == Kind::Cancelled {
                    return Err(error);
                }
                find(tally, &blob.key.to_string(), &error);
            }
            VerifyReport::count(&mut lock(tally).report.large_blobs, 1);
            Ok(())
        })?;
        Ok(())
    }

    fn verify_pack(
        &self,
        snapshot: &Snapshot,
        id: &Id,
        expected: Option<u64>,
        tally: &Mutex<Tally<'_>>,
        cancel: &Cancel,
    ) -> Result<()> {
        let path =
            snapshot.embedded(id).map_or_else(|| super::packs::pack_path(id), |segment| segment.path().to_owned());
        self.packs.forget(id);
        let opened = match self.packs.open(self, snapshot, id)? {
            Some(file) => match file.len() {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
                len => Some((file, len.at("stat", &path)?)),
            },
            None => None,
        };
        let Some((file, len)) = opened else {
            if expected.is_none() {
                return Ok(()); // its writer, or one that swept after it, has taken it back since it was listed
            }
            find(
                tally,
                &path,
                &Error::corrupt("missing-pack", format!("the index names pack {id}, which is not there")),
            );
            return Ok(());
        };
        let len = snapshot.embedded(id).map_or(len, |segment| segment.name().pack_len);
        if expected.is_some_and(|expected| expected != len) {
            find(
                tally,
                &path,
                &Error::corrupt("pack-length", format!("pack {id} has {len} bytes, the index says {expected:?}")),
            );
        }
        {
            let mut tally = lock(tally);
            VerifyReport::count(&mut tally.report.packs, 1);
            VerifyReport::count(&mut tally.report.unlisted_packs, u64::from(expected.is_none()));
        }
        let footer = match read_footer(file.as_ref(), id, len) {
            Ok(footer) => footer,
            Err(error) => {
                find(tally, &path, &error);
                return Ok(());
            }
        };
        if planted("verify-footers-only") {
            return Ok(());
        }
        self.verify_frames(snapshot, &footer.entries, &path, tally, cancel)
    }

    fn verify_frames(
        &self,
        snapshot: &Snapshot,
        entries: &[Entry],
        path: &str,
        tally: &Mutex<Tally<'_>>,
        cancel: &Cancel,
    ) -> Result<()> {
        // A pack's frames pass through memory a few megabytes at a time.
        for group in pipeline::portions(entries, 256, |entry| entry.raw.into()) {
            let mut outs: Vec<Vec<u8>> = group.iter().map(|entry| vec![0; entry.raw as usize]).collect();
            let jobs = group
                .iter()
                .zip(&mut outs)
                .map(|(entry, out)| Job { entry: *entry, out, owner: 0, check: true })
                .collect();
            for task in plan(jobs, self.disk.reach()) {
                cancel.check()?;
                for (_, entry, _) in self.read_task(snapshot, task) {
                    // A note is for ever: what only could not be read now gets none, and damage is looked at twice.
                    self.packs.forget(&entry.pack);
                    if let Err(error) = self.read_frame(snapshot, &entry) {
                        if error.kind() == Kind::Corrupt {
                            self.note_damage(&entry);
                        }
                        find(tally, path, &error);
                    }
                }
            }
            let bytes = group.iter().fold(0_u64, |sum, entry| sum.saturating_add(entry.frame_len()));
            let mut tally = lock(tally);
            VerifyReport::count(&mut tally.report.frames, group.len() as u64);
            VerifyReport::count(&mut tally.report.bytes, bytes);
            let so_far = tally.report.bytes;
            (tally.progress)(so_far);
        }
        Ok(())
    }

    fn verify_blob(&self, snapshot: &Arc<Snapshot>, blob: &BlobEntry, cancel: &Cancel) -> Result<()> {
        let mut hasher = StreamHasher::new();
        // A blob passes through memory a few megabytes at a time.
        let pieces = self.recipe(snapshot, blob, (0, blob.size), &mut Vec::new(), cancel)?;
        for group in pipeline::portions(&pieces, 128, |piece| piece.len) {
            for (piece, bytes) in group.iter().zip(self.chunks_of(snapshot, blob, group, cancel)?) {
                cancel.check()?;
                if bytes.len() as u64 != piece.len {
                    return Err(Error::corrupt(
                        "recipe",
                        format!("verify {}: chunk {} is not what its recipe says", blob.key, piece.digest),
                    ));
                }
                hasher.update(&bytes);
            }
        }
        if hasher.finish() == blob.key {
            return Ok(());
        }
        Err(Error::corrupt("blob", format!("verify {}: the bytes of its recipe are not those of the key", blob.key)))
    }
}

impl Inner {
    /// The bytes of chunks, each held against its digest: together by the first entry of each, and by every other where that fails.
    fn chunks_of(
        &self,
        snapshot: &Arc<Snapshot>,
        blob: &BlobEntry,
        pieces: &[Piece],
        cancel: &Cancel,
    ) -> Result<Vec<Vec<u8>>> {
        let entries = self.entries_of(snapshot, &blob.key, pieces, cancel)?;
        let mut outs: Vec<Vec<u8>> = entries.iter().map(|entry| vec![0; entry.raw as usize]).collect();
        let jobs = entries.iter().zip(&mut outs).enumerate();
        let jobs = jobs.map(|(owner, (entry, out))| Job { entry: *entry, out, owner, check: true }).collect();
        let mut failed = Vec::new();
        for task in plan(jobs, self.disk.reach()) {
            cancel.check()?;
            failed.extend(self.read_task(snapshot, task).into_iter().map(|(owner, _, _)| owner));
        }
        for owner in failed {
            if let (Some(piece), Some(out)) = (pieces.get(owner), outs.get_mut(owner)) {
                *out = self.read_any(snapshot, &piece.digest, FrameKind::Chunk)?;
            }
        }
        Ok(outs)
    }
}

/// A pack's footer, read from its end.
pub(crate) fn read_footer(file: &dyn File, id: &Id, len: u64) -> Result<Footer> {
    let short = || Error::corrupt("pack-trailer", format!("pack {id} is cut short"));
    let mut read = |offset: u64, len: u64| -> Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(len).map_err(|_| short())?];
        let read = file.read_at(&mut [IoSliceMut::new(&mut bytes)], offset).at("read pack", &id.to_string())?;
        if read == bytes.len() { Ok(bytes) } else { Err(short()) }
    };
    let (header, footer) = Footer::read(len, &mut read)?;
    if header.pack != *id {
        return Err(Error::corrupt("pack-trailer", format!("pack {id} says that it is {}", header.pack)));
    }
    Ok(footer)
}
