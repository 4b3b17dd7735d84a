//! A writer: its id, the kernel lock that shows that it lives, and what it clears away after writers that died.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::packs::pack_path;
use super::pipeline::lock;
use super::{Inner, internal};
use crate::cancel::lock_unless_cancelled;
use crate::disk::Lock;
use crate::error::At;
use crate::id::{Id, WriterId};
use crate::mutant::planted;
use crate::{Error, Kind, Result};

/// See the module.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(crate) id: WriterId,
    _lock: Box<dyn Lock>,
    /// Something of this writer may lie about whose fate is not known: leave its file, so that a later writer looks after it.
    leaves_something: AtomicBool,
}

impl Writer {
    fn path(id: &WriterId) -> String {
        format!("writers/{id}")
    }

    /// See `leaves_something`.
    pub(crate) fn leave(&self) {
        self.leaves_something.store(true, Ordering::Relaxed);
    }
}

impl Inner {
    /// This store's writer; drawn, locked and swept for at the first write.
    ///
    /// # Errors
    /// `ReadOnly` when the store was opened for reading or refuses writes after a failed sync; `Unsupported` when the store needs a
    /// feature for writing that this version lacks; the disk's errors.
    pub(crate) fn writer(&self) -> Result<Arc<Writer>> {
        self.check_writable()?;
        let mut slot = lock_unless_cancelled(&self.writer)?;
        if let Some(writer) = slot.as_ref() {
            return Ok(Arc::clone(writer));
        }
        // Nothing is left where nothing may be written.
        self.notes.refresh_marks(self.disk.as_ref())?;
        let (id, held) = self.register()?;
        if let Err(error) = self.prepare(&id) {
            let path = Writer::path(&id);
            let _ = self.disk.remove(&path);
            return Err(error);
        }
        let writer = Arc::new(Writer { id, _lock: held, leaves_something: AtomicBool::new(false) });
        *slot = Some(Arc::clone(&writer));
        Ok(writer)
    }

    /// What a writer does before its first write.
    fn prepare(&self, id: &WriterId) -> Result<()> {
        // Its file is durable before its first pack is: whatever it leaves behind when the power goes, a later writer finds by it.
        self.disk.sync_dir("writers").at("sync", "writers")?;
        if !self.disk.reach().far {
            self.notes.refresh_damage(self.disk.as_ref())?; // elsewhere when something is leaned on
        }
        self.sweep(id)
    }

    /// Draw an id and lock its file. Another writer that sweeps may have taken the lock of the file that was just made: it is given up.
    fn register(&self) -> Result<(WriterId, Box<dyn Lock>)> {
        for _ in 0..64 {
            let id = WriterId::random()?;
            let path = Writer::path(&id);
            if let Some(held) = self.disk.try_lock(&path, true).at("lock", &path)? {
                return Ok((id, held));
            }
        }
        Err(internal())
    }

    pub(crate) fn check_writable(&self) -> Result<()> {
        if !self.writable {
            return Err(Error::new(
                Kind::ReadOnly,
                "mode",
                format!("write to {}: it was opened for reading", self.disk.describe()),
            ));
        }
        self.settings.check_writable()?;
        self.notes.check_announced()?;
        match self.poison.get() {
            Some(error) => Err(error.clone().recast(
                Kind::ReadOnly,
                "failed-sync",
                "write: the store refuses writes since a sync failed; open it again when the disk is sound",
            )),
            None => Ok(()),
        }
    }

    /// Clear away packs that writers which died have published without committing. The order is the proof: list the packs, take
    /// the dead writer's lock, *then* list the segments: whatever it committed is in that list.
    fn sweep(&self, own: &WriterId) -> Result<()> {
        if planted("no-sweep") {
            return Ok(());
        }
        let writers = self.disk.list("writers").at("list", "writers")?;
        if writers.len() <= 1 {
            return Ok(());
        }
        let packs = self.disk.list("packs").at("list", "packs")?;
        let mut dead = Vec::new();
        for entry in writers {
            let Some(id) = WriterId::from_hex(&entry.name).filter(|id| id != own) else { continue };
            let path = Writer::path(&id);
            let held = self.disk.try_lock(&path, false).at("lock", &path)?;
            if held.is_some() || planted("sweep-alive") {
                dead.push((id, held));
            }
        }
        if !dead.is_empty() {
            let gone: HashSet<WriterId> = dead.iter().map(|(id, _)| *id).collect();
            let orphans: Vec<Id> = packs
                .iter()
                .filter_map(|entry| Id::from_hex(&entry.name))
                .filter(|id| gone.contains(&id.writer()))
                .collect();
            if !self.remove_orphans(&orphans)? {
                return Ok(());
            }
            // Gone for good, what the writer itself removed included, before the file is removed that leads to them.
            self.disk.sync_dir("packs").at("sync", "packs")?;
        }
        for (id, held) in dead {
            let path = Writer::path(&id);
            self.disk.remove(&path).at("remove", &path)?;
            drop(held);
        }
        Ok(())
    }

    /// Remove those packs that no segment lists; `false` when the index cannot tell.
    fn remove_orphans(&self, packs: &[Id]) -> Result<bool> {
        if packs.is_empty() {
            return Ok(true);
        }
        let snapshot = self.levels.refresh()?;
        if !snapshot.broken.is_empty() {
            return Ok(false);
        }
        for id in packs {
            let mut listed = false;
            for segment in &snapshot.segments {
                match segment.pack_row(id) {
                    Ok(row) => listed |= row.is_some(),
                    Err(_) => return Ok(false),
                }
            }
            if !listed {
                let path = pack_path(id);
                self.disk.remove(&path).at("remove", &path)?;
            }
        }
        Ok(true)
    }

    /// Give the writer's lock back and remove its file.
    pub(crate) fn retire(&self) -> Result<()> {
        let Some(writer) = lock(&self.writer).take() else { return Ok(()) };
        if writer.leaves_something.load(Ordering::Relaxed) || Arc::strong_count(&writer) > 1 {
            return Ok(());
        }
        let path = Writer::path(&writer.id);
        self.disk.remove(&path).at("remove", &path)?;
        Ok(())
    }
}
