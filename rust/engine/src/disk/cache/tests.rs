use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use super::*;
use crate::{Id, WriterId};

/// A folder that goes with its test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        Self(std::env::temp_dir().join(format!("packhouse-cache-{}", WriterId::random().unwrap())))
    }

    fn files(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.0.join(FOLDER)).map(Iterator::collect::<Vec<_>>).unwrap_or_default();
        entries.into_iter().map(|entry| entry.unwrap().path()).collect()
    }

    fn bytes(&self) -> u64 {
        self.files().iter().map(|path| fs::metadata(path).unwrap().blocks() * 512).sum()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn cache(folder: &Folder, bound: u64) -> (BlockCache, Arc<AtomicUsize>) {
    let told = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&told);
    let tell = move |_: &str| {
        count.fetch_add(1, Ordering::Relaxed);
    };
    (BlockCache::new(&folder.0, bound, Box::new(tell)), told)
}

fn name(number: u8) -> SegmentName {
    SegmentName { id: Id([number; 16]), entries: 9, blobs: 0, packs: 1, pins: 0, records_len: 5, pack_len: 0 }
}

fn blocks(count: usize, last: usize) -> Vec<u8> {
    (0..count * BLOCK - (BLOCK - last)).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

#[test]
fn blocks_come_back_at_their_places_and_no_others_do() {
    let folder = Folder::new();
    let (cache, _) = cache(&folder, 1 << 30);
    let kept = blocks(3, 100);
    cache.put(&name(1), 7, &kept);
    let mut out = vec![0; kept.len()];
    assert!(cache.get(&name(1), 7, &mut out));
    assert_eq!(out, kept);
    let mut one = vec![0; BLOCK];
    assert!(cache.get(&name(1), 8, &mut one) && one == kept[BLOCK..2 * BLOCK]);
    assert!(!cache.get(&name(1), 6, &mut one), "a hole");
    assert!(!cache.get(&name(2), 7, &mut one), "another segment");
    assert!(!cache.get(&name(1), 9, &mut one), "the short block is no long one");
    assert!(cache.get(&name(1), 9, &mut one[..100]));
}

#[test]
fn no_flipped_bit_and_no_cut_is_ever_handed_out() {
    let folder = Folder::new();
    let (cache, told) = cache(&folder, 1 << 30);
    let kept = blocks(1, 64);
    cache.put(&name(1), 0, &kept);
    let path = folder.files().remove(0);
    let whole = fs::read(&path).unwrap();
    let mut out = vec![0; kept.len()];
    for bit in 0..whole.len() * 8 {
        let mut harmed = whole.clone();
        harmed[bit / 8] ^= 1 << (bit % 8);
        fs::write(&path, &harmed).unwrap();
        assert!(!cache.get(&name(1), 0, &mut out), "bit {bit}");
    }
    for len in 0..whole.len() {
        fs::write(&path, &whole[..len]).unwrap();
        assert!(!cache.get(&name(1), 0, &mut out), "{len} bytes");
    }
    cache.put(&name(1), 0, &kept);
    assert!(cache.get(&name(1), 0, &mut out), "what was fetched again heals it");
    fs::copy(&path, folder.0.join(FOLDER).join(name(2).to_string())).unwrap();
    assert!(!cache.get(&name(2), 0, &mut out), "another segment's file");
    assert_eq!(told.load(Ordering::Relaxed), 0);
}

#[test]
fn what_was_not_used_for_longest_goes_first_and_the_bound_holds() {
    let folder = Folder::new();
    let bound = 1 << 20;
    let (cache, _) = cache(&folder, bound);
    let kept = blocks(16, BLOCK);
    let mut out = vec![0; kept.len()];
    let hour = SystemTime::now() - Duration::from_secs(3600);
    for number in 0..100 {
        cache.put(&name(number), 0, &kept);
        assert!(folder.bytes() <= bound, "{} bytes", folder.bytes());
        let file = File::options().write(true).open(folder.0.join(FOLDER).join(name(number).to_string())).unwrap();
        file.set_modified(hour + Duration::from_secs(u64::from(number))).unwrap();
        assert!(cache.get(&name(0), 0, &mut out), "the first is asked for again and again");
    }
    assert!(cache.get(&name(99), 0, &mut out));
    assert!(!cache.get(&name(1), 0, &mut out));
    assert!(folder.bytes() > bound / 2, "{} bytes", folder.bytes());
}

#[test]
fn whatever_else_lies_in_the_folder_stays() {
    let folder = Folder::new();
    let (cache, _) = cache(&folder, 1 << 16);
    cache.put(&name(1), 0, &blocks(2, 9));
    let strange = folder.0.join(FOLDER).join("precious");
    fs::write(&strange, vec![1; 1 << 20]).unwrap();
    symlink(&strange, folder.0.join(FOLDER).join(name(3).to_string())).unwrap();
    for number in 10..40 {
        cache.put(&name(number), 0, &blocks(2, 9));
    }
    assert_eq!(fs::read(&strange).unwrap(), vec![1; 1 << 20]);
}

#[test]
fn a_folder_that_vanishes_is_made_again_and_a_link_in_it_is_not_followed() {
    let folder = Folder::new();
    let (cache, told) = cache(&folder, 1 << 20);
    let kept = blocks(1, 64);
    let mut out = vec![0; 64];
    cache.put(&name(1), 0, &kept);
    fs::remove_dir_all(&folder.0).unwrap();
    assert!(!cache.get(&name(1), 0, &mut out));
    cache.put(&name(1), 0, &kept);
    assert!(cache.get(&name(1), 0, &mut out));
    assert_eq!(told.load(Ordering::Relaxed), 0, "nothing of that is worth a word");
    let target = folder.0.join("target");
    fs::write(&target, b"precious").unwrap();
    symlink(&target, folder.0.join(FOLDER).join(name(2).to_string())).unwrap();
    cache.put(&name(2), 0, &kept);
    assert_eq!(fs::read(&target).unwrap(), b"precious");
}

#[test]
fn a_place_that_cannot_be_written_is_told_once_and_hurts_nobody() {
    let folder = Folder::new();
    fs::write(&folder.0, b"a file where the folder should be").unwrap();
    let (cache, told) = cache(&folder, 1 << 20);
    let mut out = vec![0; 64];
    for number in 0..5 {
        cache.put(&name(number), 0, &blocks(1, 64));
        assert!(!cache.get(&name(number), 0, &mut out));
    }
    assert_eq!(told.load(Ordering::Relaxed), 1);
    fs::remove_file(&folder.0).unwrap();
}
