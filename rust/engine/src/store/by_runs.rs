//! Large blobs by their locators alone: frames say themselves what they are, and the whole blob is held against its key.
//!
//! Where each look at the index is a request, a blob then costs the requests of its bytes and no other: neither its recipe nor the index
//! is read. What fails in any way is looked up.

use super::frames::gone;
use super::stage::SMALL_LIMIT;
use super::{Inner, internal, pipeline};
use crate::cancel::Cancel;
use crate::digest::{self, Digest};
use crate::disk::{Bytes, Reach};
use crate::error::At;
use crate::format::frame::{FRAME_HEADER, FrameHeader, FrameKind};
use crate::format::locator::{Locator, Run};
use crate::id::Id;
use crate::index::levels::Snapshot;
use crate::mutant::planted;
use crate::{Error, Result};

/// Blobs of no more than this: their runs are held in memory beside them.
const LARGEST: u64 = 8 * 1024 * 1024;

/// Frames of a blob are longer than the blob by no more than an eighth and this: headers, and the nodes of its recipe.
const BESIDE: u64 = 64 * 1024;

/// What ends below may stand in the pack at the head of a segment, whose place only the index tells.
const HEAD: u64 = SMALL_LIMIT as u64 + 64 * 1024;

/// What a locator says about a large blob.
#[derive(Clone, Debug)]
pub(crate) struct ByRuns {
    runs: Vec<Run>,
}

impl ByRuns {
    /// `None` where the index is asked: a blob of one chunk, one too large, or runs that would take more memory than they can hold.
    pub(crate) fn new(locator: &Locator) -> Option<Self> {
        let size = locator.size;
        let len = locator.runs.iter().fold(0_u64, |sum, run| sum.saturating_add(run.len));
        let most = size.saturating_add(size >> 3).saturating_add(BESIDE);
        let fits = locator.root.is_some() && size <= LARGEST && len <= most;
        fits.then(|| Self { runs: locator.runs.clone() })
    }

    /// The pack of each run, and where the run ends in it.
    pub(crate) fn places(&self) -> impl Iterator<Item = (Id, u64)> {
        self.runs.iter().map(|run| (run.pack, run.offset.saturating_add(run.len)))
    }
}

/// Whether a pack that goes so far is a file of its own: it is found without a view of the index.
pub(crate) fn is_in_a_pack(end: u64) -> bool {
    end > HEAD
}

/// A blob to read, and the place for its bytes.
pub(crate) struct Whole<'a> {
    /// Which of the caller's blobs it is.
    pub(crate) owner: usize,
    pub(crate) key: Digest,
    pub(crate) by: &'a ByRuns,
    /// As long as the blob.
    pub(crate) out: &'a mut [u8],
}

/// Bytes of a pack that one request fetches: runs that stand side by side.
struct Span {
    pack: Id,
    start: u64,
    end: u64,
}

fn spans(blobs: &[Whole<'_>], reach: Reach) -> Vec<Span> {
    let mut runs: Vec<&Run> = blobs.iter().flat_map(|blob| &blob.by.runs).collect();
    runs.sort_by_key(|run| (run.pack, run.offset));
    let mut spans: Vec<Span> = Vec::new();
    for run in runs {
        let end = run.offset.saturating_add(run.len);
        match spans.last_mut() {
            Some(last)
                if last.pack == run.pack
                    && run.offset.checked_sub(last.end).is_some_and(|gap| gap <= reach.gap)
                    && end.saturating_sub(last.start) <= reach.bytes =>
            {
                last.end = end;
            }
            _ => spans.push(Span { pack: run.pack, start: run.offset, end }),
        }
    }
    spans
}

impl Inner {
    /// Read whole blobs, verified. Returns the owners of those that failed, with the reason.
    pub(crate) fn read_runs(
        &self,
        snapshot: &Snapshot,
        mut blobs: Vec<Whole<'_>>,
        cancel: &Cancel,
    ) -> Vec<(usize, Error)> {
        let spans = spans(&blobs, self.disk.reach());
        let hands = self.crew.join(self.threads.min(spans.len()));
        let read = pipeline::map(&spans, hands.count(), 1, cancel, |span| Ok(self.read_span(snapshot, span)));
        let read = match read {
            Ok(read) => read,
            Err(error) => return blobs.iter().map(|blob| (blob.owner, error.clone())).collect(),
        };
        let bytes_of = |run: &Run| {
            let end = run.offset.saturating_add(run.len);
            let holds = |span: &Span| span.pack == run.pack && span.start <= run.offset && end <= span.end;
            let (span, bytes) = spans.iter().zip(&read).find(|(span, _)| holds(span)).ok_or_else(internal)?;
            let at = usize::try_from(run.offset.saturating_sub(span.start)).map_err(|_| internal())?;
            let len = usize::try_from(run.len).map_err(|_| internal())?;
            let bytes: &[u8] = (**bytes.as_ref().map_err(Clone::clone)?).as_ref();
            let rest = bytes.get(at..).unwrap_or_default();
            rest.get(..len).ok_or_else(internal)
        };
        let mut failed = Vec::new();
        for blob in &mut blobs {
            if let Err(error) = cancel.check().and_then(|()| self.put_together(blob, &bytes_of)) {
                for run in &blob.by.runs {
                    self.packs.forget(&run.pack);
                }
                failed.push((blob.owner, error));
            }
        }
        failed
    }

    fn read_span(&self, snapshot: &Snapshot, span: &Span) -> Result<Bytes> {
        let file = self.packs.open(self, snapshot, &span.pack)?.ok_or_else(|| gone(&span.pack))?;
        let len = usize::try_from(span.end.saturating_sub(span.start)).map_err(|_| internal())?;
        let bytes = file.read(span.start, len).at("read pack", &span.pack.to_string())?;
        if (*bytes).as_ref().len() == len {
            return Ok(bytes);
        }
        Err(Error::corrupt("truncated", format!("read pack {} at {}: it ends before the blob", span.pack, span.start)))
    }

    /// Decode the chunks of a blob's runs one behind the other, and hold them against its key.
    fn put_together<'r>(&self, blob: &mut Whole<'_>, bytes_of: &impl Fn(&Run) -> Result<&'r [u8]>) -> Result<()> {
        let wrong = |what: &str| Error::corrupt("locator", format!("load {}: its locator leads to {what}", blob.key));
        let mut rest = &mut *blob.out;
        for run in &blob.by.runs {
            let mut bytes = bytes_of(run)?;
            let mut chunks = 0_u32;
            while chunks < run.count {
                let (head, after) = bytes.split_at_checked(FRAME_HEADER).ok_or_else(|| wrong("too few bytes"))?;
                let header = FrameHeader::decode(head)?;
                let (payload, after) =
                    after.split_at_checked(header.stored as usize).ok_or_else(|| wrong("too few bytes"))?;
                bytes = after;
                if header.kind == FrameKind::Node {
                    continue;
                }
                let (out, left) =
                    rest.split_at_mut_checked(header.raw as usize).ok_or_else(|| wrong("more bytes than it says"))?;
                header.check_payload(payload)?;
                self.with_decoder(|tool| tool.decode(header.codec, header.group, payload, out))?;
                rest = left;
                chunks = chunks.saturating_add(1);
            }
        }
        if !rest.is_empty() {
            return Err(wrong("fewer bytes than it says"));
        }
        if digest::hash(blob.out) == blob.key || planted("read-check-off") {
            return Ok(());
        }
        Err(wrong("other bytes"))
    }
}
