//! Frames of packs: read where an entry says, decoded and verified.

use std::io::IoSliceMut;
use std::sync::Arc;

use super::Inner;
use crate::digest::{self, Digest};
use crate::disk::{File, Reach};
use crate::error::At;
use crate::format::entry::Entry;
use crate::format::frame::{FRAME_HEADER, FrameHeader, FrameKind};
use crate::id::Id;
use crate::index::levels::Snapshot;
use crate::mutant::planted;
use crate::{Error, Kind, Result};

/// A frame to read, and the place for its raw bytes.
pub(crate) struct Job<'a> {
    pub(crate) entry: Entry,
    /// As long as the entry's raw length.
    pub(crate) out: &'a mut [u8],
    /// Which of the caller's blobs it belongs to.
    pub(crate) owner: usize,
    /// Whether its digest is checked here; otherwise whoever asked checks the whole blob against its key.
    pub(crate) check: bool,
}

/// Frames of one pack that are read by one system call.
pub(crate) type Task<'a> = Vec<Job<'a>>;

/// Sort jobs by place and put neighbours together.
pub(crate) fn plan(mut jobs: Vec<Job<'_>>, reach: Reach) -> Vec<Task<'_>> {
    jobs.sort_by_key(|job| (job.entry.pack, job.entry.offset));
    let mut tasks: Vec<Task<'_>> = Vec::new();
    for job in jobs {
        if let Some(task) = tasks.last_mut()
            && let (Some(first), Some(last)) = (task.first(), task.last())
            && last.entry.pack == job.entry.pack
            && let Some(gap) = job.entry.offset.checked_sub(last.entry.end())
            && gap <= reach.gap
            && task.len() < reach.frames
            && job.entry.end().saturating_sub(first.entry.offset) <= reach.bytes
        {
            task.push(job);
        } else {
            tasks.push(vec![job]);
        }
    }
    tasks
}

impl Inner {
    /// Read, decode and verify the frames of one task. Returns the owners of those that failed, with the reason.
    pub(crate) fn read_task(&self, snapshot: &Snapshot, mut task: Task<'_>) -> Vec<(usize, Entry, Error)> {
        let Some(pack) = task.first().map(|job| job.entry.pack) else { return Vec::new() };
        let file = match self.packs.open(self, snapshot, &pack) {
            Ok(Some(file)) => file,
            Ok(None) => return fail_all(&task, &gone(&pack)),
            Err(error) => return fail_all(&task, &error),
        };
        let mut heads = vec![[0_u8; FRAME_HEADER]; task.len()];
        let mut payloads = vec![Vec::new(); task.len()];
        let read = match read_into(file.as_ref(), &mut task, &mut heads, &mut payloads) {
            Ok(read) => read,
            Err(error) if error.io_kind() == Some(std::io::ErrorKind::NotFound) => {
                return fail_all(&task, &gone(&pack));
            }
            Err(error) => return fail_all(&task, &error),
        };
        let mut failed = Vec::new();
        let start = task.first().map_or(0, |job| job.entry.offset);
        for ((job, head), payload) in task.iter_mut().zip(&heads).zip(payloads) {
            let done = if job.entry.end() <= start.saturating_add(read) {
                self.finish(&job.entry, head, &payload, job.out, job.check)
            } else {
                Err(Error::corrupt(
                    "truncated",
                    format!("read pack {pack} at {}: the pack ends before the frame", job.entry.offset),
                ))
            };
            if let Err(error) = done {
                failed.push((job.owner, job.entry, error));
            }
        }
        failed
    }

    /// Decode and verify the frames of one task, whose bytes have come, from the first frame's on.
    pub(crate) fn unpack_task(&self, mut task: Task<'_>, bytes: &[u8]) -> Vec<(usize, Entry, Error)> {
        let start = task.first().map_or(0, |job| job.entry.offset);
        let mut failed = Vec::new();
        for job in &mut task {
            if let Err(error) = self.unpack(job, start, bytes) {
                failed.push((job.owner, job.entry, error));
            }
        }
        failed
    }

    fn unpack(&self, job: &mut Job<'_>, start: u64, bytes: &[u8]) -> Result<()> {
        let at = usize::try_from(job.entry.offset.saturating_sub(start)).map_err(|_| super::internal())?;
        let stored = usize::try_from(job.entry.stored).map_err(|_| super::internal())?;
        let frame = bytes.get(at..).and_then(|rest| rest.split_at_checked(FRAME_HEADER));
        let (head, payload) = frame.ok_or_else(super::internal)?;
        let payload = payload.get(..stored).ok_or_else(super::internal)?;
        if job.entry.stored == job.entry.raw {
            job.out.get_mut(..stored).ok_or_else(super::internal)?.copy_from_slice(payload);
        }
        self.finish(&job.entry, head, payload, job.out, job.check)
    }

    /// Check a frame's header against its entry, decode it and, if `check`, hold it against its digest.
    fn finish(&self, entry: &Entry, head: &[u8], payload: &[u8], out: &mut [u8], check: bool) -> Result<()> {
        let header = FrameHeader::decode(head)?;
        let place = || format!("read pack {} at {}", entry.pack, entry.offset);
        if header.kind != entry.kind
            || header.digest != entry.digest
            || header.stored != entry.stored
            || header.raw != entry.raw
        {
            return Err(Error::corrupt("frame", format!("{}: another frame stands there", place())));
        }
        if entry.stored != entry.raw {
            header.check_payload(payload)?;
            self.with_decoder(|tool| tool.decode(header.codec, header.group, payload, out))?;
        }
        if !check {
            return Ok(());
        }
        let digest = match entry.kind {
            FrameKind::Chunk => digest::hash(out),
            FrameKind::Node => digest::hash_node(out),
        };
        if digest == entry.digest || planted("read-check-off") {
            return Ok(());
        }
        Err(Error::corrupt("chunk", format!("{}: the bytes are not those of {}", place(), entry.digest)))
    }

    /// Hold a whole frame, as it stands in its pack, against its entry.
    pub(crate) fn check_frame(&self, entry: &Entry, frame: &[u8]) -> Result<()> {
        let (head, payload) = frame.split_at_checked(FRAME_HEADER).ok_or_else(super::internal)?;
        let mut out = vec![0; usize::try_from(entry.raw).map_err(|_| super::internal())?];
        if entry.stored == entry.raw {
            out.get_mut(..payload.len()).ok_or_else(super::internal)?.copy_from_slice(payload);
        }
        self.finish(entry, head, payload, &mut out, true)
    }

    /// One frame's raw bytes.
    pub(crate) fn read_frame(&self, snapshot: &Snapshot, entry: &Entry) -> Result<Vec<u8>> {
        let mut out = vec![0; usize::try_from(entry.raw).map_err(|_| super::internal())?];
        let task = vec![Job { entry: *entry, out: &mut out, owner: 0, check: true }];
        match self.read_task(snapshot, task).into_iter().next() {
            Some((_, _, error)) => Err(error),
            None => Ok(out),
        }
    }

    /// A chunk or node by any of its entries; the last resort lists the index again.
    pub(crate) fn read_any(&self, snapshot: &Arc<Snapshot>, digest: &Digest, kind: FrameKind) -> Result<Vec<u8>> {
        let mut last = None;
        for attempt in 0..2 {
            let snapshot = if attempt == 0 { Arc::clone(snapshot) } else { self.levels.refresh()? };
            let mut good = None;
            let damage = snapshot.chunks(digest, kind, &mut |entry, _| {
                match self.read_frame(&snapshot, entry) {
                    Ok(bytes) => good = Some(bytes),
                    Err(error) => {
                        self.packs.forget(&entry.pack);
                        if attempt > 0 && error.kind() == Kind::Corrupt {
                            self.note_damage(entry);
                        }
                        last = Some(error);
                    }
                }
                Ok(good.is_some())
            })?;
            if let Some(bytes) = good {
                return Ok(bytes);
            }
            if let (None, Some(damage)) = (&last, damage) {
                self.note_index_damage(&snapshot);
                last = Some(damage.of_index(&format!("look up {digest}")));
            }
        }
        // The key of a blob was found: what its recipe lists must be there, so a missing chunk is damage, too.
        Err(match last {
            Some(error) if error.kind() == Kind::NotFound => {
                error.recast(Kind::Corrupt, "missing-pack", &format!("read {digest}"))
            }
            Some(error) => error,
            None => Error::corrupt("missing-chunk", format!("read {digest}: no index entry names it")),
        })
    }
}

/// One `preadv`: headers and compressed payloads into scratch, plain payloads straight into their place.
fn read_into(
    file: &dyn File,
    task: &mut [Job<'_>],
    heads: &mut [[u8; FRAME_HEADER]],
    payloads: &mut [Vec<u8>],
) -> Result<u64> {
    let Some(first) = task.first() else { return Ok(0) };
    let (pack, start) = (first.entry.pack, first.entry.offset);
    let mut gaps = gaps(task);
    let mut pieces = Vec::with_capacity(task.len().saturating_mul(3));
    for (((job, head), payload), gap) in task.iter_mut().zip(heads).zip(payloads).zip(&mut gaps) {
        if !gap.is_empty() {
            pieces.push(IoSliceMut::new(gap));
        }
        pieces.push(IoSliceMut::new(head));
        if job.entry.stored == job.entry.raw {
            pieces.push(IoSliceMut::new(job.out));
        } else {
            payload.resize(usize::try_from(job.entry.stored).map_err(|_| super::internal())?, 0);
            pieces.push(IoSliceMut::new(payload));
        }
    }
    let read = file.read_at(&mut pieces, start).at("read pack", &pack.to_string())?;
    Ok(read as u64)
}

/// What stands between the frames of a task, as buffers to read it into.
fn gaps(task: &[Job<'_>]) -> Vec<Vec<u8>> {
    let mut end = task.first().map_or(0, |job| job.entry.offset);
    let mut gaps = Vec::with_capacity(task.len());
    for job in task {
        let gap = job.entry.offset.saturating_sub(end);
        gaps.push(vec![0; usize::try_from(gap).unwrap_or(0)]);
        end = job.entry.end();
    }
    gaps
}

/// Where the bytes of a task begin and end in its pack.
pub(crate) fn span(task: &Task<'_>) -> Result<(u64, u64)> {
    let ends = task.first().zip(task.last()).ok_or_else(super::internal)?;
    Ok((ends.0.entry.offset, ends.1.entry.end()))
}

pub(crate) fn gone(pack: &Id) -> Error {
    Error::new(Kind::NotFound, "pack", format!("read pack {pack}: it is gone"))
}

pub(crate) fn fail_all(task: &[Job<'_>], error: &Error) -> Vec<(usize, Entry, Error)> {
    task.iter().map(|job| (job.owner, job.entry, error.clone())).collect()
}
