//! Staged packs made whole and durable: footer, sync, name.

use std::io::IoSlice;

use super::batch::Batch;
use super::packs::pack_path;
use super::pipeline::lock;
use super::recipe::Tree;
use super::stage::{PackFile, Placed, Stage};
use super::{Inner, internal};
use crate::digest::Digest;
use crate::error::At;
use crate::format::{BatchRecord, BlobEntry, Entry, Footer, PackRow};
use crate::id::Id;
use crate::mutant::planted;
use crate::{Error, Kind, Result};

/// The entry of a placed frame, once its pack has its id and its offset is final.
pub(crate) fn entry(placed: &Placed, pack: Id, offset: u64, batch: u32) -> Entry {
    Entry {
        digest: placed.digest,
        pack,
        offset,
        stored: placed.stored,
        raw: placed.raw,
        kind: placed.kind,
        root: placed.root,
        batch: Some(batch),
    }
}

/// The entry of a large blob.
pub(crate) fn blob_entry(key: Digest, tree: &Tree, batch: u32) -> BlobEntry {
    BlobEntry { key, root: tree.root, size: tree.size, chunks: tree.chunks, batch: Some(batch), height: tree.height }
}

/// The packs of a batch that has some of its own: durable and named, but in no segment yet.
pub(crate) struct Sealed {
    pub(crate) rows: Vec<PackRow>,
}

impl Inner {
    /// Write the footers of a batch's own packs, sync the packs and name them. `others` are packs of the same commit that were
    /// sealed before: the last pack lists them and its own.
    ///
    /// When it fails, what it named is removed again: nothing refers to it.
    pub(crate) fn seal_packs(&self, batch: &mut Batch, record: &BatchRecord, others: &[PackRow]) -> Result<Sealed> {
        let stage = batch.stage.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        let packs = std::mem::take(&mut stage.packs);
        let mut sealed = Sealed { rows: Vec::with_capacity(packs.len()) };
        let mut named: Vec<Id> = Vec::new();
        let count = packs.len();
        let ids: Vec<Id> = packs.iter().map(|pack| pack.id).collect();
        let far = self.disk.reach().far;
        // What it leans on may be millions of keys: they stand in the last pack, which the index is rebuilt from, and not in each.
        let bare = BatchRecord { leaned: Vec::new(), ..*record };
        let mut staged = Vec::with_capacity(count);
        let mut name = |pack: &PackFile| {
            let path = pack_path(&pack.id);
            let mut file = pack.alone();
            file.sync().at("sync pack", &path)?;
            file.publish(&path).at("publish pack", &path)?;
            named.push(pack.id);
            Ok::<(), Error>(())
        };
        let written = packs.into_iter().enumerate().try_for_each(|(at, pack)| {
            let mut entries = Vec::new();
            stage.each_of(at, &mut |placed| {
                entries.push(entry(placed, pack.id, placed.offset, 0));
                Ok(())
            })?;
            let is_last = at.saturating_add(1) == count;
            let record = if is_last { record } else { &bare };
            let mut footer = Footer { entries, blobs: Vec::new(), records: vec![record.clone()], packs: Vec::new() };
            if is_last {
                footer.blobs = batch.blobs.iter().map(|(key, tree)| blob_entry(*key, tree, 0)).collect();
                footer.blobs.sort_unstable_by_key(|blob| (blob.key, blob.root));
                footer.list_packs(pack.id, false, others.iter().chain(&sealed.rows).copied())?;
            }
            sealed.rows.push(PackRow { pack: pack.id, len: footer.pack_len().ok_or_else(internal)?, embedded: false });
            write_footer(&pack, &footer)?;
            if far {
                return name(&pack); // it has left but for its footer, and holds no more than must be held
            }
            staged.push(pack);
            Ok(())
        });
        let result = written.and_then(|()| staged.iter().try_for_each(|pack| name(pack)));
        stage.packs.clear();
        stage.sealed = ids;
        match result {
            Ok(()) => Ok(sealed),
            Err(error) => {
                self.unname(&named);
                Err(error)
            }
        }
    }

    /// Remove packs that no segment names and none will.
    pub(crate) fn unname(&self, packs: &[Id]) {
        if planted("unname-forgotten") {
            return;
        }
        for id in packs {
            // What cannot be removed, or comes back when the power goes, is an orphan that the next writer sweeps.
            let _ = self.disk.remove(&pack_path(id));
        }
        if let (false, Some(writer)) = (packs.is_empty(), lock(&self.writer).as_ref()) {
            writer.leave();
        }
    }
}

fn write_footer(pack: &PackFile, footer: &Footer) -> Result<()> {
    let mut bytes = Vec::new();
    footer.encode(pack.id, &mut bytes)?;
    let end = footer.entries.last().map(Entry::end).ok_or_else(internal)?;
    pack.staged().write_at(&[IoSlice::new(&bytes)], end).at("write pack", &pack.id.to_string())
}

impl Stage {
    /// The id of one of the batch's own packs, once it is sealed.
    pub(crate) fn sealed_id(&self, pack: u32) -> Option<Id> {
        self.sealed.get(usize::try_from(pack).ok()?).copied()
    }
}

/// An error after which nobody can say whether a batch is durable.
pub(crate) fn uncertain(error: &Error, batch: &Id) -> Error {
    error.clone().recast(
        Kind::Uncertain,
        "after-publish",
        &format!("commit batch {batch}: it may or may not be durable"),
    )
}
