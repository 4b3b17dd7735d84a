//! Every bit of every structure flipped, every truncation: noticed, or nothing that matters changed.

use super::samples::*;
use crate::format::*;

/// Each copy of `bytes` with one bit flipped, and each proper prefix.
fn damaged(bytes: &[u8]) -> impl Iterator<Item = Vec<u8>> + '_ {
    let flips = (0..bytes.len() * 8).map(|bit| {
        let mut copy = bytes.to_vec();
        copy[bit / 8] ^= 1 << (bit % 8);
        copy
    });
    flips.chain((0..bytes.len()).map(|len| bytes[..len].to_vec()))
}

#[test]
fn no_bit_of_a_pack_can_change_unnoticed() {
    let (pack, _) = pack();
    let good = read_pack(&pack).unwrap();
    assert_eq!(good.2, contents().into_iter().map(|(_, _, raw)| raw).collect::<Vec<_>>());
    assert!(damaged(&pack).all(|copy| read_pack(&copy).is_err()));
    let mut longer = pack.clone();
    longer.push(0);
    assert!(read_pack(&longer).is_err());
}

#[test]
fn no_bit_of_the_parts_of_a_pack_can_change_unnoticed() {
    let (pack, footer) = pack();
    let at = footer.entries[0].offset as usize;
    assert!(damaged(&pack[..pack::PACK_HEADER]).all(|copy| PackHeader::decode(&copy).is_err()));
    assert!(damaged(&pack[pack.len() - pack::PACK_TRAILER..]).all(|copy| PackTrailer::decode(&copy).is_err()));
    assert!(damaged(&pack[at..at + frame::FRAME_HEADER]).all(|copy| FrameHeader::decode(&copy).is_err()));
    let trailer = PackTrailer::decode(&pack[pack.len() - pack::PACK_TRAILER..]).unwrap();
    let start = trailer.body_start(pack.len() as u64).unwrap() as usize;
    let body = &pack[start..pack.len() - pack::PACK_TRAILER];
    assert!(damaged(body).all(|copy| Footer::decode(&trailer, pack.len() as u64, &copy).is_err()));
}

#[test]
fn no_bit_of_a_segment_can_change_unnoticed() {
    let (name, file, contents) = segment();
    assert_eq!(SegmentContents::decode(&name, &file).unwrap(), contents);
    let head = name.pack_len as usize;
    let mut copy = file.clone();
    for bit in head * 8..file.len() * 8 {
        copy[bit / 8] ^= 1 << (bit % 8);
        assert!(SegmentContents::decode(&name, &copy).is_err(), "bit {bit}");
        copy[bit / 8] ^= 1 << (bit % 8);
    }
    assert!((0..file.len()).all(|len| SegmentContents::decode(&name, &file[..len]).is_err()));
    copy.push(0);
    assert!(SegmentContents::decode(&name, &copy).is_err());
}

#[test]
fn each_block_of_a_segment_notices_its_own_damage() {
    let (name, file, _) = segment();
    let layout = Layout::new(&name).unwrap();
    let mut seen = 0;
    for section in layout.sections() {
        for index in 0..section.blocks() {
            let range = section.block(index).unwrap();
            let bytes = &file[range.start as usize..range.end as usize];
            assert!(bytes.len() <= block::BLOCK);
            block::open(bytes).unwrap();
            assert!(damaged(bytes).all(|copy| block::open(&copy).is_err()));
            seen += bytes.len() as u64;
        }
    }
    assert_eq!(name.pack_len + seen, layout.trailer);
}

#[test]
fn a_segment_under_another_name_is_noticed() {
    let (name, file, _) = segment();
    let text = name.to_string();
    for at in 0..text.len() {
        for digit in b"0123456789abcdef-G" {
            let mut other = text.clone().into_bytes();
            other[at] = *digit;
            let other = String::from_utf8(other).unwrap();
            if let (true, Ok(other)) = (other != text, SegmentName::parse(&other)) {
                assert!(SegmentContents::decode(&other, &file).is_err(), "{other}");
            }
        }
    }
}

#[test]
fn no_bit_of_a_mark_a_locator_or_the_settings_can_change_unnoticed() {
    let mut mark = Vec::new();
    Mark { pack: id(1), time_ms: 5 }.encode(&mut mark);
    assert!(damaged(&mark).all(|copy| Mark::decode(&copy).is_err()));

    let run = Run { pack: id(1), offset: 32, len: 700, first: 0, count: 3 };
    let locator = Locator { size: 900, root: Some(digest(1)), runs: vec![run] }.to_text().unwrap();
    for copy in damaged(locator.as_bytes()) {
        assert!(std::str::from_utf8(&copy).is_err() || Locator::parse(std::str::from_utf8(&copy).unwrap()).is_err());
    }

    let settings = super::roundtrip::settings().to_file().unwrap();
    assert!(damaged(&settings).all(|copy| Settings::from_file(&copy).is_err()));
}

#[test]
fn a_node_that_changed_is_not_mistaken_for_the_one_that_was_saved() {
    let (_, _, node) = contents().remove(2);
    let digest = crate::digest::hash_node(&node);
    assert!(damaged(&node).all(|copy| crate::digest::hash_node(&copy) != digest));
    // Whatever a changed node still says, it says within its own bytes.
    for copy in damaged(&node) {
        if let Ok(node) = Node::decode(&copy) {
            assert_eq!(node.records.len() * node::NODE_RECORD + node::NODE_HEADER, copy.len());
        }
    }
    // No blob can pass for a node: the same bytes hash differently as a chunk.
    assert_ne!(crate::digest::hash(&node), digest);
}
