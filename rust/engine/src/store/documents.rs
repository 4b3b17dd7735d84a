//! Named documents of a store. Whatever keeps blobs alive goes through one function: write, then check, then tell.

use super::Store;
use crate::cancel::serving;
use crate::digest::Digest;
use crate::names::{Action, Change, Names, Outcome, Patience};
use crate::{Cancel, Error, Kind, Result};

impl Store {
    /// Change documents of this store, each on its own, durable together. The blobs that a document names must be there before
    /// anything is written; they keep alive from then on, and whether that came in time is known only afterwards.
    ///
    /// # Errors
    /// Of the whole, nothing being changed: `Unsupported` when the store was made without conditional writes or announces what this
    /// version does not know, `NotFound` (`ref-not-found`) for a key without a blob, `ReadOnly`, and those of [`Names::apply`]. Of one
    /// change: those of [`Names::apply`]; `Uncertain` when it is written, but a blob that it names went meanwhile (`refs-lost`), or
    /// whether one did cannot be found out (`name-uncertain`).
    pub fn change_names(&self, names: &Names, changes: &[Change<'_>], patience: &Patience) -> Result<Vec<Outcome>> {
        if !self.inner.settings.conditional_writes {
            let text = "write a name: the store was made without conditional writes, so updates would be lost";
            return Err(Error::new(Kind::Unsupported, "conditional-writes", text));
        }
        let writer = self.writer_id()?;
        let mut refs: Vec<Digest> = changes.iter().flat_map(refs_of).copied().collect();
        refs.sort_unstable();
        refs.dedup();
        if !refs.is_empty() {
            self.check_refs(&refs, &patience.cancel)?;
        } else if !self.inner.disk.reach().far {
            self.inner.notes.refresh_marks(self.inner.disk.as_ref())?; // elsewhere it is a request: the first write has looked
        }
        let outcomes = names.apply(writer, changes, patience)?;
        // Others see it: whoever gives up now waits for what is to be told.
        Ok(serving(None, || self.check_written(changes, &refs, outcomes)))
    }

    /// What was written keeps its blobs alive from now on; whether it came in time is known only afterwards.
    fn check_written(&self, changes: &[Change<'_>], refs: &[Digest], mut outcomes: Vec<Outcome>) -> Vec<Outcome> {
        if outcomes.iter().all(Result::is_err) || self.check_refs(refs, &Cancel::new()).is_ok() {
            return outcomes;
        }
        for (change, outcome) in changes.iter().zip(&mut outcomes).filter(|(_, outcome)| outcome.is_ok()) {
            if let Err(error) = self.check_refs(refs_of(change), &Cancel::new()) {
                *outcome = Err(written_but(change.name, error));
            }
        }
        outcomes
    }

    /// Every key that a document names must have its blob.
    fn check_refs(&self, refs: &[Digest], cancel: &Cancel) -> Result<()> {
        if refs.is_empty() {
            return Ok(());
        }
        let found = self.are_whole(refs, cancel)?;
        let Some((key, _)) = refs.iter().zip(found).find(|(_, whole)| !whole) else { return Ok(()) };
        let text = format!("no blob has the key {key}, which a document is to keep alive");
        Err(Error::new(Kind::NotFound, "ref-not-found", text))
    }
}

/// The keys that a change keeps alive.
fn refs_of<'a>(change: &Change<'a>) -> &'a [Digest] {
    match change.action {
        Action::Put { refs, .. } => refs,
        Action::Delete { .. } => &[],
    }
}

/// A change that others see, after which the check of what it keeps alive failed.
fn written_but(name: &str, error: Error) -> Error {
    if error.cause() == "ref-not-found" {
        let text = format!("put {name:?}: it is written, but a blob that it names went meanwhile");
        return error.recast(Kind::Uncertain, "refs-lost", &text);
    }
    let text = format!("put {name:?}: it is written, but whether the blobs that it names are still there is not known");
    error.recast(Kind::Uncertain, "name-uncertain", &text)
}
