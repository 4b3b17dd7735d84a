//! Bytes written by hand after `docs/format.md`, not by this code: the format has not changed while they are read and written alike.

use super::samples::read_pack;
use crate::codec::Decoder;
use crate::digest::hash;
use crate::format::*;
use crate::{Digest, Id};

const PACK: &str = include_str!("../../../../../tests/format/golden/pack.hex");
const SEGMENT: &str = include_str!("../../../../../tests/format/golden/segment.hex");
const SEGMENT_NAME: &str = "101112131415161718191a1b1c1d1e1f-4-1-2-1-80-3f1";

fn bytes(text: &str) -> Vec<u8> {
    let digits: String = text.lines().filter_map(|line| line.split('#').next()).map(str::trim).collect();
    digits
        .as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

fn id(first: u8) -> Id {
    Id(std::array::from_fn(|i| first + i as u8))
}

fn hello() -> Vec<u8> {
    b"hello, store\n".to_vec()
}

fn floats() -> Vec<u8> {
    (0..100_u8).flat_map(|i| (f32::from(i) * 0.5).to_le_bytes()).chain(*b"xy").collect()
}

fn records() -> Vec<BatchRecord> {
    let mut leaned: Vec<Digest> = vec![hash(b"one"), hash(b"two")];
    leaned.sort();
    vec![
        BatchRecord { batch: id(0x30), time_ms: 1_795_000_000_000, pinned: true, leaned },
        BatchRecord { batch: id(0x40), time_ms: 1_795_000_000_001, pinned: false, leaned: Vec::new() },
    ]
}

#[test]
fn a_pack_written_by_hand_is_read() {
    let pack = bytes(PACK);
    let (header, footer) = Footer::of_pack(&pack).unwrap();
    assert_eq!(header.pack, id(0x10));
    let mut contents = Vec::new();
    for entry in &footer.entries {
        let frame = &pack[entry.offset as usize..entry.end() as usize];
        let head = FrameHeader::decode(&frame[..frame::FRAME_HEADER]).unwrap();
        head.check_payload(&frame[frame::FRAME_HEADER..]).unwrap();
        let mut raw = vec![0; head.raw as usize];
        Decoder::new().unwrap().decode(head.codec, head.group, &frame[frame::FRAME_HEADER..], &mut raw).unwrap();
        contents.push(raw);
    }
    assert_eq!(contents[..2], [hello(), floats()]);
    let node = Node::decode(&contents[2]).unwrap();
    let part = |raw: Vec<u8>| NodeRecord { digest: hash(&raw), len: raw.len() as u64 };
    assert_eq!(node, Node { height: 0, records: vec![part(hello()), part(floats())] });
    assert_eq!(footer.entries[2].digest, crate::digest::hash_node(&contents[2]));
    assert_eq!(footer.records, records());
    let blob = footer.blobs[0];
    assert_eq!((blob.key, blob.root, blob.size), (hash(&[hello(), floats()].concat()), footer.entries[2].digest, 415));
    assert_eq!(footer.packs[0], PackRow { pack: id(0x10), len: pack.len() as u64, embedded: true });
    assert_eq!(footer.packs[1], PackRow { pack: id(0x20), len: 5000, embedded: false });
    // The compressed frame is grouped, which the samples' reader does not undo: it must notice that.
    assert!(read_pack(&pack).is_err());
}

#[test]
fn a_pack_is_written_as_by_hand() {
    let pack = bytes(PACK);
    let (header, footer) = Footer::of_pack(&pack).unwrap();
    let mut out = Vec::new();
    header.encode(&mut out);
    for entry in &footer.entries {
        let frame = &pack[entry.offset as usize..entry.end() as usize];
        FrameHeader::decode(&frame[..frame::FRAME_HEADER]).unwrap().encode(&mut out).unwrap();
        out.extend_from_slice(&frame[frame::FRAME_HEADER..]);
    }
    footer.encode(header.pack, &mut out).unwrap();
    assert_eq!(out, pack);
    let mut node = Vec::new();
    let payload = &pack[footer.entries[2].offset as usize + frame::FRAME_HEADER..footer.entries[2].end() as usize];
    Node::decode(payload).unwrap().encode(&mut node).unwrap();
    assert_eq!(node, payload);
}

#[test]
fn a_segment_written_by_hand_is_read_and_written_alike() {
    let pack = bytes(PACK);
    let file = [pack.clone(), bytes(SEGMENT)].concat();
    let name = SegmentName::parse(SEGMENT_NAME).unwrap();
    let contents = SegmentContents::decode(&name, &file).unwrap();
    let (_, footer) = Footer::of_pack(&pack).unwrap();
    assert_eq!(contents.blobs, footer.blobs);
    assert_eq!(contents.records, records());
    assert_eq!(contents.packs, footer.packs);
    assert_eq!(contents.pins, [PinRow { key: records()[0].leaned[0], batch: id(0x40) }]);
    let (copies, rest): (Vec<_>, Vec<_>) = contents.entries.iter().copied().partition(|entry| entry.pack == id(0x20));
    assert_eq!((copies.len(), copies[0].digest, copies[0].batch), (1, hash(&hello()), None));
    let mut own = footer.entries;
    own.sort();
    assert_eq!(rest, own);
    assert_eq!(contents.encode(name.id, 0, &pack).unwrap(), (name, file));
}
