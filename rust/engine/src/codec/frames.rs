//! The payload of a compressed chunk: zstd frames back to back, each stating its content size. Any zstd reads them in one go.
//!
//! A chunk that is not byte-grouped is one frame. A byte-grouped one is a frame per lane, since lanes have little in common: exponents get a
//! Huffman table of their own, and lanes that look random (the low bytes of floats) are frames of raw blocks, which cost a copy.

use zstd::bulk::Compressor;
use zstd::zstd_safe::{self, CParameter};

use super::sample;
use crate::{Error, Result};

/// The four bytes every zstd frame begins with. Skippable and legacy frames begin with others.
pub(super) const MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];

/// Frames that a payload has at most: more are refused.
pub(super) const MOST: usize = 16;

/// Frame header descriptor: content size in four bytes, single segment, no checksum, no dictionary (RFC 8878, 3.1.1.1.1).
const RAW_DESCRIPTOR: u8 = 0b1010_0000;

/// The largest block of a frame.
const BLOCK: usize = 128 << 10;

/// The shortest repetition that the fast levels look for in a lane of restless bytes.
const LANE_MATCH: u32 = 7;

/// Bytes that a frame costs beside its content, about.
pub(super) const OVERHEAD: usize = 10;

/// Writes frames one after the other into a buffer that it keeps.
pub(super) struct Frames {
    zstd: Compressor<'static>,
    level: i32,
    buffer: Vec<u8>,
    written: usize,
}

/// What a lane looks like.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lane {
    /// Nothing to gain: raw blocks.
    Random,
    /// A few values in no order, such as exponents: a Huffman table of its own, and no short repetitions.
    Restless,
    /// Runs and counters: repetitions are all that counts, neighbours share a frame.
    Calm,
}

impl Lane {
    fn of(lane: &[u8]) -> Self {
        if sample::calm(lane) {
            Self::Calm
        } else if sample::looks_random(lane) {
            Self::Random
        } else {
            Self::Restless
        }
    }
}

impl Frames {
    pub(super) fn new(level: i32) -> Result<Self> {
        let zstd = Compressor::new(level).map_err(|e| Error::io("make", "a zstd context", e))?;
        Ok(Self { zstd, level, buffer: Vec::new(), written: 0 })
    }

    /// Forget what was written.
    pub(super) fn clear(&mut self) {
        self.written = 0;
    }

    /// What was written.
    pub(super) fn written(&self) -> &[u8] {
        self.buffer.get(..self.written).unwrap_or_default()
    }

    /// Append a compressed frame.
    pub(super) fn compress(&mut self, bytes: &[u8]) -> Result<()> {
        self.match_from(0)?;
        self.frame(bytes)
    }

    /// The shortest repetition to look for; 0: the level's own.
    fn match_from(&mut self, shortest: u32) -> Result<()> {
        self.zstd.set_parameter(CParameter::MinMatch(shortest)).map_err(|e| Error::io("set up", "a zstd context", e))
    }

    fn frame(&mut self, bytes: &[u8]) -> Result<()> {
        let room = self.room(zstd_safe::compress_bound(bytes.len()));
        let len = match self.buffer.get_mut(room) {
            Some(room) => self.zstd.compress_to_buffer(bytes, room).map_err(|e| Error::io("compress", "a chunk", e))?,
            None => 0,
        };
        self.written = self.written.saturating_add(len);
        Ok(())
    }

    /// Append each of `lanes` equal parts of `grouped`; what is left after them goes with the last one.
    pub(super) fn compress_lanes(&mut self, grouped: &[u8], lanes: usize) -> Result<()> {
        let width = grouped.len().checked_div(lanes).unwrap_or(0);
        let mut rest = grouped;
        let mut neighbours = (Lane::Random, 0);
        for left in (0..lanes).rev() {
            let unseen = rest.get(neighbours.1..).unwrap_or_default();
            let lane = unseen.get(..width).filter(|_| left > 0).unwrap_or(unseen);
            let kind = Lane::of(lane);
            if kind != neighbours.0 || kind == Lane::Restless {
                rest = self.lane(neighbours, rest)?;
                neighbours = (kind, 0);
            }
            neighbours.1 = neighbours.1.saturating_add(lane.len());
        }
        self.lane(neighbours, rest).map(drop)
    }

    /// Append the first bytes of `rest`, a lane or alike ones, as one frame; what follows them.
    fn lane<'a>(&mut self, (kind, len): (Lane, usize), rest: &'a [u8]) -> Result<&'a [u8]> {
        let (lane, later) = rest.split_at_checked(len).unwrap_or((rest, &[]));
        match kind {
            _ if lane.is_empty() => {}
            Lane::Random => self.store(lane),
            // Exponents repeat by chance all the time, and to say so costs more than a Huffman code.
            Lane::Restless if self.level < 3 => {
                self.match_from(LANE_MATCH)?;
                self.frame(lane)?;
            }
            Lane::Restless | Lane::Calm => self.compress(lane)?,
        }
        Ok(later)
    }

    /// Append a frame of raw blocks.
    fn store(&mut self, bytes: &[u8]) {
        self.buffer.truncate(self.written);
        self.buffer.extend(MAGIC);
        self.buffer.push(RAW_DESCRIPTOR);
        self.buffer.extend(u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
        let mut blocks = bytes.chunks(BLOCK).peekable();
        while let Some(block) = blocks.next() {
            let header = (block.len() as u32) << 3 | u32::from(blocks.peek().is_none());
            let [a, b, c, _] = header.to_le_bytes();
            self.buffer.extend([a, b, c]);
            self.buffer.extend(block);
        }
        self.written = self.buffer.len();
    }

    /// The place of the next `len` bytes; the buffer grows to hold them.
    fn room(&mut self, len: usize) -> std::ops::Range<usize> {
        let end = self.written.saturating_add(len);
        if self.buffer.len() < end {
            self.buffer.resize(end, 0);
        }
        self.written..end
    }
}
