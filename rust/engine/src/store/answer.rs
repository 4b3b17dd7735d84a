//! What the caller of a batch is told: step 3 first, then each blob's result.

use std::sync::PoisonError;

use super::Inner;
use super::batch::{Place, Row};
use super::commit::{Member, Saved};
use super::place::frame_len;
use super::runs::{PackRef, Run as Placed};
use super::seal::uncertain;
use super::stage::SMALL;
use super::stats::add;
use crate::format::pack::PACK_HEADER;
use crate::format::{Locator, Run};
use crate::id::Id;
use crate::mutant::planted;
use crate::{Digest, Result};

impl Inner {
    /// Check a member of a commit that was published, then tell its results: once it is checked nothing can fail.
    pub(crate) fn answer(&self, mut member: Member, small_pack: Option<Id>) -> Result<Vec<Saved>> {
        let mut own = member.named.clone();
        own.extend(small_pack);
        if !planted("check-before-publish")
            && let Err(error) = self.confirm(&member.batch, &member.record, &own)
        {
            member.batch.writer.leave();
            return Err(uncertain(&error, &member.batch.id));
        }
        let rows = std::mem::take(&mut member.batch.rows);
        let saved: Vec<Saved> = rows.into_iter().flatten().map(|row| member.saved(row, small_pack)).collect();
        let counters = &self.counters;
        add(&counters.batches, 1);
        add(&counters.blobs_saved, saved.len() as u64);
        add(&counters.blobs_known, saved.iter().filter(|one| one.existed).count() as u64);
        add(&counters.bytes_saved, saved.iter().fold(0, |sum, one| sum.saturating_add(one.size)));
        add(&counters.bytes_stored, saved.iter().fold(0, |sum, one| sum.saturating_add(one.stored)));
        Ok(saved)
    }
}

impl Member {
    /// A row as its caller sees it.
    fn saved(&mut self, row: Row, small_pack: Option<Id>) -> Saved {
        let Row { key, size, mut stored, mut existed, root, mut runs, borrowed } = row;
        for digest in &borrowed {
            if self.astray.contains(digest) {
                runs = Place::Nowhere;
            }
            if let Some(entry) = self.late.get(digest) {
                stored = stored.saturating_sub(frame_len(entry));
            }
        }
        existed |= stored == 0 && !borrowed.is_empty();
        let runs = match (runs, self.late.get(&key)) {
            (Place::Own, Some(entry)) => {
                (stored, existed) = (0, true);
                vec![Run { pack: entry.pack, offset: entry.offset, len: frame_len(entry), first: 0, count: 1 }]
            }
            (Place::Own, None) => self.own_place(&key, small_pack).into_iter().collect(),
            (Place::Runs(runs), _) => self.joined(&runs, small_pack).unwrap_or_default(),
            (Place::Nowhere, _) => Vec::new(),
        };
        let locator = (!runs.is_empty()).then_some(Locator { size, root, runs });
        Saved { key, size, stored, existed, locator }
    }

    /// The place of one chunk of this batch; `None` when it cannot be read back from where a giant batch notes its places.
    fn own_place(&mut self, key: &Digest, small_pack: Option<Id>) -> Option<Run> {
        let stage = self.batch.stage.get_mut().unwrap_or_else(PoisonError::into_inner);
        let placed = stage.ledger.find(key).ok().flatten()?;
        let (pack, offset) = match stage.sealed_id(placed.pack) {
            Some(pack) => (pack, placed.offset),
            None => small_pack.zip(self.shared.get(key).copied())?,
        };
        Some(Run { pack, offset, len: placed.frame_len(), first: 0, count: 1 })
    }

    /// The runs of a large blob by the names of their packs, neighbours joined; `None` when one of them is not known.
    fn joined(&mut self, runs: &[Placed], small_pack: Option<Id>) -> Option<Vec<Run>> {
        let stage = self.batch.stage.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut named: Vec<Run> = Vec::with_capacity(runs.len());
        for run in runs {
            let (pack, offset) = match run.pack {
                PackRef::Known(id) => (id, run.offset),
                // What was placed while the batch was small stands at the head of its first pack now, or in the pack that it shares.
                PackRef::Own(SMALL) => match stage.sealed.first() {
                    Some(first) => (*first, run.offset.checked_add(PACK_HEADER as u64)?),
                    None => (small_pack?, run.offset.checked_add(self.shift?)?),
                },
                PackRef::Own(at) => (stage.sealed_id(at)?, run.offset),
            };
            match named.last_mut() {
                Some(last) if last.pack == pack && last.offset.checked_add(last.len) == Some(offset) => {
                    last.len = last.len.checked_add(run.length)?;
                    last.count = last.count.checked_add(run.count)?;
                }
                _ => named.push(Run { pack, offset, len: run.length, first: run.first, count: run.count }),
            }
        }
        Some(named)
    }
}
