//! What was written to a segment is found by the places alone, and what was not is mostly excluded by the filter.

use super::samples::*;
use crate::format::*;
use crate::{Digest, Result};

/// Look a key up as a reader does: one filter block, one fan-out block, the slices it names.
fn look_up(file: &[u8], layout: &Layout, key: &Digest) -> Result<(bool, Vec<Entry>)> {
    let block = |section: &Section, index| {
        let range = section.block(index).unwrap();
        block::open(&file[range.start as usize..range.end as usize])
    };
    let probe = FilterShape::new(layout.chunks.rows() + layout.blobs.rows()).locate(key);
    if !probe.may_hold(block(&layout.filter, probe.block)?)? {
        return Ok((false, Vec::new()));
    }
    let fanout = FanoutShape::new(layout.chunks.rows());
    let (index, place) = fanout.block_of(fanout.bucket(key));
    let ranks = fanout.ranks(block(&layout.chunk_fanout, index)?, place)?;
    let mut found = Vec::new();
    if let Some(last) = ranks.end.checked_sub(1).filter(|_| !ranks.is_empty()) {
        for index in layout.chunks.block_of(ranks.start).0..=layout.chunks.block_of(last).0 {
            let rows = entry::find_rows(block(&layout.chunks, index)?, layout.chunks.rows_in(index), key)?;
            found.extend(rows.iter().map(Entry::decode).collect::<Result<Vec<_>>>()?);
        }
    }
    Ok((true, found))
}

fn segment_of(count: u64, copies: u64) -> (Layout, Vec<u8>) {
    let pack = PackRow { pack: id(2), len: MAX_PACK, embedded: false };
    let one = |n: u64, copy: u64| Entry {
        digest: digest(n),
        pack: pack.pack,
        offset: 32 + (n * copies + copy) * 100,
        stored: 36,
        raw: 36,
        kind: FrameKind::Chunk,
        root: true,
        batch: None,
    };
    let mut entries: Vec<_> = (0..count).flat_map(|n| (0..copies).map(move |copy| one(n, copy))).collect();
    entries.sort();
    let contents = SegmentContents { entries, packs: vec![pack], ..SegmentContents::default() };
    let (name, file) = contents.encode(id(5), 0, &[]).unwrap();
    (Layout::new(&name).unwrap(), file)
}

#[test]
fn every_key_of_a_segment_is_found() {
    for (count, copies) in [(1, 1), (31, 2), (63, 1), (64, 1), (1000, 3), (40_000, 1)] {
        let (layout, file) = segment_of(count, copies);
        for n in 0..count {
            let (_, found) = look_up(&file, &layout, &digest(n)).unwrap();
            assert_eq!(found.len() as u64, copies, "key {n} of {count}");
            assert!(found.iter().all(|entry| entry.digest == digest(n)));
        }
    }
}

#[test]
fn the_filter_excludes_nearly_all_that_is_not_there() {
    let (layout, file) = segment_of(40_000, 1);
    let mut passed = 0;
    for n in 0..20_000 {
        let (may_hold, found) = look_up(&file, &layout, &digest(n + 1_000_000)).unwrap();
        assert!(found.is_empty());
        passed += u32::from(may_hold);
    }
    // A blocked filter of 12 bits per key lets about 0.6 % through.
    assert!(passed < 200, "{passed} of 20000");
}

#[test]
fn a_rank_past_the_end_is_an_error_not_a_wild_read() {
    let shape = FanoutShape::new(10);
    let body = [5_u32, 4, 11].map(u32::to_le_bytes).concat();
    assert!(shape.ranks(&body, 0).is_err());
    assert!(shape.ranks(&body, 1).is_err());
    assert!(shape.ranks(&body, 2).is_err());
    assert!(entry::rows::<64>(&[0; 100], 2).is_err());
}

#[test]
fn builders_hold_to_what_was_announced() {
    let mut fanout = FanoutBuilder::new(1);
    fanout.push(&digest(1)).unwrap();
    assert!(fanout.push(&digest(2)).is_err());
    assert!(FanoutBuilder::new(1).finish(&mut Vec::new(), &mut block::SegmentSum::new()).is_err());
}
