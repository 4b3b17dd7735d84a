//! The frames of small packs on their way into the pack of a merged segment.

use std::io::{IoSlice, IoSliceMut};
use std::sync::Arc;

use super::verify::read_footer;
use super::{Inner, internal};
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::disk::Staged;
use crate::error::At;
use crate::format::pack::PackHeader;
use crate::format::{Entry, FrameKind};
use crate::id::Id;
use crate::index::by_digest::ByDigest;
use crate::index::segment::Segment;
use crate::{Error, Result};

/// Frames that have moved into a new pack.
#[derive(Default)]
pub(crate) struct Copied {
    pub(crate) entries: Vec<Entry>,
    pub(crate) moved: ByDigest<(Id, u64), (Id, u64)>,
    by_digest: ByDigest<(Digest, FrameKind), u64>,
}

impl Inner {
    /// Copy the frames of small packs, each verified, behind a header into `file`. Inputs whose frames do not verify are not taken.
    pub(crate) fn copy_frames(
        &self,
        inputs: &[Arc<Segment>],
        pack: Id,
        file: &dyn Staged,
        copy: &mut Copied,
        taken: &mut Vec<Arc<Segment>>,
        cancel: &Cancel,
    ) -> Result<()> {
        let mut out = Vec::new();
        PackHeader { pack }.encode(&mut out);
        let mut end = out.len() as u64;
        let mut written = 0_u64;
        for segment in inputs {
            cancel.check()?;
            match self.sound_frames(segment) {
                Ok(frames) => {
                    for (entry, bytes) in frames {
                        let known = copy.by_digest.get(&(entry.digest, entry.kind)).copied();
                        let at = known.unwrap_or(end);
                        copy.moved.insert((entry.pack, entry.offset), (pack, at));
                        if known.is_none() {
                            copy.by_digest.insert((entry.digest, entry.kind), at);
                            copy.entries.push(Entry { pack, offset: at, ..entry });
                            end = end.saturating_add(bytes.len() as u64);
                            out.extend_from_slice(&bytes);
                        }
                    }
                    taken.push(Arc::clone(segment));
                }
                Err(_) => continue,
            }
            if out.len() >= 1 << 20 {
                file.write_at(&[IoSlice::new(&out)], written).at("write", "pack")?;
                written = written.saturating_add(out.len() as u64);
                out.clear();
            }
        }
        if copy.entries.is_empty() {
            return Ok(());
        }
        file.write_at(&[IoSlice::new(&out)], written).at("write", "pack")
    }

    /// All frames of a segment's small pack, header and payload, each held against its digest.
    fn sound_frames(&self, segment: &Arc<Segment>) -> Result<Vec<(Entry, Vec<u8>)>> {
        let name = segment.name();
        if name.pack_len == 0 {
            return Ok(Vec::new());
        }
        let file = segment.file();
        let footer = read_footer(file.as_ref(), &name.id, name.pack_len)?;
        let mut frames = Vec::with_capacity(footer.entries.len());
        for entry in footer.entries {
            let mut bytes = vec![0; usize::try_from(entry.frame_len()).map_err(|_| internal())?];
            let read = file.read_at(&mut [IoSliceMut::new(&mut bytes)], entry.offset).at("read", segment.path())?;
            if read != bytes.len() {
                return Err(Error::corrupt("truncated", format!("read segment {}: it ends early", segment.path())));
            }
            self.check_frame(&entry, &bytes)?;
            frames.push((entry, bytes));
        }
        Ok(frames)
    }
}
