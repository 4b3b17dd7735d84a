//! The commit: packs durable, then one segment for all batches, then the check, then the answer. `docs/format.md` has the argument.

use std::collections::BTreeSet;
use std::sync::PoisonError;

use super::batch::Batch;
use super::publish::{Content, Failure};
use super::seal::{blob_entry, entry, uncertain};
use super::stage::{Placed, SMALL};
use super::{Inner, Store, internal};
use crate::cancel::{Cancel, serving};
use crate::codec::Encoded;
use crate::digest::Digest;
use crate::error::At;
use crate::format::{BatchRecord, BlobEntry, Entry, Locator};
use crate::id::Id;
use crate::index::by_digest::{ByDigest, DigestSet};
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

/// One batch on its way through the commit.
pub(crate) struct Member {
    slot: usize,
    pub(crate) batch: Batch,
    pub(crate) record: BatchRecord,
    /// Packs of its own that have names, for taking back.
    pub(crate) named: Vec<Id>,
    /// Small frames that turned out to be known since they were staged.
    pub(crate) late: ByDigest<Digest, Entry>,
    /// Where its small frames stand in the pack that all batches of the commit share.
    pub(crate) shared: ByDigest<Digest, u64>,
    /// How far they moved there, if all moved alike.
    pub(crate) shift: Option<u64>,
    /// What it borrowed and, in the end, did not find where the lender had put it.
    pub(crate) astray: DigestSet<Digest>,
}

impl Member {
    /// Add the frames of a small batch to the pack that the commit's small batches share. Returns the blobs that another of them stores.
    fn share(&mut self, content: &mut Content, ordinal: u32) -> Result<Vec<Digest>> {
        let stage = self.batch.stage.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut leaned = Vec::new();
        let mut shifts = BTreeSet::new();
        for placed in stage.ledger.recent().iter().filter(|placed| !self.late.contains_key(&placed.digest)) {
            let from = usize::try_from(placed.offset).map_err(|_| internal())?;
            let to = usize::try_from(placed.offset.saturating_add(placed.frame_len())).map_err(|_| internal())?;
            let frame = stage.small.get(from..to).ok_or_else(internal)?;
            let (offset, there) = content.add_frame(entry(placed, Id([0; 16]), 0, ordinal), frame);
            if there && placed.root {
                leaned.push(placed.digest);
            }
            shifts.insert(offset.saturating_sub(placed.offset));
            self.shared.insert(placed.digest, offset);
        }
        self.shift = shifts.pop_first().filter(|_| shifts.is_empty() && self.late.is_empty());
        Ok(leaned)
    }
}

impl Store {
    /// Make batches visible, together and durably. One batch's failure does not touch the others; a failure of what they share
    /// fails all that are left. Each batch is answered after the check that nothing it leans on was condemned or lost meanwhile.
    ///
    /// An error of class `Uncertain` says that the batch may or may not be durable: ask `committed` with its id.
    pub fn commit(&self, batches: Vec<Batch>) -> Vec<Result<Vec<Saved>>> {
        // Batches of many callers: it is seen to its end, whoever gives up.
        serving(None, || self.commit_all(batches))
    }

    fn commit_all(&self, batches: Vec<Batch>) -> Vec<Result<Vec<Saved>>> {
        let inner = &self.inner;
        let mut results: Vec<Option<Result<Vec<Saved>>>> = batches.iter().map(|_| None).collect();
        let mut fail = |slot: usize, error: Error| {
            if let Some(result) = results.get_mut(slot) {
                *result = Some(Err(error));
            }
        };
        // A crowded level makes every look-up slow; that it could not be merged is no reason to fail a commit.
        let _ = inner.merge_if_crowded(&Cancel::new());
        let staged = match inner.disk.stage().at("stage a segment in", "tmp") {
            Ok(staged) => staged,
            Err(error) => return batches.iter().map(|_| Err(error.clone())).collect(),
        };
        // The store's clock: the time of a file that was just made.
        let now = staged.modified_ms().unwrap_or_else(|_| inner.disk.now_ms());
        let mut members = Vec::new();
        for (slot, batch) in batches.into_iter().enumerate() {
            match inner.check_writable().and_then(|()| inner.join(slot, batch, now)) {
                Ok(member) => members.push(member),
                Err(error) => fail(slot, error),
            }
        }
        // Lenders before borrowers: who borrowed leans on what a lender of the same commit has written.
        members.sort_by_key(|member| member.batch.stage.lock().map_or(0, |stage| stage.borrowed.len()));
        let mut content = Content::default();
        let mut sound = Vec::new();
        for mut member in members {
            match inner.gather(&mut member, &mut content) {
                Ok(()) => sound.push(member),
                Err(error) => fail(member.slot, error),
            }
        }
        if planted("check-before-publish") {
            for member in &sound {
                let _ = inner.confirm(&member.batch, &member.record, &member.named);
            }
        }
        if !sound.is_empty() {
            let outcome = match sound.first() {
                Some(first) => inner.publish(staged, content, first.batch.writer.id),
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

impl Inner {
    fn join(&self, slot: usize, batch: Batch, time_ms: i64) -> Result<Member> {
        batch.check_complete()?;
        let record = BatchRecord { batch: batch.id, time_ms, pinned: batch.options.pin, leaned: Vec::new() };
        let mut member = Member {
            slot,
            batch,
            record,
            named: Vec::new(),
            late: ByDigest::default(),
            shared: ByDigest::default(),
            shift: None,
            astray: DigestSet::default(),
        };
        self.look_again(&mut member)?;
        member.record.leaned = member.batch.leaned_keys();
        Ok(member)
    }

    /// What was saved by others since this batch looked: its frames need not be stored again while they are still in memory.
    fn look_again(&self, member: &mut Member) -> Result<()> {
        let batch = &mut member.batch;
        if batch.generation == self.levels.generation() {
            return Ok(());
        }
        let stage = batch.stage.get_mut().unwrap_or_else(PoisonError::into_inner);
        for placed in stage.ledger.recent().iter().filter(|placed| placed.pack == SMALL) {
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

    /// What a member borrowed: a lender of this commit or an earlier one has it, or it is copied out of the lender's file.
    fn settle_borrowed(&self, member: &mut Member, content: &Content) -> Result<()> {
        let Member { batch, record, late, astray, .. } = member;
        let stage = batch.stage.get_mut().unwrap_or_else(PoisonError::into_inner);
        if stage.borrowed.is_empty() {
            return Ok(());
        }
        let mut writes = Vec::new();
        for (digest, (lent, root)) in std::mem::take(&mut stage.borrowed) {
            let promised = lent.entry();
            if stage.ledger.find(&digest)?.is_some() {
                // It came again after the lender was gone, and was stored.
                if root {
                    stage.ledger.find_root(&digest)?;
                }
                astray.insert(digest);
                continue;
            }
            let there = if content.packs.iter().any(|row| row.pack == promised.pack) {
                Some(promised)
            } else {
                batch.known.chunks(self, promised.kind, &[digest])?.pop().flatten()
            };
            if let Some(entry) = there {
                batch.known.lean(&entry);
                if root {
                    batch.known.lean_on_blob(digest);
                }
                if (entry.pack, entry.offset) != (promised.pack, promised.offset) {
                    astray.insert(digest);
                }
                late.insert(digest, entry);
            } else {
                let (header, payload) = lent.read(self)?;
                let encoded = Encoded { codec: header.codec, group: header.group, payload: payload.into() };
                stage.place(self, batch.writer.id, &header, encoded, root, &mut writes)?;
                astray.insert(digest);
            }
        }
        writes.iter().try_for_each(|write| write.run(self))?;
        record.leaned = batch.leaned_keys();
        Ok(())
    }

    /// Seal a member's own packs and add its rows to the commit; when it fails, nothing was added.
    fn gather(&self, member: &mut Member, content: &mut Content) -> Result<()> {
        self.settle_borrowed(member, content)?;
        let ordinal = u32::try_from(content.records.len()).map_err(|_| internal())?;
        let batch = &mut member.batch;
        let blobs = batch.blobs.iter().map(|(key, tree)| blob_entry(*key, tree, ordinal));
        let stage = batch.stage.get_mut().unwrap_or_else(PoisonError::into_inner);
        if stage.packs.is_empty() {
            content.small_blobs.extend(blobs);
            let leaned = member.share(content, ordinal)?;
            member.record.leaned.extend(leaned);
            member.record.leaned.sort_unstable();
            member.record.leaned.dedup();
        } else {
            let blobs: Vec<BlobEntry> = blobs.collect();
            let entry = |placed: &Placed| {
                let pack = usize::try_from(placed.pack).ok().and_then(|at| stage.packs.get(at)).ok_or_else(internal)?;
                Ok(entry(placed, pack.id, placed.offset, ordinal))
            };
            let (entries, run) = stage.ledger.sorted(self.disk.as_ref(), &entry, self.entries_in_memory)?;
            let sealed = self.seal_packs(batch, &member.record, &content.packs)?;
            member.named = sealed.rows.iter().map(|row| row.pack).collect();
            content.packs.extend(sealed.rows);
            content.entries.extend(entries);
            content.runs.extend(run);
            content.blobs.extend(blobs);
        }
        content.records.push(member.record.clone());
        Ok(())
    }
}
