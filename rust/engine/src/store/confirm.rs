//! Step 3: after a segment was published, and before anybody is told, nothing that its batches lean on may be condemned or gone.
//!
//! Checking after publishing is what makes a collector safe beside writers without a clock; `docs/format.md` has the argument.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::batch::Batch;
use super::known::Leaned;
use super::locate::What;
use super::packs::Looked;
use super::pipeline;
use super::place::{Ready, fresh};
use super::publish::{Content, Failure};
use super::{Inner, Store};
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::error::At;
use crate::format::entry::ENTRY;
use crate::format::{BatchRecord, Entry, FrameKind};
use crate::id::Id;
use crate::index::by_digest::{ByDigest, DigestSet};
use crate::index::levels::{Snapshot, level_dir};
use crate::mutant::planted;
use crate::{Error, Kind, Result};

/// How often the check is repeated after it had to copy something.
const ROUNDS: usize = 4;
/// In milliseconds.
const MINUTE: i64 = 60_000;

impl Inner {
    /// Check one batch of a commit that was just published; `own` are the packs it wrote. What stands in a condemned pack is copied
    /// out of it, in a second segment of the same batch.
    pub(crate) fn confirm(&self, batch: &Batch, record: &BatchRecord, own: &[Id]) -> Result<()> {
        if planted("no-step-3") {
            return Ok(());
        }
        let mut leaned: ByDigest<Id, Leaned> = batch.leaned();
        let far = self.disk.reach().far;
        if far {
            own.iter().for_each(|pack| self.packs.see(pack, true));
        }
        self.refresh_step_3(far)?;
        if !leaned.is_empty() {
            self.check_index(batch, far)?;
        }
        for pack in own {
            leaned.entry(*pack).or_default();
        }
        for _ in 0..ROUNDS {
            let snapshot = self.levels.snapshot()?;
            let packs: Vec<(&Id, &Leaned)> = leaned.iter().collect();
            let others: Vec<&Id> = leaned.keys().filter(|pack| !own.contains(pack)).collect();
            let listed = if far { self.packs_listed(&snapshot, &others)? } else { DigestSet::default() };
            let sound = pipeline::map(&packs, if far { self.threads } else { 1 }, 1, &Cancel::new(), |(pack, _)| {
                if self.notes.is_condemned(pack) {
                    return Ok(false);
                }
                // A pack whose writing was acknowledged a moment ago, and that no mark names, nobody may have deleted.
                Ok((far && own.contains(pack)) || listed.contains(pack) || self.pack_is_there(&snapshot, pack)?)
            })?;
            let mut troubled = Vec::new();
            for ((pack, needs), _) in packs.into_iter().zip(sound).filter(|(_, sound)| !sound) {
                let mut needs = needs.clone();
                if own.contains(pack) {
                    batch.placed_in(pack, &mut needs)?;
                }
                troubled.push((*pack, needs));
            }
            if troubled.is_empty() {
                return Ok(());
            }
            self.rescue(batch, record, &mut leaned, troubled)?;
            self.refresh_step_3(far)?;
        }
        Err(Error::corrupt("condemned", "check a commit: its packs are condemned faster than they can be copied"))
    }

    /// The marks are what must be read now; a folder's damage notes cost nothing to be read again.
    fn refresh_step_3(&self, far: bool) -> Result<()> {
        let disk = self.disk.as_ref();
        if far { self.notes.refresh_marks(disk) } else { self.notes.refresh(disk) }
    }

    /// What a batch leans on must be named by segments that others can read, too. Where each look is a request it is what the batch
    /// has listed before it leaned on anything.
    fn check_index(&self, batch: &Batch, far: bool) -> Result<()> {
        let mut snapshot = if far { self.levels.snapshot()? } else { self.levels.refresh_checked()? };
        for round in 0..ROUNDS {
            let suspect = snapshot.segments.iter().any(|segment| self.notes.is_suspect(segment.name()));
            if snapshot.losses == batch.losses && snapshot.broken.is_empty() && !suspect {
                return Ok(());
            }
            if self.names_all(&snapshot, batch)? {
                return Ok(());
            }
            // What stood in segments that were merged since they were listed stands in others; one that could not be read a while ago may
            // be readable.
            let losses = snapshot.losses;
            snapshot = self.levels.refresh_checked()?;
            if round > 0 && snapshot.losses == losses {
                break;
            }
        }
        Err(Error::corrupt("index", "check a commit: a segment that it leans on is gone or damaged"))
    }

    /// Whether everything that a batch leans on is named by a segment that nobody suspects, and stands there.
    fn names_all(&self, snapshot: &Arc<Snapshot>, batch: &Batch) -> Result<bool> {
        let looked = Looked::default();
        for (digest, kind) in batch.leaned().into_values().flatten() {
            if self.other_place(snapshot, &digest, kind, &looked)?.is_none() {
                return Ok(false);
            }
        }
        for key in batch.leaned_keys() {
            let large = || !snapshot.blobs_in(&key, &|segment| !self.notes.is_suspect(segment.name())).hits.is_empty();
            if self.other_place(snapshot, &key, FrameKind::Chunk, &looked)?.is_none() && !large() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Find other places for what stands in packs that are condemned or gone; copy what has none.
    fn rescue(
        &self,
        batch: &Batch,
        record: &BatchRecord,
        leaned: &mut ByDigest<Id, Leaned>,
        troubled: Vec<(Id, Leaned)>,
    ) -> Result<()> {
        let (snapshot, looked) = (self.levels.refresh()?, Looked::default());
        let mut content = Content::default();
        let mut copied: DigestSet<(Digest, FrameKind)> = DigestSet::default();
        for (pack, needs) in troubled {
            leaned.remove(&pack);
            for (digest, kind) in needs {
                if let Some(entry) = self.other_place(&snapshot, &digest, kind, &looked)? {
                    leaned.entry(entry.pack).or_default().insert((digest, kind));
                } else if copied.insert((digest, kind)) {
                    self.copy(&snapshot, &digest, kind, &mut content)?;
                }
            }
        }
        if copied.is_empty() {
            return Ok(());
        }
        content.records.push(record.clone());
        let staged = self.disk.stage().at("stage a segment in", "tmp")?;
        let pack = self.publish(staged, content, batch.writer.id).map_err(Failure::into_error)?;
        if let Some(pack) = pack {
            leaned.entry(pack).or_default().extend(copied);
        }
        Ok(())
    }

    fn other_place(
        &self,
        snapshot: &Arc<Snapshot>,
        digest: &Digest,
        kind: FrameKind,
        looked: &Looked,
    ) -> Result<Option<Entry>> {
        Ok(self.place_or_damage(snapshot, digest, kind, looked)?.0)
    }

    /// A place that can be leaned on, and the first damage that was met while one was looked for.
    fn place_or_damage(
        &self,
        snapshot: &Arc<Snapshot>,
        digest: &Digest,
        kind: FrameKind,
        looked: &Looked,
    ) -> Result<(Option<Entry>, Option<Error>)> {
        let mut found = None;
        let damage = snapshot.chunks(digest, kind, &mut |entry, segment| {
            if !self.notes.is_suspect(segment.name())
                && !self.notes.is_barred(entry)
                && looked.is_there(self, snapshot, &entry.pack)?
            {
                found = Some(*entry);
            }
            Ok(found.is_some())
        })?;
        Ok((found, damage))
    }

    fn copy(&self, snapshot: &Arc<Snapshot>, digest: &Digest, kind: FrameKind, content: &mut Content) -> Result<()> {
        let bytes = self.read_any(snapshot, digest, kind)?;
        let Ready::Fresh(mut header, encoded) = self.with_encoder(|encoder| fresh(*digest, &bytes, encoder))? else {
            return Err(super::internal());
        };
        header.kind = kind;
        let mut frame = Vec::new();
        header.encode(&mut frame)?;
        frame.extend_from_slice(&encoded.payload);
        let (pack, batch) = (Id([0; 16]), Some(0));
        let (stored, raw) = (header.stored, header.raw);
        content.add_frame(Entry { digest: *digest, pack, offset: 0, stored, raw, kind, root: false, batch }, &frame);
        Ok(())
    }
}

impl Store {
    /// Which of these blobs are there with every pack that holds a part of them, none of them condemned. Whoever writes a root (a
    /// document that keeps blobs alive, a pin) asks this *after* it is written and before anybody is told.
    ///
    /// # Errors
    /// `Cancelled`; the disk's errors.
    pub fn are_whole(&self, keys: &[Digest], cancel: &Cancel) -> Result<Vec<bool>> {
        let inner = &self.inner;
        inner.notes.refresh(inner.disk.as_ref())?;
        let mut snapshot = inner.levels.snapshot()?;
        let looked = Looked::default();
        let mut answers =
            pipeline::map(keys, inner.threads, 256, cancel, |key| Ok(inner.is_whole(&snapshot, key, &looked, cancel)))?;
        for round in 0..ROUNDS {
            if answers.iter().all(|whole| matches!(whole, Ok(true))) {
                break;
            }
            // Another process may have saved it, or merged where it stands, since the index was listed.
            let listed = inner.levels.refresh()?;
            if round > 0 && listed.losses == snapshot.losses {
                break;
            }
            snapshot = listed;
            let looked = Looked::default();
            for (key, whole) in keys.iter().zip(&mut answers).filter(|(_, whole)| !matches!(whole, Ok(true))) {
                cancel.check()?;
                *whole = inner.is_whole(&snapshot, key, &looked, cancel);
            }
        }
        answers.into_iter().collect()
    }

    /// Whether a batch was committed: `Some(true)` when its record is published, durable, and everything it needs is there,
    /// `Some(false)` when it is not, `None` when nobody can say: its record may have been dropped after the retention time, or a sync
    /// of this process failed, and what the disk holds of it shows only when the store is opened anew.
    ///
    /// # Errors
    /// `Cancelled`; `Corrupt` when a part of the index cannot be read; the disk's errors.
    pub fn committed(&self, batch: Id, cancel: &Cancel) -> Result<Option<bool>> {
        let inner = &self.inner;
        let mut answer = None;
        for _ in 0..ROUNDS {
            let snapshot = inner.levels.refresh()?;
            answer = inner.committed_in(&snapshot, batch, cancel)?;
            // What stood in segments that were merged meanwhile stands in others.
            if answer != Some(false) || inner.levels.refresh()?.losses == snapshot.losses {
                break;
            }
        }
        Ok(answer.filter(|committed| !committed || inner.poison.get().is_none()))
    }
}

impl Inner {
    fn committed_in(&self, snapshot: &Arc<Snapshot>, batch: Id, cancel: &Cancel) -> Result<Option<bool>> {
        self.notes.refresh(self.disk.as_ref())?;
        if let Some((_, error)) = snapshot.broken.first() {
            return Err(error.clone().of_index("look for a batch"));
        }
        let (mut levels, looked) = (BTreeSet::new(), Looked::default());
        for segment in &snapshot.segments {
            cancel.check()?;
            for (ordinal, record) in (0_u32..).zip(segment.records()?) {
                if record.batch != batch {
                    continue;
                }
                levels.insert(segment.level());
                let mut keys = record.leaned;
                segment.all::<ENTRY>(&segment.layout().chunks, &mut |row| {
                    let entry = Entry::decode(row)?;
                    if entry.root && entry.batch == Some(ordinal) {
                        keys.push(entry.digest);
                    }
                    Ok(())
                })?;
                segment.each_blob(&mut |blob| {
                    if blob.batch == Some(ordinal) {
                        keys.push(blob.key);
                    }
                    Ok(())
                })?;
                for key in keys {
                    cancel.check()?;
                    if !self.is_whole(snapshot, &key, &looked, cancel)? {
                        return Ok(Some(false));
                    }
                }
            }
        }
        // It can be seen: its writer may have died before the name was durable.
        for level in &levels {
            let dir = level_dir(*level);
            self.disk.sync_dir(&dir).at("sync", &dir)?;
        }
        if !levels.is_empty() {
            return Ok(Some(true));
        }
        // Records of batches that are not pinned are dropped after the retention time: an old store cannot tell.
        let age = self.age_ms()?;
        Ok((age < self.settings.retention_ms).then_some(false))
    }

    /// Whether a blob is in the index and every pack that holds a part of it is there. What cannot be read of the index is told: nobody
    /// knows then.
    fn is_whole(&self, snapshot: &Arc<Snapshot>, key: &Digest, looked: &Looked, cancel: &Cancel) -> Result<bool> {
        let (place, harm) = self.place_or_damage(snapshot, key, FrameKind::Chunk, looked)?;
        if place.is_some() {
            return Ok(true);
        }
        let (found, damage) = self.find(snapshot, key)?;
        match found.map(|found| found.what) {
            None | Some(What::Chunk(_) | What::Hint(_) | What::Runs(_)) => not_there(key, harm.or(damage)),
            Some(What::Large(blob)) => {
                let mut nodes = Vec::new();
                let pieces = match self.recipe(snapshot, &blob, (0, blob.size), &mut nodes, cancel) {
                    Ok(pieces) => pieces,
                    Err(error) if error.cause() == "index" => return Err(error),
                    Err(error) if matches!(error.kind(), Kind::Corrupt | Kind::NotFound) => return Ok(false),
                    Err(error) => return Err(error),
                };
                let chunks = pieces.iter().map(|piece| (&piece.digest, FrameKind::Chunk));
                for (digest, kind) in nodes.iter().map(|node| (node, FrameKind::Node)).chain(chunks) {
                    cancel.check()?;
                    if !self.stands(snapshot, digest, kind, looked)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
        }
    }

    fn stands(&self, snapshot: &Arc<Snapshot>, digest: &Digest, kind: FrameKind, looked: &Looked) -> Result<bool> {
        match self.place_or_damage(snapshot, digest, kind, looked)? {
            (Some(_), _) => Ok(true),
            (None, damage) => not_there(digest, damage),
        }
    }

    /// How old the store is by its disk's clock, in milliseconds; when that has gone back nobody knows.
    fn age_ms(&self) -> Result<u64> {
        let born = self.disk.stat("store.json").at("stat", "store.json")?.map_or(0, |meta| meta.modified_ms);
        let age = self.disk.now_ms().saturating_sub(born);
        // Two answers of one service may differ by a little.
        Ok(if age > -MINUTE { u64::try_from(age).unwrap_or(0) } else { u64::MAX })
    }
}

/// `false`, unless some part of the index could not be read.
fn not_there(digest: &Digest, damage: Option<Error>) -> Result<bool> {
    damage.map_or(Ok(false), |error| Err(error.of_index(&format!("look for {digest}"))))
}
