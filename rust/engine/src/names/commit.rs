//! Changing names: write and sync, lock, compare, rename, sync the folders, unlock, tell.

use std::collections::HashMap;
use std::time::Duration;
use std::{io, thread};

use super::folders::ToSync;
use super::spread::spread;
use super::stage::{New, Wanted, stage};
use super::{Action, Change, Names, Outcome, Patience, When, locks, place, read};
use crate::cancel::serving;
use crate::disk::Disk;
use crate::error::At;
use crate::format::Envelope;
use crate::format::envelope::MAX_PREVIOUS;
use crate::{Cancel, Error, Id, Kind, Result, WriterId};

/// How often a swap is tried, and how much longer it waits each time.
const ROUNDS: u32 = 50;
const PAUSE: Duration = Duration::from_millis(2);

/// What is known of one change while it is on its way.
struct Item<'a> {
    change: &'a Change<'a>,
    folder: String,
    path: String,
    /// The beginning of the file found under the name; what is staged follows that document.
    seen: Option<Vec<u8>>,
    /// What the disk calls the state that was seen, where it can compare and swap.
    state: Option<String>,
    /// The write ids that a put follows.
    previous: Vec<Id>,
    new: Option<New>,
    outcome: Option<Outcome>,
}

impl Names {
    /// Do all changes; those of one name after each other.
    pub(super) fn commit_all(
        &self,
        writer: WriterId,
        changes: &[Change<'_>],
        patience: &Patience,
    ) -> Result<Vec<Outcome>> {
        let mut rounds: Vec<Vec<(usize, Item<'_>)>> = Vec::new();
        let mut seen: HashMap<&str, usize> = HashMap::with_capacity(changes.len());
        for (place, change) in changes.iter().enumerate() {
            let count = seen.entry(change.name).or_default();
            let round = *count;
            *count = count.saturating_add(1);
            if rounds.len() <= round {
                rounds.push(Vec::new());
            }
            if let Some(round) = rounds.get_mut(round) {
                round.push((place, Item::new(change)));
            }
        }
        let mut outcomes: Vec<Option<Outcome>> = Vec::new();
        outcomes.resize_with(changes.len(), || None);
        for round in rounds {
            let (places, mut items): (Vec<usize>, Vec<Item<'_>>) = round.into_iter().unzip();
            let ended = self.round(writer, &mut items, patience);
            for (place, item) in places.into_iter().zip(items) {
                // A change without an outcome is one that the end of the whole round left undone.
                let undone = || ended.clone().and_then(|()| Err(Error::cancelled()));
                if let Some(outcome) = outcomes.get_mut(place) {
                    *outcome = Some(item.outcome.unwrap_or_else(undone));
                }
            }
        }
        Ok(outcomes.into_iter().flatten().collect())
    }

    /// Changes of different names. An error stands for all that have no outcome: they did not happen.
    fn round(&self, writer: WriterId, items: &mut [Item<'_>], patience: &Patience) -> Result<()> {
        let disk = &*self.disk;
        each(items, &patience.cancel, |item| item.look(disk))?;
        stage_all(disk, writer, items, &patience.cancel)?;
        let mut to_sync = ToSync::default();
        for item in items.iter().filter(|item| item.new.is_some()) {
            self.make_folder(&item.folder, &mut to_sync)?;
        }
        let open = items.iter().filter(|item| item.outcome.is_none());
        let _locks = locks::take(disk, open.map(|item| item.change.name), patience)?;
        each(items, &patience.cancel, |item| item.compare(disk))?;
        // What another writer was faster with is staged anew, under the lock: this time nobody can come between.
        stage_all(disk, writer, items, &patience.cancel)?;
        patience.cancel.check()?;
        for item in items.iter_mut().filter(|item| item.outcome.is_none()) {
            match item.insist(disk, writer, &patience.cancel) {
                Ok(()) => to_sync.add(&item.folder),
                Err(e) => {
                    if e.cause() == "missing-file" {
                        self.forget_folders();
                    }
                    item.outcome = Some(Err(e));
                }
            }
        }
        let synced = self.sync_folders(to_sync);
        for item in items.iter_mut().filter(|item| item.outcome.is_none()) {
            item.outcome = Some(match &synced {
                Ok(()) => Ok(item.version()),
                Err(e) => {
                    let text = format!("the change of {:?} is visible, but may not last", item.change.name);
                    Err(e.clone().recast(Kind::Uncertain, "name-uncertain", &text))
                }
            });
        }
        Ok(())
    }
}

/// Do something for each change that has no outcome yet.
fn each(items: &mut [Item<'_>], cancel: &Cancel, work: impl Fn(&mut Item<'_>) + Sync) -> Result<()> {
    let run = |items: &mut [Item<'_>]| {
        for item in items.iter_mut().filter(|item| item.outcome.is_none()) {
            cancel.check()?;
            work(item);
        }
        Ok(())
    };
    spread(items, run).into_iter().collect()
}

/// Stage what is to be put and not staged yet.
fn stage_all(disk: &dyn Disk, writer: WriterId, items: &mut [Item<'_>], cancel: &Cancel) -> Result<()> {
    let mut open: Vec<&mut Item<'_>> = items.iter_mut().filter(|item| item.needs_file()).collect();
    let mut wanted: Vec<_> = open.iter().map(|item| Wanted { change: item.change, previous: &item.previous }).collect();
    let files = stage(disk, writer, &mut wanted, cancel)?;
    for (item, file) in open.iter_mut().zip(files) {
        item.new = Some(file);
    }
    Ok(())
}

impl<'a> Item<'a> {
    fn new(change: &'a Change<'a>) -> Self {
        let (folder, path) = place(change.name);
        Self { change, folder, path, seen: None, state: None, previous: Vec::new(), new: None, outcome: None }
    }

    /// The document's version from now on.
    fn version(&self) -> Option<Id> {
        match self.change.action {
            Action::Put { .. } => self.new.as_ref().map(|new| new.version),
            Action::Delete { .. } => None,
        }
    }

    fn needs_file(&self) -> bool {
        let by_tombstone = self.state.is_some();
        self.outcome.is_none()
            && self.new.is_none()
            && (by_tombstone || matches!(self.change.action, Action::Put { .. }))
    }

    /// See what stands there, and whether the condition holds.
    fn look(&mut self, disk: &dyn Disk) {
        let found = read::versioned(disk, &self.path, true);
        let decided = found.and_then(|found| {
            let (bytes, state) = found.unzip();
            Ok((self.decide(bytes.as_deref())?, state.flatten()))
        });
        match decided {
            Ok(((seen, previous), state)) => {
                self.seen = seen;
                self.state = state;
                self.previous = previous;
            }
            Err(e) => self.outcome = Some(Err(e)),
        }
    }

    /// Look again, under the lock. What is staged is of use only if the same document still stands there.
    fn compare(&mut self, disk: &dyn Disk) {
        if self.state.is_some() {
            return; // the swap compares
        }
        match read::head(disk, &self.path) {
            Ok(head) if head == self.seen => {}
            Ok(_) => {
                self.new = None;
                self.look(disk);
            }
            Err(e) => self.outcome = Some(Err(e)),
        }
    }

    /// What tells the document found from others, and the write ids that a put would follow.
    fn decide(&self, found: Option<&[u8]>) -> Result<(Option<Vec<u8>>, Vec<Id>)> {
        let name = self.change.name;
        let conflict = || {
            Err(Error::new(Kind::Conflict, "name-conflict", format!("the document {name:?} is not what was expected")))
        };
        let tombstone = found.and_then(|bytes| read::decode(name, bytes).ok()).filter(Envelope::is_tombstone);
        let (expected, absent) = match self.change.action {
            Action::Put { when: When::Always, .. } => (None, true),
            Action::Put { when: When::Absent, .. } if found.is_some() && tombstone.is_none() => return conflict(),
            Action::Put { when: When::Absent, .. } => (None, true),
            Action::Put { when: When::Version(version), .. } => (Some(version), false),
            Action::Delete { version } => (version, false),
        };
        let Some(bytes) = found.filter(|_| tombstone.is_none() || absent) else {
            return if absent { Ok((None, Vec::new())) } else { Err(read::not_found(name)) };
        };
        let head = bytes.get(..bytes.len().min(crate::format::envelope::ENVELOPE_HEAD)).map(<[u8]>::to_vec);
        match (read::decode(name, bytes), expected) {
            (Ok(envelope), Some(version)) if envelope.version != version => conflict(),
            (Ok(envelope), _) => {
                let mut previous = envelope.previous;
                previous.insert(0, envelope.version);
                previous.truncate(MAX_PREVIOUS);
                Ok((head, previous))
            }
            // A damaged document heals by being put or deleted without a condition.
            (Err(e), None) if e.kind() == Kind::Corrupt => Ok((head, Vec::new())),
            (Err(e), _) => Err(e),
        }
    }

    /// Let the name change; where no lock keeps others away, again and again until nobody was faster or the condition fails.
    fn insist(&mut self, disk: &dyn Disk, writer: WriterId, cancel: &Cancel) -> Result<()> {
        for round in 0..ROUNDS {
            // Once it was issued, whoever gave up waits for what became of it.
            match serving(None, || self.carry_out(disk)) {
                Err(e) if e.io_kind() == Some(io::ErrorKind::AlreadyExists) => {
                    cancel.check()?;
                    thread::sleep(PAUSE.saturating_mul(round));
                    self.new = None;
                    self.look(disk);
                    if let Some(Err(e)) = self.outcome.take() {
                        return Err(e);
                    }
                    stage_all(disk, writer, std::slice::from_mut(self), cancel)?;
                }
                done => return done,
            }
        }
        let text = format!("the document {:?} changes faster than it can be replaced", self.change.name);
        Err(Error::new(Kind::Conflict, "name-conflict", text))
    }

    /// Let the name change.
    fn carry_out(&mut self, disk: &dyn Disk) -> Result<()> {
        let done = match (&mut self.new, self.change.action) {
            (Some(new), _) => new.swap(&self.path, self.state.as_deref()).at("rename", &self.path),
            (None, Action::Delete { .. }) => disk.remove(&self.path).at("remove", &self.path).map(drop),
            (None, Action::Put { .. }) => Err(Error::cancelled()),
        };
        // The system said no; whether it did nothing is for the folder to say.
        done.or_else(|e| match (read::head(disk, &self.path), &self.new) {
            (Ok(Some(head)), Some(new)) if head.ends_with(&new.version.0) => Ok(()),
            (Ok(None), None) => Ok(()),
            (Ok(_), _) if e.io_kind() != Some(io::ErrorKind::TimedOut) => Err(e),
            // It cannot be read; or it was not yet there, and may still come.
            (Ok(_) | Err(_), _) => {
                let text = format!("whether the document {:?} changed is not known", self.change.name);
                Err(e.recast(Kind::Uncertain, "name-uncertain", &text))
            }
        })
    }
}
