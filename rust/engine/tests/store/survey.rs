//! What a store says about itself is what was put into it.

use packhouse_engine::cancel::Cancel;
use packhouse_engine::chunk::Cutter;
use packhouse_engine::digest::{self, Digest};
use packhouse_engine::disk::SimDisk;
use packhouse_engine::store::{Anatomy, Store};

use crate::tools::*;

fn anatomy(store: &Store, blob: &[u8]) -> Anatomy {
    store.anatomy(&digest::hash(blob), &Cancel::new()).unwrap().unwrap()
}

#[test]
fn the_sums_of_a_store_are_those_of_what_was_saved() {
    let store = open(&SimDisk::new());
    let (small, large, lines) = (noise(1, 1000), noise(2, 3_000_000), text(3, 30_000));
    save(&store, &[small.clone(), large]);
    save(&store, std::slice::from_ref(&lines));
    save(&store, &[small.clone(), small]);
    let survey = store.survey(&Cancel::new()).unwrap();
    assert_eq!((survey.blobs, survey.large_blobs), (3, 1));
    assert_eq!(survey.blob_bytes, 3_031_000);
    assert_eq!(survey.chunk_bytes, survey.blob_bytes);
    assert_eq!(survey.sizes.iter().sum::<u64>(), survey.chunks);
    assert_eq!(survey.size_bytes.iter().sum::<u64>(), survey.chunk_bytes);
    assert_eq!((survey.surplus, survey.damage_notes, survey.unreadable), (0, 0, 0));
    assert_eq!(survey.raw_bytes, 3_001_000, "noise is stored as it is, text is not");
    assert!(survey.stored_bytes < survey.chunk_bytes);
    assert!(survey.pack_bytes >= survey.stored_bytes + survey.node_bytes);
}

#[test]
fn a_blob_tells_how_much_of_it_was_there_before() {
    let store = open(&SimDisk::new());
    let first = noise(3, 4_000_000);
    save(&store, std::slice::from_ref(&first));
    let mut second = first.clone();
    second.splice(2_000_000..2_000_000, noise(4, 1024));
    save(&store, std::slice::from_ref(&second));
    let (before, after) = (anatomy(&store, &first), anatomy(&store, &second));
    assert_eq!((before.size, before.known_chunks, before.repeated_chunks), (4_000_000, 0, 0));
    assert_eq!(after.size, 4_001_024);
    assert!(after.known_bytes > 3_400_000 && after.known_chunks < after.chunks, "{after:?}");
    assert!(after.packs >= 2 && after.bad_chunks == 0, "{after:?}");
}

#[test]
fn a_blob_that_repeats_itself_says_so() {
    let store = open(&SimDisk::new());
    let zeros = vec![0; 8_000_000];
    save(&store, std::slice::from_ref(&zeros));
    let found = anatomy(&store, &zeros);
    assert!(found.repeated_bytes > 6_000_000, "{found:?}");
    assert_eq!(store.anatomy(&digest::hash(b"never saved"), &Cancel::new()).unwrap(), None);
}

/// A blob of many chunks, and each of them.
fn large_and_its_chunks(store: &Store) -> (Vec<u8>, Vec<Vec<u8>>) {
    let large = noise(77, 900_000);
    save(store, std::slice::from_ref(&large));
    let cutter = Cutter::new(&store.settings().chunking).unwrap();
    let mut rest = large.as_slice();
    let mut chunks = Vec::new();
    while let Some(len) = cutter.cut(rest, true).filter(|len| *len > 0) {
        let (chunk, after) = rest.split_at(len);
        chunks.push(chunk.to_vec());
        rest = after;
    }
    (large, chunks)
}

fn listed(store: &Store) -> Vec<Digest> {
    store.keys(None, 1_000, &Cancel::new()).unwrap().into_iter().map(|(key, _)| key).collect()
}

fn keys_of(blobs: &[&Vec<u8>]) -> Vec<Digest> {
    let mut keys: Vec<_> = blobs.iter().map(|blob| digest::hash(blob)).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn a_blob_that_was_a_chunk_of_a_larger_one_before_is_listed_once_it_is_saved_itself() {
    let disk = SimDisk::new();
    let (large, chunks) = large_and_its_chunks(&open(&disk));
    let store = open(&disk);
    assert!(chunks.len() > 3);
    assert_eq!(listed(&store), keys_of(&[&large]));
    save(&store, &chunks[1..2]);
    save(&store, &chunks[1..3]);
    let expected = keys_of(&[&large, &chunks[1], &chunks[2]]);
    assert_eq!(listed(&store), expected);
    assert_eq!(listed(&open(&disk)), expected);
    let survey = store.survey(&Cancel::new()).unwrap();
    assert_eq!((survey.blobs, survey.blob_bytes), (3, (large.len() + chunks[1].len() + chunks[2].len()) as u64));
    let sizes = store.keys(None, 1_000, &Cancel::new()).unwrap();
    assert!(sizes.contains(&(digest::hash(&chunks[1]), chunks[1].len() as u64)), "{sizes:?}");
    // Whatever merging makes of the records.
    for n in 0..40 {
        save(&store, &[noise(1_000 + n, 10)]);
    }
    while store.maintain(&Cancel::new()).unwrap() {}
    let all = listed(&open(&disk));
    assert_eq!(all.len(), expected.len() + 40);
    assert!(expected.iter().all(|key| all.contains(key)));
}

#[test]
fn every_blob_is_listed_once_and_in_order_whatever_the_page() {
    let store = open(&SimDisk::new());
    let blobs: Vec<Vec<u8>> = (0..300).map(|n| noise(n, if n % 50 == 0 { 900_000 } else { 100 })).collect();
    for some in blobs.chunks(40) {
        save(&store, some);
    }
    save(&store, &blobs[..2]);
    let mut expected: Vec<_> = blobs.iter().map(|blob| (digest::hash(blob), blob.len() as u64)).collect();
    expected.sort_unstable();
    for limit in [1, 7, 64, 1000] {
        let mut listed = Vec::new();
        loop {
            let after = listed.last().map(|(key, _): &(Digest, u64)| *key);
            let page = store.keys(after.as_ref(), limit, &Cancel::new()).unwrap();
            let ended = page.len() < limit;
            listed.extend(page);
            if ended {
                break;
            }
        }
        assert_eq!(listed, expected);
    }
}
