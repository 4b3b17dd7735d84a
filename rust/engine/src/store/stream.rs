//! A blob that comes in pieces: one pass, cut and both hashes together.

use std::sync::{Mutex, PoisonError};

use super::batch::{Batch, GRAIN, Row};
use super::feed::cut_up_to;
use super::internal;
use super::pipeline::{self, Stations, lock};
use super::place::{Large, Placer, Ready};
use super::stage::Write;
use crate::Result;
use crate::cancel::Cancel;
use crate::chunk::Cutter;
use crate::digest::{self, StreamHasher};

/// See the module.
#[derive(Default)]
pub(crate) struct Stream {
    hasher: StreamHasher,
    /// Bytes that belong to no chunk yet: no more than the largest chunk has.
    carry: Vec<u8>,
    large: Large,
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("size", &self.large.builder.size()).finish_non_exhaustive()
    }
}

impl Stream {
    pub(crate) fn write(&mut self, batch: &mut Batch, piece: &[u8], cancel: &Cancel) -> Result<()> {
        cancel.check()?;
        let largest = batch.store.settings.chunking.max as usize;
        if self.large.builder.chunks() == 0 && self.carry.len().saturating_add(piece.len()) <= largest {
            // It may end here, and is one chunk then.
            self.hasher.update(piece);
            self.carry.extend_from_slice(piece);
            return Ok(());
        }
        let cutter = Cutter::new(&batch.store.settings.chunking)?;
        // The chunks that begin in the carry, each whole in `head`.
        let carried = self.carry.len();
        let mut head = std::mem::take(&mut self.carry);
        let borrowed = piece.len().min(largest.saturating_mul(2));
        head.extend_from_slice(piece.get(..borrowed).unwrap_or_default());
        let mut rest = head.as_slice();
        let mut chunks = Vec::new();
        while head.len().saturating_sub(rest.len()) < carried {
            let mut one = cut_up_to(&cutter, &mut rest, false, 1)?;
            if one.is_empty() {
                break;
            }
            chunks.append(&mut one);
        }
        let used = head.len().saturating_sub(rest.len());
        let hands = batch.store.crew.join(batch.store.threads);
        let threads = hands.count();
        let Self { hasher, large, .. } = self;
        let tail = match used.checked_sub(carried) {
            // The carry is used up: the rest of the piece is cut in place.
            Some(used) => {
                let rest = piece.get(used..).ok_or_else(internal)?;
                let run = Run::new(batch, large, &cutter, chunks, rest);
                hash_beside(hasher, piece, threads, || run.run(threads, cancel))?.to_vec()
            }
            // No whole chunk is sure to be there: the piece was short, all of it is in `head`.
            None => {
                hasher.update(piece);
                let tail = rest.to_vec();
                Run::new(batch, large, &cutter, chunks, &[]).run(1, cancel)?;
                tail
            }
        };
        self.carry = tail;
        Ok(())
    }

    pub(crate) fn end(mut self, batch: &mut Batch, cancel: &Cancel) -> Result<Row> {
        let key = self.hasher.finish();
        let carry = std::mem::take(&mut self.carry);
        let largest = batch.store.settings.chunking.max as usize;
        if self.large.builder.chunks() == 0 && carry.len() <= largest {
            let first = batch.rows.len();
            batch.add(&[&carry], cancel)?;
            let row = batch.rows.pop().flatten().ok_or_else(internal)?;
            debug_assert!(batch.rows.len() == first && digest::hash(&carry) == key);
            return Ok(row);
        }
        let cutter = Cutter::new(&batch.store.settings.chunking)?;
        let mut rest = carry.as_slice();
        let chunks = cut_up_to(&cutter, &mut rest, true, usize::MAX)?;
        Run::new(batch, &mut self.large, &cutter, chunks, &[]).run(1, cancel)?;
        if let Some(tree) = batch.blobs.get(&key) {
            return batch.repeat(key, tree.size);
        }
        let mut writes = Vec::new();
        let (mut row, tree) = placer(batch).finish(key, self.large, &mut writes)?;
        writes.iter().try_for_each(|write| write.run(&batch.store))?;
        let listed = batch.known.blob_is_listed(&batch.store, &key, &tree)?;
        if listed && row.stored == 0 {
            row.existed = true;
            batch.known.lean_on_blob(key);
        } else {
            batch.blobs.insert(key, tree);
        }
        Ok(row)
    }
}

fn placer(batch: &Batch) -> Placer<'_> {
    Placer { store: &batch.store, writer: batch.writer.id, stage: &batch.stage, known: &batch.known }
}

/// Take the whole blob's hash on one thread while `work` runs on the others.
fn hash_beside<R: Send>(
    hasher: &mut StreamHasher,
    piece: &[u8],
    threads: usize,
    work: impl FnOnce() -> Result<R>,
) -> Result<R> {
    if threads <= 1 || piece.len() < GRAIN {
        hasher.update(piece);
        return work();
    }
    let hasher = Mutex::new(hasher);
    let hash = || lock(&hasher).update(piece);
    std::thread::scope(|scope| {
        if pipeline::helpers(scope, 1, hash).is_empty() {
            hash();
        }
        work()
    })
}

/// The chunks of one piece on their way through the pipeline.
struct Run<'b, 's, 'a> {
    placer: Placer<'b>,
    cutter: &'s Cutter,
    source: Mutex<(Vec<&'a [u8]>, &'a [u8])>,
    large: Mutex<&'s mut Large>,
}

impl<'b, 's, 'a> Run<'b, 's, 'a> {
    fn new(batch: &'b Batch, large: &'s mut Large, cutter: &'s Cutter, first: Vec<&'a [u8]>, rest: &'a [u8]) -> Self {
        Self { placer: placer(batch), cutter, source: Mutex::new((first, rest)), large: Mutex::new(large) }
    }

    /// Returns the bytes behind the last chunk that is sure.
    fn run(self, threads: usize, cancel: &Cancel) -> Result<&'a [u8]> {
        pipeline::run(&self, threads, cancel)?;
        Ok(self.source.into_inner().unwrap_or_else(PoisonError::into_inner).1)
    }
}

impl<'a> Stations for Run<'_, '_, 'a> {
    type Unit = Vec<&'a [u8]>;
    type Done = Vec<Ready<'a>>;
    type Rest = Vec<Write<'a>>;

    fn next(&self) -> Result<Option<Self::Unit>> {
        let mut source = lock(&self.source);
        if !source.0.is_empty() {
            return Ok(Some(std::mem::take(&mut source.0)));
        }
        let chunks = cut_up_to(self.cutter, &mut source.1, false, GRAIN)?;
        Ok((!chunks.is_empty()).then_some(chunks))
    }

    fn work(&self, unit: Self::Unit) -> Result<Self::Done> {
        self.placer.prepare(&unit)
    }

    fn place(&self, done: Self::Done) -> Result<Self::Rest> {
        let mut writes = Vec::new();
        let mut large = lock(&self.large);
        for ready in done {
            self.placer.chunk(&mut large, ready, &mut writes)?;
        }
        Ok(writes)
    }

    fn after(&self, writes: Self::Rest) -> Result<()> {
        writes.iter().try_for_each(|write| write.run(self.placer.store))
    }
}
