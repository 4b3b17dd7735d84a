//! All segments of a store, level by level: which there are, and what they know about a key.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::by_digest::ByDigest;
use super::segment::Segment;
use crate::cancel::lock_unless_cancelled;
use crate::digest::Digest;
use crate::disk::Disk;
use crate::error::At;
use crate::format::blob::BlobEntry;
use crate::format::segment::SegmentName;
use crate::format::{Entry, FrameKind, KeyBits};
use crate::id::Id;
use crate::store::pipeline;
use crate::{Cancel, Error, Result};

/// A segment that was listed.
enum Place {
    Open(Arc<Segment>),
    New(String, u8, SegmentName),
}

/// So many segments are opened at once where each is a request.
const AT_ONCE: usize = 16;
/// So many filters are asked at once.
const TOGETHER: usize = 16;
/// Level folders, `index/0` to `index/7`.
pub(crate) const LEVELS: u8 = 8;

/// The path of a level's folder.
pub(crate) fn level_dir(level: u8) -> String {
    format!("index/{level}")
}

/// A view of the index at one moment; it never changes.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    /// Counts the changes that this process has seen.
    pub(crate) generation: u64,
    /// Counts the times that segments this process knew were gone, merged as a rule.
    pub(crate) losses: u64,
    /// Level 0 first.
    pub(crate) segments: Vec<Arc<Segment>>,
    /// Segments whose file begins with a small pack, by the pack's id.
    embedded: ByDigest<Id, usize>,
    /// Segments that could not be opened, and why.
    pub(crate) broken: Vec<(String, Error)>,
    /// Whether each look is a request.
    far: bool,
}

/// What a look-up found, and the first damage that it met on its way.
#[derive(Debug)]
pub(crate) struct Found<T> {
    pub(crate) hits: Vec<T>,
    /// The segment that has the first of them.
    pub(crate) at: Option<Arc<Segment>>,
    pub(crate) damage: Option<Error>,
}

impl Snapshot {
    fn new(
        (generation, losses): (u64, u64),
        segments: Vec<Arc<Segment>>,
        broken: Vec<(String, Error)>,
        far: bool,
    ) -> Self {
        let embedded = segments
            .iter()
            .enumerate()
            .filter(|(_, segment)| segment.name().pack_len > 0)
            .map(|(at, segment)| (segment.name().id, at))
            .collect();
        Self { generation, losses, segments, embedded, broken, far }
    }

    /// The segment whose file holds this small pack.
    pub(crate) fn embedded(&self, pack: &Id) -> Option<&Arc<Segment>> {
        self.embedded.get(pack).and_then(|&at| self.segments.get(at))
    }

    /// Segments in one level.
    pub(crate) fn level(&self, level: u8) -> impl Iterator<Item = &Arc<Segment>> {
        self.segments.iter().filter(move |segment| segment.level() == level)
    }

    /// Call `take` with every entry of a chunk or node until it says that it has seen enough.
    pub(crate) fn chunks(
        &self,
        digest: &Digest,
        kind: FrameKind,
        take: &mut dyn FnMut(&Entry, &Arc<Segment>) -> Result<bool>,
    ) -> Result<Option<Error>> {
        self.chunks_from(None, digest, kind, take)
    }

    /// The same, beginning with one segment, if it is of this view.
    pub(crate) fn chunks_from(
        &self,
        first: Option<&Arc<Segment>>,
        digest: &Digest,
        kind: FrameKind,
        take: &mut dyn FnMut(&Entry, &Arc<Segment>) -> Result<bool>,
    ) -> Result<Option<Error>> {
        let mut damage = self.broken.first().map(|(_, error)| error.clone());
        let mut entries = Vec::new();
        let key = KeyBits::of(digest);
        let mut ask = |segment: &Arc<Segment>| {
            entries.clear();
            if let Err(error) = segment.chunks(digest, &mut entries) {
                damage.get_or_insert(error);
            }
            for entry in entries.iter().filter(|entry| entry.kind == kind) {
                if take(entry, segment)? {
                    return Ok(true);
                }
            }
            Ok(false)
        };
        let first = first.filter(|first| self.segments.iter().any(|segment| Arc::ptr_eq(segment, first)));
        if let Some(first) = first
            && first.may_hold(&key).unwrap_or(true)
            && ask(first)?
        {
            return Ok(damage);
        }
        if self.far {
            self.ask_filters(&key)?;
        }
        for group in self.segments.chunks(TOGETHER) {
            // All filters first: their lines come from memory side by side. One that cannot be read says nothing.
            let mut may = [false; TOGETHER];
            may.iter_mut().zip(group).for_each(|(may, segment)| *may = segment.may_hold(&key).unwrap_or(true));
            for (segment, _) in group.iter().zip(may).filter(|(_, may)| *may) {
                if first.is_none_or(|first| !Arc::ptr_eq(first, segment)) && ask(segment)? {
                    return Ok(damage);
                }
            }
        }
        Ok(damage)
    }

    /// Fetch what the filters say about a key, side by side where each is a request; whoever asks them next need not.
    fn ask_filters(&self, key: &KeyBits) -> Result<()> {
        let away: Vec<&Arc<Segment>> = self.segments.iter().filter(|segment| !segment.is_here()).collect();
        if away.len() > 1 {
            pipeline::map(&away, AT_ONCE, 1, &Cancel::new(), |segment| {
                let _ = segment.may_hold(key); // told when it is asked
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Every entry of a large blob.
    pub(crate) fn blobs(&self, key: &Digest) -> Found<BlobEntry> {
        self.blobs_in(key, &|_| true)
    }

    /// Every entry of a large blob in segments that are `trusted`.
    pub(crate) fn blobs_in(&self, key: &Digest, trusted: &dyn Fn(&Segment) -> bool) -> Found<BlobEntry> {
        let mut found =
            Found { hits: Vec::new(), at: None, damage: self.broken.first().map(|(_, error)| error.clone()) };
        if self.far
            && let Err(error) = self.ask_filters(&KeyBits::of(key))
        {
            found.damage = found.damage.or(Some(error));
        }
        for segment in self.segments.iter().filter(|segment| trusted(segment)) {
            if let Err(error) = segment.blobs(key, &mut found.hits) {
                found.damage = found.damage.or(Some(error));
            }
            if found.at.is_none() && !found.hits.is_empty() {
                found.at = Some(Arc::clone(segment));
            }
        }
        found
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Levels {
    disk: Arc<dyn Disk>,
    state: RwLock<Option<Arc<Snapshot>>>,
    refreshing: Mutex<()>,
    /// When they were listed last.
    listed: Mutex<Option<Instant>>,
    /// Bytes of index that may still be kept in memory.
    budget: Arc<AtomicU64>,
}

/// The index of 100 million chunks has about this many bytes of filters and fan-out; beyond it blocks are read when needed.
const RESIDENT: u64 = 96 * 1024 * 1024;

impl Levels {
    pub(crate) fn new(disk: Arc<dyn Disk>) -> Self {
        let budget = Arc::new(AtomicU64::new(RESIDENT));
        Self { disk, state: RwLock::new(None), refreshing: Mutex::new(()), listed: Mutex::new(None), budget }
    }

    /// Whether this process has listed them less than so long ago. A stale view costs space, never correctness.
    pub(crate) fn are_recent(&self, age: Duration) -> bool {
        self.listed.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|listed| listed.elapsed() < age)
    }

    /// The newest view this process has; listed when there is none yet.
    pub(crate) fn snapshot(&self) -> Result<Arc<Snapshot>> {
        match self.current() {
            Some(snapshot) => Ok(snapshot),
            None => self.refresh(),
        }
    }

    /// The newest view this process has, an empty one when there is none yet.
    pub(crate) fn listed(&self) -> Arc<Snapshot> {
        self.current().unwrap_or_default()
    }

    /// Which state `snapshot` would give.
    pub(crate) fn generation(&self) -> u64 {
        self.current().map_or(0, |snapshot| snapshot.generation)
    }

    fn current(&self) -> Option<Arc<Snapshot>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// List the levels again, from 0 upward: a merge writes into a higher level before it deletes its inputs, so nothing is missed.
    pub(crate) fn refresh(&self) -> Result<Arc<Snapshot>> {
        self.list_again(false)
    }

    /// The same, and open segments count only while their files are there with their length: what this process still reads through an
    /// open descriptor may be gone for everybody else.
    pub(crate) fn refresh_checked(&self) -> Result<Arc<Snapshot>> {
        self.list_again(true)
    }

    fn list_again(&self, checked: bool) -> Result<Arc<Snapshot>> {
        let _one_at_a_time = lock_unless_cancelled(&self.refreshing)?;
        let started = Instant::now();
        let old = self.current();
        let open: HashMap<String, &Arc<Segment>> = old
            .iter()
            .flat_map(|snapshot| &snapshot.segments)
            .map(|segment| (segment.path().to_owned(), segment))
            .collect();
        // A segment that was listed and is gone was merged meanwhile: list again.
        for _ in 0..64 {
            if let Some((segments, broken)) = self.list(&open, checked)? {
                Cancel::check_here()?; // what one caller gave up is not broken for others
                *self.listed.lock().unwrap_or_else(PoisonError::into_inner) = Some(started);
                let same = old.as_ref().is_some_and(|old| {
                    broken.is_empty()
                        && old.broken.is_empty()
                        && old.segments.len() == segments.len()
                        && old.segments.iter().zip(&segments).all(|(a, b)| Arc::ptr_eq(a, b))
                });
                if let (true, Some(old)) = (same, &old) {
                    return Ok(Arc::clone(old));
                }
                return Ok(self.set(old.as_deref(), segments, broken));
            }
        }
        Err(Error::corrupt("index", "list the index: its segments change faster than they can be opened"))
    }

    fn is_sound(&self, segment: &Segment) -> Result<bool> {
        let found = self.disk.stat(segment.path()).at("stat", segment.path())?;
        Ok(found.is_some_and(|meta| !meta.is_dir && meta.len == segment.file_len()))
    }

    fn set(&self, old: Option<&Snapshot>, segments: Vec<Arc<Segment>>, broken: Vec<(String, Error)>) -> Arc<Snapshot> {
        let generation = old.map_or(1, |old| old.generation.wrapping_add(1));
        let kept = |segment: &Arc<Segment>| segments.iter().any(|other| Arc::ptr_eq(segment, other));
        let lost = old.is_some_and(|old| !old.segments.iter().all(kept));
        let losses = old.map_or(0, |old| old.losses).wrapping_add(u64::from(lost));
        let snapshot = Arc::new(Snapshot::new((generation, losses), segments, broken, self.disk.reach().far));
        *self.state.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&snapshot));
        snapshot
    }

    #[allow(clippy::type_complexity, reason = "segments and what could not be opened, once")]
    fn list(
        &self,
        open: &HashMap<String, &Arc<Segment>>,
        checked: bool,
    ) -> Result<Option<(Vec<Arc<Segment>>, Vec<(String, Error)>)>> {
        let far = self.disk.reach().far;
        let mut places: Vec<Place> = Vec::new();
        let mut broken = Vec::new();
        let mut seen = HashSet::new();
        let dirs: Vec<String> = (0..LEVELS).map(level_dir).collect();
        let listed = self.disk.list_in_order(&dirs).at("list", "index")?;
        for ((level, dir), mut entries) in (0..LEVELS).zip(&dirs).zip(listed) {
            entries.sort_unstable();
            for entry in entries {
                let path = format!("{dir}/{}", entry.name);
                if let Some(&segment) = open.get(&path)
                    && (!checked || far || self.is_sound(segment)?)
                {
                    places.push(Place::Open(Arc::clone(segment)));
                    continue;
                }
                let Ok(name) = SegmentName::parse(&entry.name) else {
                    broken.push((
                        path.clone(),
                        Error::corrupt("index", format!("list {path:?}: not the name of a segment")),
                    ));
                    continue;
                };
                if !seen.insert(name.id) {
                    continue;
                }
                places.push(Place::New(path, level, name));
            }
        }
        let threads = if far { AT_ONCE } else { 1 };
        let opened = pipeline::map(&places, threads, 1, &Cancel::new(), |place| {
            Ok(match place {
                Place::Open(segment) => Some(Ok(Arc::clone(segment))),
                Place::New(path, level, name) => {
                    let opened = Segment::open(self.disk.as_ref(), *level, *name, &self.budget);
                    opened.map_err(|error| (path.clone(), error)).transpose().map(|opened| opened.map(Arc::new))
                }
            })
        })?;
        let mut segments = Vec::with_capacity(opened.len());
        for one in opened {
            match one {
                Some(Ok(segment)) => segments.push(segment),
                Some(Err(error)) => broken.push(error),
                None => return Ok(None),
            }
        }
        Ok(Some((segments, broken)))
    }

    /// Add a segment that this process has published, without listing.
    pub(crate) fn add(&self, level: u8, name: SegmentName) -> Result<()> {
        let _one_at_a_time = self.refreshing.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(old) = self.current() else { return Ok(()) };
        let Some(segment) = Segment::open(self.disk.as_ref(), level, name, &self.budget)? else { return Ok(()) };
        let mut segments = old.segments.clone();
        let at = segments.partition_point(|other| other.level() <= level);
        segments.insert(at, Arc::new(segment));
        self.set(Some(&old), segments, old.broken.clone());
        Ok(())
    }
}
