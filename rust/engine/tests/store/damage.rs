use packhouse_engine::Kind;
use packhouse_engine::cancel::Cancel;
use packhouse_engine::digest;
use packhouse_engine::disk::{Disk, Failure, Fault, Op, SimDisk};
use packhouse_engine::store::BatchOptions;

use crate::tools::*;

/// Every file under a folder, folder by folder.
fn files(disk: &SimDisk, dir: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in disk.list(dir).unwrap() {
        let path = if dir.is_empty() { entry.name } else { format!("{dir}/{}", entry.name) };
        if entry.is_dir { found.extend(files(disk, &path)) } else { found.push(path) }
    }
    found
}

fn data(disk: &SimDisk) -> Vec<String> {
    files(disk, "").into_iter().filter(|path| path.starts_with("packs/") || path.starts_with("index/")).collect()
}

/// A store with an embedded pack, a pack of its own and a large blob.
fn small_store() -> (SimDisk, Vec<Vec<u8>>) {
    let disk = SimDisk::new();
    let store = open(&disk);
    let blobs = vec![noise(1, 700), text(2, 3_000), noise(3, 400_000)];
    save(&store, &blobs[..2]);
    save(&store, &blobs[2..]);
    store.close().unwrap();
    (disk, blobs)
}

#[test]
fn a_flipped_bit_never_returns_wrong_bytes_and_is_found() {
    let (disk, blobs) = small_store();
    for path in data(&disk) {
        let len = disk.stat(&path).unwrap().unwrap().len;
        // Every bit is the torture's; here a spread that touches every structure.
        let step = (len * 8 / 400).max(1) | 1;
        for bit in (0..len * 8).step_by(usize::try_from(step).unwrap()) {
            let flip = |bytes: &mut Vec<u8>| bytes[(bit / 8) as usize] ^= 1 << (bit % 8);
            disk.damage(&path, flip).unwrap();
            let reader = packhouse_engine::store::Store::open(
                std::sync::Arc::new(disk.process()),
                packhouse_engine::store::OpenOptions { write: false, ..options() },
            )
            .unwrap();
            for blob in &blobs {
                if let Ok(found) = load(&reader, digest::hash(blob)) {
                    assert!(found.is_some(), "bit {bit} of {path}: damage was told as absence");
                }
            }
            assert!(!verify(&reader).findings.is_empty(), "bit {bit} of {path} was not found");
            disk.damage(&path, flip).unwrap();
        }
    }
}

#[test]
fn a_file_cut_short_never_returns_wrong_bytes_and_is_found() {
    let (disk, blobs) = small_store();
    for path in data(&disk) {
        let len = usize::try_from(disk.stat(&path).unwrap().unwrap().len).unwrap();
        for keep in (0..len).step_by((len / 40).max(1)) {
            let mut whole = Vec::new();
            disk.damage(&path, |bytes| {
                whole.clone_from(bytes);
                bytes.truncate(keep);
            })
            .unwrap();
            let store = packhouse_engine::store::Store::open(
                std::sync::Arc::new(disk.process()),
                packhouse_engine::store::OpenOptions { write: false, ..options() },
            )
            .unwrap();
            for blob in &blobs {
                if let Ok(found) = load(&store, digest::hash(blob)) {
                    assert!(found.is_some(), "{path} cut to {keep}: damage was told as absence");
                }
            }
            assert!(!verify(&store).findings.is_empty(), "{path} cut to {keep} was not found");
            disk.damage(&path, |bytes| *bytes = whole).unwrap();
        }
    }
}

#[test]
fn saving_again_heals_a_pack_that_is_empty_or_short_or_gone() {
    for how in 0..3 {
        let disk = SimDisk::new();
        let store = open(&disk);
        let blobs = vec![noise(1, 2_000_000), text(2, 500_000)];
        save(&store, &blobs);
        let pack = files(&disk, "packs").remove(0);
        match how {
            0 => disk.damage(&pack, |bytes| bytes.clear()).unwrap(),
            1 => disk.damage(&pack, |bytes| bytes.truncate(bytes.len() / 2)).unwrap(),
            _ => assert!(disk.remove(&pack).unwrap()),
        }
        let store = open(&disk);
        assert!(load(&store, digest::hash(&blobs[0])).is_err());
        assert!(!save(&store, &blobs)[0].existed);
        assert_loads(&store, &blobs);
    }
}

#[test]
fn saving_again_heals_a_flipped_chunk_after_a_read_or_with_check() {
    for check in [false, true] {
        let disk = SimDisk::new();
        let store = open(&disk);
        let blob = noise(1, 2_000_000);
        save(&store, std::slice::from_ref(&blob));
        let pack = files(&disk, "packs").remove(0);
        disk.damage(&pack, |bytes| bytes[1_000_000] ^= 4).unwrap();
        if !check {
            assert!(load(&store, digest::hash(&blob)).is_err());
        }
        let mut batch = store.begin(BatchOptions { pin: true, check }).unwrap();
        batch.add(&[&blob], &Cancel::new()).unwrap();
        let saved = store.commit(vec![batch]).remove(0).unwrap();
        assert!(!saved[0].existed && saved[0].stored < 600_000);
        assert_eq!(load(&store, digest::hash(&blob)).unwrap(), Some(blob.clone()));
        assert_eq!(load(&open(&disk), digest::hash(&blob)).unwrap(), Some(blob));
    }
}

/// A blob with a kilobyte put into its middle, in a store that has the blob before it: the first pack holds chunks of the second blob,
/// and perhaps nodes from within its recipe, but neither its root nor its entry.
#[test]
fn saving_again_heals_a_pack_that_holds_only_inner_chunks_of_a_blob() {
    type Harm = fn(&SimDisk, &str);
    let flip: Harm = |disk, pack| disk.damage(pack, |bytes| bytes[300_000] ^= 4).unwrap();
    let harms: [(&str, Harm); 7] = [
        ("empty", |disk, pack| disk.damage(pack, |bytes| bytes.clear()).unwrap()),
        ("short", |disk, pack| disk.damage(pack, |bytes| bytes.truncate(bytes.len() / 2)).unwrap()),
        ("a byte short", |disk, pack| disk.damage(pack, |bytes| bytes.truncate(bytes.len() - 1)).unwrap()),
        ("gone", |disk, pack| assert!(disk.remove(pack).unwrap())),
        ("flipped and read", flip),
        ("flipped and verified", flip),
        ("flipped and checked", flip),
    ];
    // One node lists the smaller blob; the larger one's recipe has nodes below its root, most of them in the first pack.
    for len in [2_000_000, 24_000_000] {
        for (how, harm) in harms {
            let disk = SimDisk::new();
            let old = noise(1, len);
            let mut edited = old.clone();
            edited.splice(len / 2..len / 2, noise(2, 1024));
            save(&open(&disk), std::slice::from_ref(&old));
            let pack = files(&disk, "packs").remove(0);
            let added = save(&open(&disk), std::slice::from_ref(&edited)).remove(0);
            assert!(!added.existed && added.stored < 600_000, "{how}: the second blob does not lean on the first pack");
            harm(&disk, &pack);
            let store = open(&disk);
            match how {
                "flipped and verified" => assert!(!verify(&store).findings.is_empty()),
                // Neither touches what is read of the pack; its length tells.
                "flipped and checked" | "a byte short" => {}
                _ => assert!(load(&store, digest::hash(&edited)).is_err(), "{how}: the damage went unnoticed"),
            }
            let check = how == "flipped and checked";
            let mut batch = store.begin(BatchOptions { pin: true, check }).unwrap();
            batch.add(&[&edited], &Cancel::new()).unwrap();
            let saved = store.commit(vec![batch]).remove(0).unwrap();
            assert!(!saved[0].existed, "{how}: it was said to be there");
            assert_loads(&store, std::slice::from_ref(&edited));
            assert_loads(&open(&disk.process()), std::slice::from_ref(&edited));
        }
    }
}

/// Chunk by chunk, as a damaged blob is read at last, or all at once: whoever does not want it any more does not wait for its end.
#[test]
fn a_load_of_a_damaged_blob_and_a_verify_stop_when_they_are_cancelled() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let blob = noise(1, 60_000_000);
    save(&store, std::slice::from_ref(&blob));
    let pack = files(&disk, "packs").remove(0);
    disk.damage(&pack, |bytes| bytes[59_000_000] ^= 4).unwrap();
    let fetch = |cancel: &Cancel| {
        let located = store.locate(&[(digest::hash(&blob), None)], &Cancel::new()).unwrap().remove(0).unwrap();
        let mut out = vec![0; blob.len()];
        store.fetch(&[&located], &mut [&mut out], cancel).remove(0)
    };
    let check = |cancel: &Cancel| store.verify(&mut |_| {}, cancel).map(|_| ());
    for what in ["load", "verify"] {
        let work = |cancel: &Cancel| if what == "load" { fetch(cancel) } else { check(cancel) };
        let reads = || disk.count(Some(Op::Read));
        // The first run notes the damage, the second does what all later ones do.
        assert!(work(&Cancel::new()).is_err() == (what == "load"));
        let before = reads();
        drop(work(&Cancel::new()));
        let all = reads() - before;
        // The flag is raised by another thread, which may come too late: it has some attempts.
        let stopped = (0..8).any(|_| {
            let (cancel, before) = (Cancel::new(), reads());
            let error = std::thread::scope(|scope| {
                scope.spawn(|| {
                    while reads() < before + all / 2 && !cancel.is_cancelled() {
                        std::hint::spin_loop();
                    }
                    cancel.cancel();
                });
                let error = work(&cancel).err();
                cancel.cancel();
                error
            });
            error.is_some_and(|error| error.kind() == Kind::Cancelled) && reads() - before < all * 3 / 4
        });
        assert!(stopped, "{what} went on to its end: {all} reads");
    }
}

#[test]
fn a_lost_segment_is_told_as_absence_only_when_it_is_gone_altogether() {
    let (disk, blobs) = small_store();
    for path in files(&disk, "index") {
        disk.damage(&path, |bytes| bytes.truncate(1)).unwrap();
    }
    let store = open(&disk);
    for blob in &blobs {
        let error = load(&store, digest::hash(blob)).unwrap_err();
        assert_eq!(error.cause(), "index");
    }
    save(&store, &blobs);
    assert_loads(&store, &blobs);
}

#[test]
fn a_save_does_not_lean_on_a_segment_that_only_this_process_can_still_read() {
    for gone in [false, true] {
        let disk = SimDisk::new();
        let store = open(&disk);
        let blobs = vec![noise(1, 2_000_000), noise(2, 3_000)];
        save(&store, &blobs);
        let segment = files(&disk, "index").remove(0);
        if gone {
            disk.remove(&segment).unwrap();
        } else {
            disk.damage(&segment, |bytes| bytes.truncate(bytes.len() / 2)).unwrap();
        }
        // The first save may be refused; what is acknowledged must load for everybody.
        if try_save(&store, &blobs).is_err() {
            save(&store, &blobs);
        }
        assert_loads(&open(&disk.process()), &blobs);
    }
}

#[test]
fn saving_again_heals_an_index_that_another_process_found_damaged() {
    for blob in [noise(8, 700), noise(9, 400_000)] {
        let disk = SimDisk::new();
        let writer = open(&disk);
        save(&writer, std::slice::from_ref(&blob));
        assert!(load(&writer, digest::hash(&blob)).unwrap().is_some());
        let [path] = files(&disk, "index/0").try_into().unwrap();
        let name = packhouse_engine::format::SegmentName::parse(path.rsplit('/').next().unwrap()).unwrap();
        let len = disk.stat(&path).unwrap().unwrap().len;
        for at in (name.pack_len..len).step_by(23) {
            let flip = |bytes: &mut Vec<u8>| bytes[usize::try_from(at).unwrap()] ^= 4;
            disk.damage(&path, flip).unwrap();
            // Somebody else looks, and notes what cannot be read. The writer has the index in memory.
            let readable = load(&open(&disk), digest::hash(&blob)).is_ok();
            let saved = save(&writer, std::slice::from_ref(&blob));
            assert!(load(&open(&disk), digest::hash(&blob)).unwrap().is_some(), "byte {at}: acknowledged and lost");
            if !readable {
                assert!(!saved[0].existed, "byte {at}: leaned on what nobody else can find");
                break;
            }
            disk.damage(&path, flip).unwrap();
        }
        assert!(!files(&disk, "damage").is_empty());
    }
}

#[test]
fn a_damaged_document_is_found_by_verify() {
    use packhouse_engine::names::{Action, Change, Names, Patience, When};
    let disk = SimDisk::new();
    let store = open(&disk);
    let names = Names::new(store.disk());
    let action = Action::Put { document: b"{}", refs: &[], when: When::Always };
    let patience = Patience::default();
    names.apply(store.writer_id().unwrap(), &[Change { name: "a/b", action }], &patience).unwrap();
    assert_eq!((verify(&store).documents, verify(&store).findings), (1, vec![]));
    let file = files(&disk, "documents").remove(0);
    disk.damage(&file, |bytes| bytes[30] ^= 1).unwrap();
    assert_eq!(verify(&store).findings.len(), 1);
}

#[test]
fn a_damaged_segment_fails_no_save() {
    let many: Vec<Vec<u8>> = (0..400).map(|i| noise(100 + i, 900)).collect();
    let large = vec![noise(1, 700_000)];
    for part in 0..24 {
        let disk = SimDisk::new();
        save(&open(&disk), &many);
        let segment = files(&disk, "index/0")[0].clone();
        save(&open(&disk), &large);
        let store = open(&disk);
        disk.damage(&segment, |bytes| {
            let len = bytes.len();
            bytes[len * part / 24..len * (part + 1) / 24].iter_mut().for_each(|byte| *byte ^= 1);
        })
        .unwrap();
        let both: Vec<Vec<u8>> = many.iter().chain(&large).cloned().collect();
        try_save(&store, &both).unwrap();
        assert_loads(&open(&disk), &both);
    }
}

#[test]
fn what_could_not_be_read_once_is_noted_nowhere_as_damage() {
    let (disk, blobs) = small_store();
    let mut struck = 0;
    for op in [Op::Read, Op::Open, Op::Length] {
        for after in 0..40 {
            let store = open(&disk);
            disk.inject(Fault::on(op, after, Failure::IO));
            struck += usize::from(
                store.verify(&mut |_| {}, &Cancel::new()).map_or(true, |report| !report.findings.is_empty()),
            );
            drop(store);
            disk.heal();
            assert_eq!(disk.list("damage").unwrap(), vec![], "{op:?} {after}");
        }
    }
    assert!(struck > 3, "nothing failed");
    assert_loads(&open(&disk), &blobs);
}

#[test]
fn a_system_that_refuses_is_told_as_that_and_not_as_damage() {
    let (disk, blobs) = small_store();
    let mut struck = 0;
    for op in [Op::Open, Op::Read] {
        for first in 0..6 {
            let store = open(&disk);
            // Not once only: it looks again before it gives up.
            (first..first + 40).for_each(|after| disk.inject(Fault::on(op, after, Failure::Error(24))));
            for blob in &blobs {
                if let Err(error) = load(&store, digest::hash(blob)) {
                    struck += 1;
                    assert_eq!(error.kind(), Kind::Io, "{op:?} {first}: {error}");
                }
            }
            disk.heal();
        }
    }
    assert!(struck > 1, "nothing failed");
}

/// Filters and fan-outs that are asked often are kept in memory, whoever failed to read one.
#[test]
fn one_read_that_fails_does_not_make_every_later_look_up_read() {
    let disk = SimDisk::memory();
    let blobs: Vec<_> = (0..400).map(|i| noise(i, 900)).collect();
    let keys: Vec<_> = save(&open(&disk), &blobs).iter().map(|saved| saved.key).collect();
    let reads_of = |strike: Option<u64>| {
        let store = open(&disk);
        if let Some(n) = strike {
            disk.inject(Fault::on(Op::Read, n, Failure::IO));
        }
        let mut failed = 0;
        for key in &keys[..200] {
            failed += usize::from(store.named(&[*key], &Cancel::new()).map_or(true, |named| !named[0]));
        }
        disk.heal();
        let before = disk.count(Some(Op::Read));
        for key in &keys[200..] {
            assert_eq!(store.named(&[*key], &Cancel::new()).unwrap(), [true]);
        }
        (disk.count(Some(Op::Read)) - before, failed)
    };
    let (undisturbed, _) = reads_of(None);
    let mut struck = 0;
    for n in 0..100 {
        let (reads, failed) = reads_of(Some(n));
        assert_eq!(reads, undisturbed, "after read {n} had failed");
        struck += failed;
    }
    assert!(struck > 0, "no look-up met the failure");
}
