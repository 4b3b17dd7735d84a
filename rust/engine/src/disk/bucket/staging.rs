//! A file on its way into a bucket: in memory until it has its name, or leaving in parts where the name is decided.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Objects, Recent, Room, Upload, scatter};
use crate::disk::Staged;

/// Bytes of a part that leaves before its file is whole.
pub(super) const PART: usize = 8 * 1024 * 1024;
/// What of a file waits in memory of its own, before parts are made of it.
const LITTLE: usize = 1024 * 1024;
/// How many files are remembered, and how long one may be.
const REMEMBERED: usize = 16;
const SHORT: usize = 1024 * 1024;

/// A file that is being written: anywhere while it has no name, at its end where it leaves in parts.
#[derive(Debug)]
pub(super) struct BucketFile {
    objects: Arc<dyn Objects>,
    recent: Recent,
    name: Option<String>,
    body: Mutex<Body>,
    /// Held by whoever sends: parts leave in their order.
    sending: Mutex<()>,
}

#[derive(Debug, Default)]
struct Body {
    /// All of it, while it is little or has no name.
    window: Vec<u8>,
    leaving: Option<Leaving>,
}

/// A file that leaves in parts.
#[derive(Debug)]
struct Leaving {
    upload: Box<dyn Upload>,
    /// Parts that are full.
    full: VecDeque<Box<dyn Room>>,
    /// The part that is being filled, and how far it is.
    last: Option<(Box<dyn Room>, usize)>,
    /// The file's length.
    end: u64,
    /// A part was lost: it is never finished.
    broken: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Leaving {
    fn new(upload: Box<dyn Upload>) -> Self {
        Self { upload, full: VecDeque::new(), last: None, end: 0, broken: false }
    }

    fn append(&mut self, mut bytes: &[u8], offset: u64) -> io::Result<()> {
        if offset != self.end {
            return Err(unfit("it leaves in parts, and is written in order"));
        }
        self.end = self.end.saturating_add(bytes.len() as u64);
        while !bytes.is_empty() {
            let (mut room, filled) = match self.last.take() {
                Some(last) => last,
                None => (self.upload.room(PART).inspect_err(|_| self.broken = true)?, 0),
            };
            let memory = room.bytes().get_mut(filled..).unwrap_or_default();
            let (now, later) = bytes.split_at(bytes.len().min(memory.len()));
            let (target, left) = memory.split_at_mut(now.len());
            target.copy_from_slice(now);
            if left.is_empty() {
                self.full.push_back(room);
            } else {
                self.last = Some((room, filled.saturating_add(now.len())));
            }
            bytes = later;
        }
        Ok(())
    }
}

fn unfit(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

impl BucketFile {
    pub(super) fn new(objects: Arc<dyn Objects>, recent: Recent, name: Option<&str>) -> Self {
        Self { objects, recent, name: name.map(str::to_owned), body: Mutex::default(), sending: Mutex::default() }
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

    /// Send the parts that are full.
    fn send(&self) -> io::Result<()> {
        let _turn = lock(&self.sending);
        loop {
            let full = self.body().leaving.as_mut().and_then(|leaving| leaving.full.pop_front());
            let Some(room) = full else { return Ok(()) };
            if let Err(error) = room.send(PART) {
                self.body().leaving.iter_mut().for_each(|leaving| leaving.broken = true);
                return Err(error);
            }
        }
    }

    fn put(&self, path: &str) -> io::Result<()> {
        self.send()?;
        let mut body = self.body();
        let Some(leaving) = body.leaving.take() else {
            self.objects.put(path, &body.window)?;
            if path.starts_with("index/") && body.window.len() <= SHORT {
                self.remember(path, std::mem::take(&mut body.window));
            }
            return Ok(());
        };
        if leaving.broken {
            return Err(unfit("a part of it did not arrive"));
        }
        if let Some((room, filled)) = leaving.last {
            room.send(filled)?;
        }
        leaving.upload.finish()
    }
}

impl Staged for BucketFile {
    fn write_at(&self, buffers: &[IoSlice<'_>], mut offset: u64) -> io::Result<()> {
        let mut body = self.body();
        let body = &mut *body;
        let count = buffers.iter().fold(0_usize, |sum, buffer| sum.saturating_add(buffer.len()));
        if let Some(name) = &self.name
            && body.leaving.is_none()
            && body.window.len().saturating_add(count) > LITTLE
        {
            let leaving = body.leaving.insert(Leaving::new(self.objects.upload(name)?));
            leaving.append(&std::mem::take(&mut body.window), 0)?;
        }
        for buffer in buffers {
            match &mut body.leaving {
                Some(leaving) => leaving.append(buffer, offset)?,
                None => {
                    let at = usize::try_from(offset).map_err(|_| unfit("too far"))?;
                    let to = at.saturating_add(buffer.len());
                    if body.window.len() < to {
                        body.window.resize(to, 0);
                    }
                    body.window.get_mut(at..to).unwrap_or_default().copy_from_slice(buffer);
                }
            }
            offset = offset.saturating_add(buffer.len() as u64);
        }
        Ok(())
    }

    fn read_at(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
        let body = self.body();
        if body.leaving.is_some() {
            return Err(unfit("it leaves in parts, and cannot be read back"));
        }
        let at = usize::try_from(offset).map_err(|_| unfit("too far"))?;
        Ok(scatter(body.window.get(at..).unwrap_or_default(), buffers))
    }

    fn start_writeback(&self, _offset: u64, _len: u64) -> io::Result<()> {
        self.send()
    }

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
