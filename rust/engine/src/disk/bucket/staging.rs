//! A file on its way into a bucket: in memory until it has its name, or leaving in parts where the name is decided.

use std::collections::BTreeMap;
use std::io::{self, IoSlice, IoSliceMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Objects, Recent, Upload, scatter};
use crate::disk::Staged;

/// Bytes of a part that leaves before its file is whole.
pub(super) const PART: usize = 8 * 1024 * 1024;
/// What of a file waits in memory that is no larger than it must be.
const LITTLE: usize = 1024 * 1024;
/// Memory for a part and what is written beside it meanwhile.
const ROOM: usize = PART + 4 * LITTLE;
/// How many files are remembered, and how long one may be.
const REMEMBERED: usize = 16;
const SHORT: usize = 1024 * 1024;

/// A file that is being written.
#[derive(Debug)]
pub(super) struct BucketFile {
    objects: Arc<dyn Objects>,
    recent: Recent,
    name: Option<String>,
    body: Mutex<Body>,
}

/// The bytes that have not left yet.
#[derive(Debug, Default)]
struct Body {
    /// They begin at `left` in the file.
    window: Vec<u8>,
    left: u64,
    /// What of the window was written, from and to, in the file's own places; neighbours are joined.
    written: BTreeMap<u64, u64>,
    upload: Option<Box<dyn Upload>>,
    spare: Spare,
}

/// Memory of [`ROOM`] bytes that no file needs now: the next that writes a part takes it.
pub(super) type Spare = Arc<Mutex<Option<Vec<u8>>>>;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Body {
    fn write(&mut self, buffers: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        let mut at = usize::try_from(offset.checked_sub(self.left).ok_or_else(gone)?).map_err(|_| gone())?;
        let start = offset;
        let mut end = offset;
        for buffer in buffers {
            let to = at.saturating_add(buffer.len());
            if self.window.len() < to {
                if self.window.capacity() < to {
                    self.grow(to);
                }
                self.window.resize(to, 0);
            }
            self.window.get_mut(at..to).ok_or_else(gone)?.copy_from_slice(buffer);
            at = to;
            end = end.saturating_add(buffer.len() as u64);
        }
        self.join(start, end);
        Ok(())
    }

    /// Make room for a part and what comes beside it: in memory that another file no longer needs, if there is some.
    fn grow(&mut self, to: usize) {
        if !(LITTLE..=ROOM).contains(&to) {
            self.window.reserve(to.saturating_sub(self.window.len()));
            return;
        }
        let mut window = lock(&self.spare).take().unwrap_or_else(|| Vec::with_capacity(ROOM));
        window.extend_from_slice(&self.window);
        self.window = window;
    }

    fn join(&mut self, mut start: u64, mut end: u64) {
        if let Some((&from, &to)) = self.written.range(..=start).next_back()
            && to >= start
        {
            start = from;
            end = end.max(to);
        }
        while let Some((&from, &to)) = self.written.range(start..).next()
            && from <= end
        {
            end = end.max(to);
            self.written.remove(&from);
        }
        self.written.insert(start, end);
    }

    /// Bytes at the window's begin without a gap.
    fn ready(&self) -> usize {
        let whole = self.written.first_key_value().filter(|(from, _)| **from <= self.left);
        whole.map_or(0, |(_, to)| usize::try_from(to.saturating_sub(self.left)).unwrap_or(0))
    }

    fn send(&mut self, objects: &dyn Objects, name: &str, count: usize) -> io::Result<()> {
        let upload = match &mut self.upload {
            Some(upload) => upload,
            none => none.insert(objects.upload(name)?),
        };
        upload.write(self.window.get(..count).ok_or_else(gone)?)?;
        self.left = self.left.saturating_add(count as u64);
        let rest = self.window.len().saturating_sub(count);
        if rest > LITTLE {
            self.window.drain(..count);
            return Ok(());
        }
        // It may be long before more is written: files that are full wait for their batch.
        let mut window = std::mem::take(&mut self.window);
        self.window.extend_from_slice(window.get(count..).unwrap_or_default());
        window.clear();
        if window.capacity() <= ROOM {
            lock(&self.spare).get_or_insert(window);
        }
        Ok(())
    }
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, "this place of the file has left already")
}

impl BucketFile {
    pub(super) fn new(objects: Arc<dyn Objects>, recent: Recent, spare: Spare, name: Option<&str>) -> Self {
        let body = Mutex::new(Body { spare, ..Body::default() });
        Self { objects, recent, name: name.map(str::to_owned), body }
    }

    fn body(&self) -> MutexGuard<'_, Body> {
        lock(&self.body)
    }

    fn remember(&self, path: &str, bytes: Vec<u8>) {
        let mut recent = lock(&self.recent);
        if recent.len() >= REMEMBERED {
            recent.pop_first();
        }
        recent.insert(path.to_owned(), bytes);
    }

    fn put(&self, path: &str) -> io::Result<()> {
        let mut body = self.body();
        if body.left == 0 {
            self.objects.put(path, &body.window)?;
            if path.starts_with("index/") && body.window.len() <= SHORT {
                self.remember(path, std::mem::take(&mut body.window));
            }
            return Ok(());
        }
        let rest = body.window.len();
        if rest > 0 {
            body.send(self.objects.as_ref(), path, rest)?;
        }
        body.upload.take().ok_or_else(gone)?.finish()
    }
}

impl Staged for BucketFile {
    fn write_at(&self, buffers: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        let mut body = self.body();
        body.write(buffers, offset)?;
        if let Some(name) = &self.name {
            while body.ready() >= PART {
                body.send(self.objects.as_ref(), name, PART)?;
            }
        }
        Ok(())
    }

    fn read_at(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
        let body = self.body();
        let at = usize::try_from(offset.checked_sub(body.left).ok_or_else(gone)?).map_err(|_| gone())?;
        Ok(scatter(body.window.get(at..).unwrap_or_default(), buffers))
    }

    fn start_writeback(&self, _offset: u64, _len: u64) {}

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn modified_ms(&self) -> io::Result<i64> {
        Ok(self.objects.now_ms())
    }

    fn publish(&mut self, path: &str) -> io::Result<()> {
        // Other names are random: nothing can have them.
        if path == "store.json" { self.objects.put_if(path, &self.body().window, None) } else { self.put(path) }
    }

    fn replace(&mut self, path: &str) -> io::Result<()> {
        self.put(path)
    }

    fn swap(&mut self, path: &str, version: Option<&str>) -> io::Result<()> {
        self.objects.put_if(path, &self.body().window, version)
    }
}
