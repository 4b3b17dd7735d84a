use std::io::{IoSlice, IoSliceMut};
use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::WriterId;
use crate::disk::Entry;

/// A folder that goes with its test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("packhouse-disk-{}", WriterId::random().unwrap()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn disk(&self) -> RealDisk {
        RealDisk::open(&self.0).unwrap()
    }

    fn names(&self, dir: &str) -> Vec<String> {
        let mut names: Vec<String> = self.disk().list(dir).unwrap().into_iter().map(|e| e.name).collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The same disk as it is, without unnamed files, and without `openat2`.
fn variants(folder: &Folder) -> [RealDisk; 3] {
    let (plain, named, walking) = (folder.disk(), folder.disk(), folder.disk());
    named.staging().unwrap().without_unnamed_files();
    walking.root.without_openat2();
    [plain, named, walking]
}

fn staged(disk: &RealDisk, bytes: &[u8]) -> Box<dyn Staged> {
    let file = disk.stage().unwrap();
    file.write_at(&[IoSlice::new(bytes)], 0).unwrap();
    file
}

fn contents(disk: &RealDisk, path: &str) -> Vec<u8> {
    let file = disk.open(path).unwrap().unwrap();
    let mut bytes = vec![0; file.len().unwrap().try_into().unwrap()];
    assert_eq!(file.read_at(&mut [IoSliceMut::new(&mut bytes)], 0).unwrap(), bytes.len());
    bytes
}

#[test]
fn a_file_has_its_bytes_under_the_name_it_was_given() {
    let folder = Folder::new();
    for (n, disk) in variants(&folder).iter().enumerate() {
        let dir = format!("packs{n}");
        assert!(disk.create_dir(&dir).unwrap() && !disk.create_dir(&dir).unwrap());
        let path = format!("{dir}/a");
        let mut file = staged(disk, b"first");
        file.sync().unwrap();
        file.publish(&path).unwrap();
        assert_eq!(contents(disk, &path), b"first");
        assert_eq!(staged(disk, b"other").publish(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(contents(disk, &path), b"first");
        staged(disk, b"second").replace(&path).unwrap();
        assert_eq!(contents(disk, &path), b"second");
        let mut parked = disk.park(b"parked").unwrap();
        parked.replace(&path).unwrap();
        drop(parked);
        assert_eq!(contents(disk, &path), b"parked");
        disk.sync_dir(&dir).unwrap();
        disk.sync_all().unwrap();
        assert_eq!(disk.list(&dir).unwrap(), [Entry { name: "a".into(), is_dir: false }]);
        assert_eq!(disk.stat(&path).unwrap().unwrap().len, 6);
        assert!(disk.stat(&dir).unwrap().unwrap().is_dir);
        assert!(disk.remove(&path).unwrap() && !disk.remove(&path).unwrap());
        assert!(disk.open(&path).unwrap().is_none() && disk.stat(&path).unwrap().is_none());
    }
}

#[test]
fn more_buffers_than_one_call_takes_are_all_written_and_read() {
    let folder = Folder::new();
    let disk = folder.disk();
    let parts: Vec<[u8; 3]> = (0..3000_u32).map(|n| [(n % 251) as u8, (n / 251) as u8, 7]).collect();
    let slices: Vec<IoSlice<'_>> = parts.iter().map(|p| IoSlice::new(p)).collect();
    let mut file = disk.stage().unwrap();
    file.write_at(&slices, 5).unwrap();
    let mut back = vec![[0; 3]; 3000];
    let mut into: Vec<IoSliceMut<'_>> = back.iter_mut().map(|b| IoSliceMut::new(b)).collect();
    assert_eq!(file.read_at(&mut into, 5).unwrap(), 9000);
    file.publish("f").unwrap();
    assert_eq!(back, parts);
    assert_eq!(contents(&disk, "f").len(), 9005);
    let mut past = [1; 10];
    assert_eq!(disk.open("f").unwrap().unwrap().read_at(&mut [IoSliceMut::new(&mut past)], 9000).unwrap(), 5);
}

#[test]
fn a_link_planted_in_the_store_leads_nowhere() {
    let (folder, outside) = (Folder::new(), Folder::new());
    std::fs::write(outside.0.join("secret"), b"secret").unwrap();
    symlink(outside.0.join("secret"), folder.0.join("file")).unwrap();
    symlink(&outside.0, folder.0.join("dir")).unwrap();
    for disk in variants(&folder) {
        for path in ["file", "dir/secret", "dir"] {
            assert!(disk.open(path).is_err() || disk.open(path).unwrap().is_none(), "{path}");
        }
        assert!(disk.stat("file").is_err());
        assert!(disk.list("dir").is_err());
        assert!(disk.try_lock("file", true).is_err());
        assert!(staged(&disk, b"x").publish("dir/new").is_err());
        assert!(staged(&disk, b"x").replace("dir/secret").is_err());
        assert!(disk.remove("dir/secret").is_err() || std::fs::exists(outside.0.join("secret")).unwrap());
        for path in ["../x", "/etc/passwd", "a/../../x", "a//b", "./a", "", "a\0b"] {
            assert!(disk.open(path).is_err(), "{path:?}");
            assert!(disk.remove(path).is_err(), "{path:?}");
            assert!(staged(&disk, b"x").replace(path).is_err(), "{path:?}");
        }
    }
    assert_eq!(std::fs::read(outside.0.join("secret")).unwrap(), b"secret");
    assert_eq!(std::fs::read_dir(&outside.0).unwrap().count(), 1);
}

#[test]
fn unpublished_files_leave_nothing_behind() {
    let folder = Folder::new();
    for disk in variants(&folder) {
        let file = staged(&disk, b"never");
        drop(disk.park(b"never").unwrap());
        drop(disk);
        drop(file);
    }
    assert_eq!(folder.names("tmp"), [""; 0]);
}

#[test]
fn leftovers_of_a_dead_process_are_cleared_and_those_of_a_living_one_kept() {
    let folder = Folder::new();
    let living = folder.disk();
    living.staging().unwrap().without_unnamed_files();
    let mut file = staged(&living, b"still wanted");
    std::fs::create_dir_all(folder.0.join("tmp/00000000deadbeef")).unwrap();
    std::fs::write(folder.0.join("tmp/00000000deadbeef/0"), b"left").unwrap();
    drop(staged(&folder.disk(), b"a new handle looks around"));
    assert_eq!(folder.names("tmp").len(), 1);
    file.publish("kept").unwrap();
    assert_eq!(contents(&living, "kept"), b"still wanted");
}

#[test]
fn a_cleaned_out_tmp_does_not_stop_writers() {
    let folder = Folder::new();
    let disk = folder.disk();
    drop(staged(&disk, b"one"));
    std::fs::remove_dir_all(folder.0.join("tmp")).unwrap();
    staged(&disk, b"two").publish("two").unwrap();
    assert_eq!(contents(&disk, "two"), b"two");
}

#[test]
fn a_lock_keeps_others_out_until_it_is_dropped() {
    let folder = Folder::new();
    let (one, two) = (folder.disk(), folder.disk());
    assert!(one.try_lock("lock", false).unwrap().is_none());
    assert!(one.try_lock("missing/lock", false).unwrap().is_none());
    let held = one.try_lock("lock", true).unwrap().unwrap();
    assert!(one.try_lock("lock", true).unwrap().is_none());
    assert!(two.try_lock("lock", false).unwrap().is_none());
    drop(held);
    let held = two.try_lock("lock", false).unwrap().unwrap();
    // Removed and made again: the new file is another lock, the old one guards nothing any more.
    assert!(one.remove("lock").unwrap());
    assert!(one.try_lock("lock", true).unwrap().is_some());
    drop(held);
}

#[test]
fn missing_parents_are_made_and_the_file_system_is_told() {
    let folder = Folder::new();
    let disk = RealDisk::create(&folder.0.join("a/b/c")).unwrap();
    assert_eq!(disk.list("").unwrap(), []);
    assert_eq!(disk.file_system().unwrap(), FileSystem::Local);
    assert!(RealDisk::create(&folder.0.join("a/b/c")).is_ok());
    assert_eq!(RealDisk::open(&folder.0.join("x")).unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(std::fs::metadata(folder.0.join("a/b")).unwrap().permissions().mode() & 0o700, 0o700);
}

#[test]
fn a_pipe_under_a_store_name_does_not_hang_the_reader() {
    let folder = Folder::new();
    fs::mknodat(fs::CWD, folder.0.join("pipe"), FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    assert!(folder.disk().open("pipe").is_err());
    std::fs::create_dir(folder.0.join("dir")).unwrap();
    assert!(folder.disk().open("dir").is_err());
}
