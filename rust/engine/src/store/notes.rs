//! What others say about packs: condemned by a collector (`marks/`), or found damaged by a reader (`damage/`).

use std::sync::{OnceLock, PoisonError, RwLock};

use super::Inner;
use super::stats::add;
use crate::disk::Disk;
use crate::error::At;
use crate::format::SegmentName;
use crate::format::damage::DamageNote;
use crate::format::entry::Entry;
use crate::id::Id;
use crate::index::by_digest::DigestSet;
use crate::index::levels::Snapshot;
use crate::mutant::planted;
use crate::{Error, Kind, Result};

/// Both, as last listed.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    condemned: RwLock<DigestSet<Id>>,
    damaged: RwLock<DigestSet<(Id, u64)>>,
    /// What was announced that this version does not know: nothing is written any more.
    announced: OnceLock<Error>,
}

impl Notes {
    /// List both folders afresh.
    ///
    /// # Errors
    /// As for `refresh_marks`.
    pub(crate) fn refresh(&self, disk: &dyn Disk) -> Result<()> {
        self.refresh_marks(disk)?;
        self.refresh_damage(disk)
    }

    /// Whether this version may write to the store, as far as the marks that were listed tell.
    ///
    /// # Errors
    /// `Unsupported` when something is announced that this version does not know.
    pub(crate) fn check_announced(&self) -> Result<()> {
        self.announced.get().map_or(Ok(()), |error| Err(error.clone()))
    }

    /// List the marks afresh.
    ///
    /// # Errors
    /// `Unsupported` when something is announced among the marks that this version does not know: it must not write any more.
    pub(crate) fn refresh_marks(&self, disk: &dyn Disk) -> Result<()> {
        let mut condemned = DigestSet::default();
        for entry in disk.list("marks").at("list", "marks")? {
            let id = Id::from_hex(&entry.name).ok_or_else(|| {
                let text = format!(
                    "write: the store announces {:?}, which this version does not know; a newer packhouse is needed",
                    entry.name
                );
                self.announced.get_or_init(|| Error::new(Kind::Unsupported, "announcement", text)).clone()
            })?;
            condemned.insert(id);
        }
        *self.condemned.write().unwrap_or_else(PoisonError::into_inner) = condemned;
        Ok(())
    }

    /// List the damage notes afresh.
    pub(crate) fn refresh_damage(&self, disk: &dyn Disk) -> Result<()> {
        let mut damaged = DigestSet::default();
        for entry in disk.list("damage").at("list", "damage")? {
            // A name that is no note says nothing about any pack.
            if let Ok(note) = DamageNote::parse(&entry.name) {
                damaged.insert((note.pack, note.offset));
            }
        }
        *self.damaged.write().unwrap_or_else(PoisonError::into_inner) = damaged;
        Ok(())
    }

    /// Whether a pack is condemned: a condemnation is never lifted.
    pub(crate) fn is_condemned(&self, pack: &Id) -> bool {
        self.condemned.read().unwrap_or_else(PoisonError::into_inner).contains(pack)
    }

    /// Whether an entry's frame was found damaged. It bars deduplication, never reading.
    pub(crate) fn is_damaged(&self, entry: &Entry) -> bool {
        self.damaged.read().unwrap_or_else(PoisonError::into_inner).contains(&(entry.pack, entry.offset))
    }

    /// Whether the index of a segment was found damaged: its note begins where its small pack ends, and no frame does.
    pub(crate) fn is_suspect(&self, segment: &SegmentName) -> bool {
        self.damaged.read().unwrap_or_else(PoisonError::into_inner).contains(&(segment.id, segment.pack_len))
    }

    /// Whether a save must not lean on an entry.
    pub(crate) fn is_barred(&self, entry: &Entry) -> bool {
        self.is_condemned(&entry.pack) || self.is_damaged(entry)
    }
}

impl Inner {
    /// Write down that a frame is damaged, so that saving its blob again heals it. A reader that may not write only remembers it.
    pub(crate) fn note_damage(&self, entry: &Entry) {
        if self.note(DamageNote { pack: entry.pack, offset: entry.offset, len: entry.frame_len() }) {
            add(&self.counters.damaged_frames, 1);
        }
    }

    /// Write down which segments have an index that this process has found damaged, and finds damaged still: another process may have
    /// read it while it was sound, and would lean on what nobody else can find.
    pub(crate) fn note_index_damage(&self, snapshot: &Snapshot) {
        for segment in snapshot.segments.iter().filter(|segment| segment.is_harmed()) {
            let name = segment.name();
            let len = segment.file_len().saturating_sub(name.pack_len);
            if !self.notes.is_suspect(name) && segment.verify().is_err_and(|error| error.kind() == Kind::Corrupt) {
                self.note(DamageNote { pack: name.id, offset: name.pack_len, len });
            }
        }
    }

    /// Returns whether it is news.
    fn note(&self, note: DamageNote) -> bool {
        let fresh = self.notes.damaged.write().unwrap_or_else(PoisonError::into_inner).insert((note.pack, note.offset));
        if fresh && self.writable && !planted("damage-not-noted") {
            // A note that cannot be written changes nothing: the next reader finds the damage, too.
            let _ = self.publish_note(&note);
        }
        fresh
    }

    fn publish_note(&self, note: &DamageNote) -> std::io::Result<()> {
        let mut staged = self.disk.stage()?;
        staged.sync()?;
        match staged.publish(&format!("damage/{note}")) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => Err(error),
            _ => self.disk.sync_dir("damage"),
        }
    }
}
