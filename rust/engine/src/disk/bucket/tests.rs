use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};

use std::io::IoSlice;

use super::staging::PART;
use super::*;

#[derive(Debug, Default)]
struct Memory {
    objects: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    parts: Arc<AtomicUsize>,
    longest: Arc<AtomicUsize>,
}

#[derive(Debug, Clone)]
struct Going {
    memory: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    parts: Arc<AtomicUsize>,
    longest: Arc<AtomicUsize>,
    name: String,
    bytes: Arc<Mutex<Vec<u8>>>,
}

#[derive(Debug)]
struct Space(Going, Vec<u8>);

impl Objects for Memory {
    fn describe(&self) -> String {
        "memory".to_owned()
    }
    fn read(&self, name: &str, offset: u64, len: usize) -> io::Result<(Bytes, u64)> {
        let objects = self.objects.lock().unwrap();
        let start = usize::try_from(offset).unwrap();
        let object = objects.get(name).ok_or(io::ErrorKind::NotFound)?;
        let found = object.get(start..start + len).ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok((Box::new(found.to_vec()), object.len() as u64))
    }
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.objects.lock().unwrap().insert(name.to_owned(), bytes.to_vec());
        Ok(())
    }
    fn put_if(&self, name: &str, bytes: &[u8], version: Option<&str>) -> io::Result<()> {
        if self.whole(name)?.map(|(_, version)| version).as_deref() != version {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.put(name, bytes)
    }
    fn upload(&self, name: &str) -> io::Result<Box<dyn Upload>> {
        Ok(Box::new(Going {
            memory: Arc::clone(&self.objects),
            parts: Arc::clone(&self.parts),
            longest: Arc::clone(&self.longest),
            name: name.to_owned(),
            bytes: Arc::default(),
        }))
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        self.objects.lock().unwrap().remove(name);
        Ok(())
    }
    fn list(&self, prefix: &str, limit: usize) -> io::Result<Vec<(String, u64)>> {
        let objects = self.objects.lock().unwrap();
        let found = objects.iter().filter(|(name, _)| name.starts_with(prefix)).take(limit);
        Ok(found.map(|(name, bytes)| (name.clone(), bytes.len() as u64)).collect())
    }
    fn whole(&self, name: &str) -> io::Result<Option<(Vec<u8>, String)>> {
        let objects = self.objects.lock().unwrap();
        Ok(objects.get(name).map(|bytes| (bytes.clone(), crate::digest::hash(bytes).to_string())))
    }
    fn head(&self, name: &str) -> io::Result<Option<Meta>> {
        let objects = self.objects.lock().unwrap();
        Ok(objects.get(name).map(|bytes| Meta { len: bytes.len() as u64, modified_ms: 0, is_dir: false }))
    }
    fn now_ms(&self) -> i64 {
        0
    }
}

impl Upload for Going {
    fn room(&self, len: usize) -> io::Result<Box<dyn Room>> {
        Ok(Box::new(Space(self.clone(), vec![0xee; len])))
    }
    fn finish(self: Box<Self>) -> io::Result<()> {
        self.memory.lock().unwrap().insert(self.name, self.bytes.lock().unwrap().clone());
        Ok(())
    }
}

impl Room for Space {
    fn bytes(&mut self) -> &mut [u8] {
        &mut self.1
    }
    fn send(self: Box<Self>, len: usize) -> io::Result<()> {
        self.0.parts.fetch_add(1, Ordering::Relaxed);
        self.0.longest.fetch_max(len, Ordering::Relaxed);
        self.0.bytes.lock().unwrap().extend_from_slice(&self.1[..len]);
        Ok(())
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|at| u8::try_from((at * 31 + at / 4096) % 251).unwrap()).collect()
}

#[test]
fn a_file_leaves_in_parts_while_it_is_written_and_arrives_whole() {
    let memory = Arc::new(Memory::default());
    let disk = BucketDisk::new(Arc::clone(&memory) as Arc<dyn Objects>, None);
    let bytes = pattern(3 * PART + 1234);
    let mut file = disk.stage_for("packs/a").unwrap();
    for (at, piece) in bytes.chunks(700_001).enumerate() {
        let (head, tail) = piece.split_at(piece.len() / 2);
        file.write_at(&[IoSlice::new(head), IoSlice::new(tail)], at as u64 * 700_001).unwrap();
        file.start_writeback(0, 0).unwrap();
    }
    assert_eq!(memory.parts.load(Ordering::Relaxed), 3, "three parts left before the file was whole");
    assert!(memory.objects.lock().unwrap().is_empty(), "nothing is seen before it has its name");
    assert!(file.write_at(&[IoSlice::new(b"back")], 0).is_err(), "what has left is not written again");
    file.publish("packs/a").unwrap();
    assert_eq!(memory.objects.lock().unwrap()["packs/a"], bytes);
    assert!(memory.longest.load(Ordering::Relaxed) <= PART);
}

#[test]
fn a_small_file_is_one_write_and_one_given_up_is_none() {
    let memory = Arc::new(Memory::default());
    let disk = BucketDisk::new(Arc::clone(&memory) as Arc<dyn Objects>, None);
    drop(disk.stage_for("packs/b").unwrap());
    let mut file = disk.stage().unwrap();
    file.write_at(&[IoSlice::new(b"456")], 3).unwrap();
    file.write_at(&[IoSlice::new(b"123")], 0).unwrap();
    file.publish("index/0/x").unwrap();
    assert_eq!(memory.parts.load(Ordering::Relaxed), 0);
    assert_eq!(
        memory.objects.lock().unwrap().iter().collect::<Vec<_>>(),
        [(&"index/0/x".to_owned(), &b"123456".to_vec())]
    );
}

#[test]
fn settings_are_put_by_the_first_only() {
    let disk = BucketDisk::new(Arc::new(Memory::default()), None);
    let mut first = disk.stage().unwrap();
    first.publish("store.json").unwrap();
    let mut second = disk.stage().unwrap();
    assert_eq!(second.publish("store.json").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
}

#[test]
fn a_read_past_the_end_is_short_and_scattered_buffers_are_filled_in_order() {
    let disk = BucketDisk::new(Arc::new(Memory::default()), None);
    let mut staged = disk.stage().unwrap();
    staged.write_at(&[IoSlice::new(b"0123456789")], 0).unwrap();
    staged.publish("packs/c").unwrap();
    let file = disk.open("packs/c").unwrap().unwrap();
    let (mut one, mut two) = ([0; 4], [0; 8]);
    let count = file.read_at(&mut [IoSliceMut::new(&mut one), IoSliceMut::new(&mut two)], 3).unwrap();
    assert_eq!((count, &one, &two[..3]), (7, b"3456", b"789".as_slice()));
    assert!(disk.open("packs/d").unwrap().is_none());
}

#[test]
fn folders_are_what_names_have_in_common() {
    let disk = BucketDisk::new(Arc::new(Memory::default()), None);
    for name in ["index/0/a", "index/0/b", "index/1/c", "packs/d"] {
        disk.stage().unwrap().publish(name).unwrap();
    }
    let mut listed = disk.list("index").unwrap();
    listed.sort();
    assert_eq!(
        listed.iter().map(|entry| (entry.name.as_str(), entry.is_dir)).collect::<Vec<_>>(),
        [("0", true), ("1", true)]
    );
    assert_eq!(disk.list("index/0").unwrap().len(), 2);
    assert_eq!(disk.list("").unwrap().len(), 2);
}
