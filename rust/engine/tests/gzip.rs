//! Gzip files on a disk that loses power, fails and is shared with writers that do not sync.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking"
)]

use std::io::IoSlice;
use std::sync::Arc;

use packhouse_engine::cancel::Cancel;
use packhouse_engine::disk::{Disk, Failure, Fault, SimDisk};
use packhouse_engine::gzip::{self, Found, GzipFiles, Loaded, Sha1Key};
use packhouse_engine::{Kind, Result};

fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

/// Batches that are synced file by file and as a whole, large ones, one that leans on others.
fn batches() -> Vec<Vec<Vec<u8>>> {
    vec![
        vec![noise(1, 900)],
        vec![noise(2, 30_000), vec![7; 100_000], vec![]],
        (0..20).map(|i| noise(100 + i, 3_000)).collect(),
        vec![noise(3, 9 << 20)],
        vec![noise(1, 900), noise(4, 10)],
    ]
}

fn save(disk: &SimDisk, blobs: &[Vec<u8>]) -> Result<Vec<Sha1Key>> {
    let files = GzipFiles::new(Arc::new(disk.clone()));
    let batch = files.begin(false)?;
    let views: Vec<&[u8]> = blobs.iter().map(Vec::as_slice).collect();
    let keys = batch.add(&views, false, &Cancel::new())?;
    batch.commit()?;
    Ok(keys)
}

fn load(disk: &SimDisk, key: Sha1Key) -> Result<Option<Vec<u8>>> {
    let files = GzipFiles::new(Arc::new(disk.clone()));
    let found: Option<Found> = files.locate(&[key], &Cancel::new())?.remove(0);
    let Some(found) = found else { return Ok(None) };
    let mut memory = vec![0; usize::try_from(found.size()).unwrap()];
    let loaded = gzip::fetch(&[&found], &mut [&mut memory], &Cancel::new()).remove(0)?;
    Ok(Some(match loaded {
        Loaded::Filled => memory,
        Loaded::Other(bytes) => bytes,
    }))
}

fn run(disk: &SimDisk) -> usize {
    batches().iter().take_while(|blobs| save(disk, blobs).is_ok()).count()
}

/// What was acknowledged is there; of the rest nothing is wrong, and it can be saved.
fn check(disk: &SimDisk, acknowledged: usize, what: &str) {
    for (at, blobs) in batches().iter().enumerate() {
        for blob in blobs {
            match load(disk, Sha1Key::of(blob)) {
                Ok(Some(loaded)) => assert!(loaded == *blob, "{what}: batch {at} has wrong bytes"),
                Ok(None) => assert!(at >= acknowledged, "{what}: batch {at} was acknowledged and is lost"),
                Err(error) => panic!("{what}: batch {at}: {error:?}"),
            }
        }
    }
    for blobs in batches() {
        for (key, blob) in save(disk, &blobs).unwrap().into_iter().zip(blobs) {
            assert!(load(disk, key).unwrap().unwrap() == blob, "{what}: saved again, read wrong");
        }
    }
}

#[test]
fn a_power_cut_at_any_operation_loses_nothing_that_was_acknowledged() {
    let disk = SimDisk::new();
    assert_eq!(run(&disk), batches().len());
    let total = disk.count(None);
    for at in (0..total).step_by(usize::try_from(total / 60 + 1).unwrap()) {
        let disk = SimDisk::new();
        disk.inject(Fault::at(at, Failure::PowerCut));
        let acknowledged = run(&disk);
        for seed in 0..2 {
            check(&disk.crash(at * 7 + seed), acknowledged, &format!("power cut at {at} of {total}, seed {seed}"));
        }
    }
}

#[test]
fn a_failing_operation_never_acknowledges_what_is_missing() {
    let disk = SimDisk::new();
    run(&disk);
    let total = disk.count(None);
    for failure in [Failure::IO, Failure::DISK_FULL, Failure::ShortWrite] {
        for at in (0..total).step_by(usize::try_from(total / 25 + 1).unwrap()) {
            let disk = SimDisk::new();
            disk.inject(Fault::at(at, failure));
            let acknowledged = run(&disk);
            disk.heal();
            check(&disk.crash(at), acknowledged, &format!("{failure:?} at {at} of {total}"));
        }
    }
}

#[test]
fn leaning_on_a_file_that_its_writer_did_not_sync_is_acknowledged_only_once_it_is_durable() {
    for many in [false, true] {
        let disk = SimDisk::new();
        let mut blobs: Vec<Vec<u8>> = (0..if many { 20 } else { 2 }).map(|i| noise(i, 2_000)).collect();
        for blob in &blobs {
            let key = Sha1Key::of(blob).to_string();
            disk.create_dir(&key[..2]).unwrap();
            let packed = gzip::pack(&[blob], &Cancel::new()).unwrap().remove(0);
            let mut file = disk.stage().unwrap();
            file.write_at(&[IoSlice::new(&packed)], 0).unwrap();
            file.replace(&format!("{}/{key}", &key[..2])).unwrap();
        }
        blobs.truncate(if many { 20 } else { 1 });
        save(&disk, &blobs).unwrap();
        for seed in 0..20 {
            let after = disk.crash(seed);
            for blob in &blobs {
                assert_eq!(load(&after, Sha1Key::of(blob)).unwrap().as_ref(), Some(blob), "seed {seed}");
            }
        }
    }
}

#[test]
fn damage_is_an_error_and_noted_and_the_next_save_heals_it() {
    let disk = SimDisk::new();
    let blob = noise(5, 2 << 20);
    let key = save(&disk, std::slice::from_ref(&blob)).unwrap().remove(0);
    let path = format!("{}/{key}", &key.to_string()[..2]);
    disk.damage(&path, |bytes| bytes[1_000_000] ^= 1).unwrap();
    assert_eq!(load(&disk, key).unwrap_err().kind(), Kind::Corrupt);
    assert_eq!(disk.list("damage").unwrap().len(), 1);
    save(&disk, std::slice::from_ref(&blob)).unwrap();
    assert_eq!(load(&disk, key).unwrap(), Some(blob));
    assert!(disk.list("damage").unwrap().is_empty());
}

#[test]
fn a_few_bytes_that_claim_to_be_many_cost_no_memory() {
    let mut file = gzip::pack(&[b"x"], &Cancel::new()).unwrap().remove(0);
    let told = 20..24;
    file[told].copy_from_slice(&(1_u32 << 20).to_le_bytes());
    let found = Found::of_bytes(Sha1Key::of(b"x"), &file).unwrap();
    assert!(found.size() <= file.len() as u64 * 1032, "{} bytes claim to be {}", file.len(), found.size());
}
