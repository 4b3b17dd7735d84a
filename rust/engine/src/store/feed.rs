//! New blobs of one call on their way through the pipeline: small ones side by side, large ones cut as they pass.

use std::sync::Mutex;

use super::Inner;
use super::batch::{Batch, GRAIN, Row};
use super::pipeline::{self, Stations, lock};
use super::place::{Large, Placer, Ready};
use super::recipe::Tree;
use super::stage::Write;
use crate::cancel::Cancel;
use crate::chunk::Cutter;
use crate::digest::Digest;
use crate::{Error, Result};

/// A blob whose bytes are all there.
pub(crate) struct Whole<'a> {
    /// Its place among the batch's results.
    pub(crate) at: usize,
    pub(crate) key: Digest,
    pub(crate) data: &'a [u8],
}

/// What comes out for each: its place, its row and, for a large one, its tree.
pub(crate) type Finished = (usize, Row, Option<Tree>);

/// See the module.
pub(crate) struct Feed<'b, 'a> {
    placer: Placer<'b>,
    cutter: Cutter,
    largest: usize,
    source: Mutex<Source<'a>>,
    out: Mutex<Out>,
}

struct Source<'a> {
    items: std::iter::Peekable<std::vec::IntoIter<Whole<'a>>>,
    /// What is left of the large blob that is being cut.
    rest: Option<(usize, Digest, &'a [u8])>,
}

#[derive(Default)]
struct Out {
    large: Large,
    finished: Vec<Finished>,
}

pub(crate) enum Unit<'a> {
    Small(Vec<Whole<'a>>),
    Chunks { chunks: Vec<&'a [u8]>, ends: Option<(usize, Digest)> },
}

pub(crate) enum Done<'a> {
    Small(Vec<(usize, Ready<'a>)>),
    Chunks { chunks: Vec<Ready<'a>>, ends: Option<(usize, Digest)> },
}

impl<'b, 'a> Feed<'b, 'a> {
    pub(crate) fn new(batch: &'b Batch, items: Vec<Whole<'a>>, largest: usize) -> Result<Self> {
        let store: &Inner = &batch.store;
        Ok(Self {
            placer: Placer { store, writer: batch.writer.id, stage: &batch.stage, known: &batch.known },
            cutter: Cutter::new(&store.settings.chunking)?,
            largest,
            source: Mutex::new(Source { items: items.into_iter().peekable(), rest: None }),
            out: Mutex::default(),
        })
    }

    pub(crate) fn run(self, threads: usize, cancel: &Cancel) -> Result<Vec<Finished>> {
        pipeline::run(&self, threads, cancel)?;
        let out = self.out.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        Ok(out.finished)
    }

    fn next_chunks(&self, source: &mut Source<'a>) -> Result<Option<Unit<'a>>> {
        let Some((at, key, mut rest)) = source.rest.take() else { return Ok(None) };
        let chunks = cut_up_to(&self.cutter, &mut rest, true, GRAIN)?;
        let ends = rest.is_empty().then_some((at, key));
        if ends.is_none() {
            source.rest = Some((at, key, rest));
        }
        Ok(Some(Unit::Chunks { chunks, ends }))
    }
}

/// Cut chunks off `data` until they hold about `most` bytes or, unless `last`, no whole chunk is sure to be there.
pub(crate) fn cut_up_to<'a>(cutter: &Cutter, data: &mut &'a [u8], last: bool, most: usize) -> Result<Vec<&'a [u8]>> {
    let mut chunks = Vec::new();
    let mut taken = 0_usize;
    while taken < most && !data.is_empty() {
        let Some(len) = cutter.cut(data, last) else { break };
        let (chunk, rest) = data
            .split_at_checked(len)
            .filter(|(chunk, _)| !chunk.is_empty())
            .ok_or_else(|| Error::corrupt("internal", "the cutter gave a length outside the data"))?;
        taken = taken.saturating_add(len);
        chunks.push(chunk);
        *data = rest;
    }
    Ok(chunks)
}

impl<'a> Stations for Feed<'_, 'a> {
    type Unit = Unit<'a>;
    type Done = Done<'a>;
    type Rest = Vec<Write<'a>>;

    fn next(&self) -> Result<Option<Unit<'a>>> {
        let mut source = lock(&self.source);
        if let Some(unit) = self.next_chunks(&mut source)? {
            return Ok(Some(unit));
        }
        let mut small = Vec::new();
        let mut taken = 0_usize;
        while taken < GRAIN / 2
            && let Some(item) = source.items.next_if(|item| item.data.len() <= self.largest)
        {
            taken = taken.saturating_add(item.data.len()).saturating_add(1024);
            small.push(item);
        }
        if !small.is_empty() {
            return Ok(Some(Unit::Small(small)));
        }
        match source.items.next() {
            Some(item) => {
                source.rest = Some((item.at, item.key, item.data));
                self.next_chunks(&mut source)
            }
            None => Ok(None),
        }
    }

    fn work(&self, unit: Unit<'a>) -> Result<Done<'a>> {
        match unit {
            Unit::Small(items) => {
                let ready = self.placer.store.with_encoder(|encoder| {
                    let ready =
                        items.iter().map(|item| Ok((item.at, self.placer.fresh(item.key, item.data, encoder)?)));
                    ready.collect::<Result<_>>()
                });
                Ok(Done::Small(ready?))
            }
            Unit::Chunks { chunks, ends } => Ok(Done::Chunks { chunks: self.placer.prepare(&chunks)?, ends }),
        }
    }

    fn place(&self, done: Done<'a>) -> Result<Vec<Write<'a>>> {
        let mut writes = Vec::new();
        let mut out = lock(&self.out);
        match done {
            Done::Small(items) => {
                for (at, ready) in items {
                    let row = self.placer.whole(ready, &mut writes)?;
                    out.finished.push((at, row, None));
                }
            }
            Done::Chunks { chunks, ends } => {
                for ready in chunks {
                    self.placer.chunk(&mut out.large, ready, &mut writes)?;
                }
                if let Some((at, key)) = ends {
                    let large = std::mem::take(&mut out.large);
                    let (row, tree) = self.placer.finish(key, large, &mut writes)?;
                    out.finished.push((at, row, Some(tree)));
                }
            }
        }
        Ok(writes)
    }

    fn after(&self, writes: Vec<Write<'a>>) -> Result<()> {
        writes.iter().try_for_each(|write| write.run(self.placer.store))
    }
}
