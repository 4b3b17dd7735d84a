//! Frames that a batch of this process has written and not committed yet. Another batch that needs the same bytes borrows them: it
//! keeps the pack's file, and when it commits it leans on the lender's pack, or copies out of the file where that was withdrawn.

use std::io::IoSliceMut;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak};

use super::pipeline::lock;
use super::stage::{PackFile, Placed};
use super::{Inner, internal, seal};
use crate::digest::Digest;
use crate::error::At;
use crate::format::frame::{FRAME_HEADER, FrameHeader};
use crate::index::by_digest::ByDigest;
use crate::{Error, Result};

/// No more frames than this are offered at a time.
const MOST: usize = 1 << 16;

/// A frame in a pack that another batch is writing.
#[derive(Clone, Debug)]
pub(crate) struct Lent {
    pub(crate) pack: Arc<PackFile>,
    pub(crate) placed: Placed,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    offers: Mutex<Offers>,
    any: AtomicBool,
}

#[derive(Debug, Default)]
struct Offers {
    frames: ByDigest<Digest, (Weak<PackFile>, Placed)>,
    prune_at: usize,
}

impl Pending {
    /// Offer frames that have been written. They are offered as long as somebody holds the pack's file.
    pub(crate) fn offer(&self, pack: &Arc<PackFile>, frames: &[Placed]) {
        let mut offers = lock(&self.offers);
        if offers.frames.len() >= offers.prune_at.max(1024) {
            offers.frames.retain(|_, (pack, _)| pack.strong_count() > 0);
            offers.prune_at = offers.frames.len().saturating_mul(2);
        }
        let room = MOST.saturating_sub(offers.frames.len());
        offers.frames.extend(frames.iter().take(room).map(|placed| (placed.digest, (Arc::downgrade(pack), *placed))));
        self.any.store(!offers.frames.is_empty(), Ordering::Release);
    }

    /// A frame that is offered under a digest.
    pub(crate) fn borrow(&self, digest: &Digest) -> Option<Lent> {
        if !self.any.load(Ordering::Acquire) {
            return None;
        }
        let (pack, placed) = lock(&self.offers).frames.get(digest).cloned()?;
        Some(Lent { pack: pack.upgrade()?, placed })
    }
}

impl Lent {
    /// Where it stands once the lender is committed.
    pub(crate) fn entry(&self) -> crate::format::Entry {
        crate::format::Entry { batch: None, ..seal::entry(&self.placed, self.pack.id, self.placed.offset, 0) }
    }

    /// Its header and its payload, held against the digest.
    pub(crate) fn read(&self, store: &Inner) -> Result<(FrameHeader, Vec<u8>)> {
        let len = usize::try_from(self.placed.frame_len()).map_err(|_| internal())?;
        let mut bytes = vec![0; len];
        let pack = self.pack.id.to_string();
        let read = self.pack.staged().read_at(&mut [IoSliceMut::new(&mut bytes)], self.placed.offset);
        if read.at("read pack", &pack)? != len {
            return Err(Error::corrupt("truncated", format!("read pack {pack}: it ends early")));
        }
        store.check_frame(&self.entry(), &bytes)?;
        let payload = bytes.split_off(FRAME_HEADER);
        Ok((FrameHeader::decode(&bytes)?, payload))
    }
}
