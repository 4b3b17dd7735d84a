//! A small pack and a small segment with one of everything, and readers that check all that can be checked.

use crate::digest::{hash, hash_node};
use crate::format::*;
use crate::{Digest, Error, Id, Result};

pub(super) fn digest(n: u64) -> Digest {
    hash(&n.to_le_bytes())
}

pub(super) fn id(n: u8) -> Id {
    Id(std::array::from_fn(|i| n.wrapping_mul(16).wrapping_add(i as u8)))
}

/// The content of every frame of the sample pack, in order.
pub(super) fn contents() -> Vec<(FrameKind, Codec, Vec<u8>)> {
    let chunks = [b"a first chunk, stored as it is".to_vec(), b"again and ".repeat(40)];
    let records = chunks.iter().map(|chunk| NodeRecord { digest: hash(chunk), len: chunk.len() as u64 }).collect();
    let mut node = Vec::new();
    Node { height: 0, records }.encode(&mut node).unwrap();
    let [first, second] = chunks;
    vec![
        (FrameKind::Chunk, Codec::Raw, first),
        (FrameKind::Chunk, Codec::Zstd, second),
        (FrameKind::Node, Codec::Raw, node),
        (FrameKind::Chunk, Codec::Raw, Vec::new()),
    ]
}

/// A pack with two raw chunks (one empty), a compressed one and a recipe node.
pub(super) fn pack() -> (Vec<u8>, Footer) {
    let own = id(1);
    let mut out = Vec::new();
    let mut footer = Footer::default();
    PackHeader { pack: own }.encode(&mut out);
    for (kind, codec, raw) in contents() {
        let payload = if codec == Codec::Zstd { zstd::bulk::compress(&raw, 1).unwrap() } else { raw.clone() };
        let digest = if kind == FrameKind::Node { hash_node(&raw) } else { hash(&raw) };
        let (stored, raw_len) = (payload.len() as u32, raw.len() as u32);
        footer.entries.push(Entry {
            digest,
            pack: own,
            offset: out.len() as u64,
            stored,
            raw: raw_len,
            kind,
            root: kind == FrameKind::Chunk && raw_len != 400,
            batch: (raw_len != 0).then_some(1),
        });
        FrameHeader { kind, codec, group: 0, stored, raw: raw_len, digest, sum: FrameHeader::sum_of(codec, &payload) }
            .encode(&mut out)
            .unwrap();
        out.extend(payload);
    }
    let blob: Vec<u8> = contents().into_iter().take(2).flat_map(|(_, _, raw)| raw).collect();
    footer.blobs.push(BlobEntry {
        key: hash(&blob),
        root: footer.entries[2].digest,
        size: blob.len() as u64,
        chunks: 2,
        batch: Some(0),
        height: 0,
    });
    footer.records = records();
    footer.list_packs(own, true, [PackRow { pack: id(2), len: 4096, embedded: false }]).unwrap();
    footer.encode(own, &mut out).unwrap();
    (out, footer)
}

pub(super) fn records() -> Vec<BatchRecord> {
    let mut leaned: Vec<_> = (0..3).map(digest).collect();
    leaned.sort();
    vec![
        BatchRecord { batch: id(7), time_ms: 1_795_000_000_000, pinned: true, leaned },
        BatchRecord { batch: id(8), time_ms: -1, pinned: false, leaned: Vec::new() },
    ]
}

/// A segment that embeds the sample pack and points into another one, too.
pub(super) fn segment() -> (SegmentName, Vec<u8>, SegmentContents) {
    let (pack, footer) = pack();
    let mut entries = footer.entries;
    let other = PackRow { pack: id(2), len: 1 << 40, embedded: false };
    entries.extend((0..100).map(|n| Entry {
        digest: digest(n),
        pack: other.pack,
        offset: 32 + n * 1000,
        stored: 936,
        raw: 5000,
        kind: if n % 5 == 0 { FrameKind::Node } else { FrameKind::Chunk },
        root: n % 5 == 1,
        batch: None,
    }));
    entries.sort();
    let mut packs = vec![PackRow { pack: id(1), len: pack.len() as u64, embedded: true }, other];
    packs.sort();
    let pins = vec![PinRow { key: digest(5), batch: id(3) }, PinRow { key: digest(5), batch: id(4) }];
    let contents = SegmentContents { entries, blobs: footer.blobs, packs, pins, records: records() };
    let (name, file) = contents.encode(id(1), 0, &pack).unwrap();
    (name, file, contents)
}

/// Everything in a pack, each frame held against its entry and its digest.
pub(super) fn read_pack(pack: &[u8]) -> Result<(Id, Footer, Vec<Vec<u8>>)> {
    let (header, footer) = Footer::of_pack(pack)?;
    let mut contents = Vec::new();
    for entry in &footer.entries {
        let frame = &pack[entry.offset as usize..entry.end() as usize];
        let (head, payload) = frame.split_at(frame::FRAME_HEADER);
        let head = FrameHeader::decode(head)?;
        let same =
            (head.kind, head.stored, head.raw, head.digest) == (entry.kind, entry.stored, entry.raw, entry.digest);
        let bad = |why| Error::corrupt("test", why);
        if !same {
            return Err(bad("entry and frame differ"));
        }
        head.check_payload(payload)?;
        let raw = match head.codec {
            Codec::Raw => payload.to_vec(),
            Codec::Zstd => zstd::bulk::decompress(payload, head.raw as usize).map_err(|_| bad("zstd"))?,
        };
        let digest = if head.kind == FrameKind::Node { hash_node(&raw) } else { hash(&raw) };
        if digest != head.digest || raw.len() != head.raw as usize {
            return Err(bad("digest"));
        }
        if head.kind == FrameKind::Node {
            Node::decode(&raw)?;
        }
        contents.push(raw);
    }
    Ok((header.pack, footer, contents))
}
