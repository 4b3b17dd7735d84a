//! Valid inputs, as the engine writes them.

use packhouse_engine::codec::Encoder;
use packhouse_engine::digest::{hash, hash_node};
use packhouse_engine::format::envelope::Envelope;
use packhouse_engine::format::*;
use packhouse_engine::gzip::{self, Sha1Key};
use packhouse_engine::names::encoding;
use packhouse_engine::{Cancel, Digest, Id};

fn digest(n: u64) -> Digest {
    hash(&n.to_le_bytes())
}

fn id(n: u8) -> Id {
    Id([n; 16])
}

/// Raw contents of every sort: empty, short, text, numbers, noise.
fn contents() -> Vec<Vec<u8>> {
    let mut noise = vec![0; 700];
    blake3::Hasher::new().finalize_xof().fill(&mut noise);
    let numbers = (0..2000_u32).flat_map(|n| (n as f32 * 0.5).to_le_bytes()).collect();
    vec![Vec::new(), b"short".to_vec(), b"text that repeats ".repeat(100), numbers, noise]
}

pub fn frames() -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(1).unwrap();
    let mut frame = |kind, raw: &[u8]| {
        let encoded = encoder.encode(raw).unwrap();
        let digest = if kind == FrameKind::Node { hash_node(raw) } else { hash(raw) };
        let (stored, raw) = (encoded.payload.len() as u32, raw.len() as u32);
        let mut out = Vec::new();
        FrameHeader {
            kind,
            codec: encoded.codec,
            group: encoded.group,
            stored,
            raw,
            digest,
            sum: FrameHeader::sum_of(encoded.codec, &encoded.payload),
        }
        .encode(&mut out)
        .unwrap();
        out.extend_from_slice(&encoded.payload);
        out
    };
    let mut frames: Vec<_> = contents().iter().map(|raw| frame(FrameKind::Chunk, raw)).collect();
    frames.extend(nodes().iter().map(|raw| frame(FrameKind::Node, raw)));
    frames
}

pub fn nodes() -> Vec<Vec<u8>> {
    let node = |height, count: u64| {
        let records = (1..=count).map(|n| NodeRecord { digest: digest(n), len: n }).collect();
        let mut out = Vec::new();
        Node { height, records }.encode(&mut out).unwrap();
        out
    };
    vec![node(0, 1), node(0, 20), node(2, 3)]
}

fn records() -> Vec<BatchRecord> {
    let mut leaned: Vec<_> = (0..4).map(digest).collect();
    leaned.sort();
    vec![
        BatchRecord { batch: id(7), time_ms: 1_795_000_000_000, pinned: true, leaned },
        BatchRecord { batch: id(8), time_ms: 0, pinned: false, leaned: Vec::new() },
    ]
}

fn pack(count: usize, last: bool) -> (Vec<u8>, Footer) {
    let mut out = Vec::new();
    let mut footer = Footer { records: records(), ..Footer::default() };
    PackHeader { pack: id(1) }.encode(&mut out);
    for frame in frames().into_iter().take(count) {
        let FrameHeader { kind, stored, raw, digest, .. } = FrameHeader::decode(&frame[..64]).unwrap();
        let root = kind == FrameKind::Chunk;
        let offset = out.len() as u64;
        footer.entries.push(Entry { digest, pack: id(1), offset, stored, raw, kind, root, batch: Some(stored % 2) });
        out.extend(frame);
    }
    if last {
        let blob = BlobEntry { key: digest(1), root: digest(2), size: 900, chunks: 9, batch: Some(0), height: 1 };
        footer.blobs = vec![blob, BlobEntry { key: digest(3), batch: None, ..blob }];
        let other = PackRow { pack: id(2), len: 1 << 30, embedded: false };
        footer.list_packs(id(1), true, [other]).unwrap();
    }
    footer.encode(id(1), &mut out).unwrap();
    (out, footer)
}

pub fn packs() -> Vec<Vec<u8>> {
    [(0, false), (1, false), (3, true), (8, true)].map(|(count, last)| pack(count, last).0).into()
}

/// A segment's name, a line feed, and its file.
pub fn segments() -> Vec<Vec<u8>> {
    let segment = |count: u64, blobs: u64, pins: u64, embed: bool| {
        let (pack, footer) = pack(8, true);
        let (pack, mut entries) = if embed { (pack, footer.entries) } else { (Vec::new(), Vec::new()) };
        let entry = |n| {
            let kind = if n % 9 == 0 { FrameKind::Node } else { FrameKind::Chunk };
            let (offset, root) = (32 + n * 200, n % 9 == 1);
            Entry { digest: digest(n), pack: id(2), offset, stored: 136, raw: 500, kind, root, batch: Some(0) }
        };
        entries.extend((0..count).map(entry));
        entries.sort();
        let blob = |n| BlobEntry { key: digest(n), root: digest(n + 1), size: 9, chunks: 2, batch: None, height: 0 };
        let mut blobs: Vec<_> = (0..blobs).map(blob).collect();
        blobs.sort();
        let mut pins: Vec<_> = (0..pins).map(|n| PinRow { key: digest(n), batch: id(3) }).collect();
        pins.sort();
        let own = PackRow { pack: id(1), len: pack.len() as u64, embedded: true };
        let packs = own_first(embed, own, PackRow { pack: id(2), len: 1 << 30, embedded: false });
        let contents = SegmentContents { entries, blobs, packs, pins, records: records() };
        let (name, file) = contents.encode(id(1), 0, &pack).unwrap();
        [name.to_string().as_bytes(), b"\n", &file].concat()
    };
    vec![segment(0, 0, 0, true), segment(3, 1, 1, false), segment(70, 50, 90, true), segment(200, 0, 0, false)]
}

fn own_first(embed: bool, own: PackRow, other: PackRow) -> Vec<PackRow> {
    if embed { vec![own, other] } else { vec![other] }
}

pub fn settings() -> Vec<Vec<u8>> {
    let settings = Settings {
        store: id(9),
        chunking: Default::default(),
        zstd_level: 1,
        retention_ms: 14 * 86_400_000,
        conditional_writes: true,
        quoted_etags: true,
        list_after_put: true,
        reader_features: Vec::new(),
        writer_features: vec!["later".into()],
    };
    vec![settings.to_file().unwrap(), Settings { writer_features: Vec::new(), ..settings }.to_file().unwrap()]
}

fn locators() -> Vec<Locator> {
    let run = |n: u32| Run { pack: id(1), offset: 32, len: 1 << 20, first: n * 4, count: 4 };
    vec![
        Locator { size: 5, root: None, runs: vec![Run { count: 1, ..run(0) }] },
        Locator { size: 99_999, root: Some(digest(1)), runs: (0..8).map(run).collect() },
    ]
}

/// Locators before they became text: what is mutated is what the text stands for.
pub fn locator_bytes() -> Vec<Vec<u8>> {
    locators().iter().map(|locator| crate::targets::decode64(&locator.to_text().unwrap())).collect()
}

pub fn names() -> Vec<Vec<u8>> {
    let segment =
        SegmentName { id: id(0xAB), entries: 12, blobs: 3, packs: 1, pins: 0, records_len: 40, pack_len: 4000 };
    let damage = DamageNote { pack: id(0xAB), offset: 32, len: 500 };
    let mut names = vec![segment.to_string(), damage.to_string(), id(0xAB).to_string(), digest(1).to_string()];
    names.extend(locators().iter().map(|locator| locator.to_text().unwrap()));
    names.into_iter().map(String::into_bytes).collect()
}

/// Names that meet every sort of token, and parts that are empty or begin with a slash.
const TEXTS: &[&str] = &["a", "runs/42/Größe", "a//b", "/", "x/", "A-Z_.=~`[]^\\{}", "日本/🦀\u{1}", "..", "./../!"];

pub fn paths() -> Vec<Vec<u8>> {
    TEXTS.iter().map(|text| encoding::encode(text).into_bytes()).collect()
}

pub fn envelopes() -> Vec<Vec<u8>> {
    let envelope = |(n, name): (usize, &&str)| {
        let refs: Vec<_> = (0..n as u64).map(digest).collect();
        let (previous, document) = (vec![id(7); n], &b"{\"x\": [1, 2]}"[..n.min(13)]);
        let mut out = Vec::new();
        Envelope { version: id(9), previous, name, refs: refs.into(), document }.encode(&mut out).unwrap();
        out
    };
    TEXTS.iter().enumerate().map(envelope).collect()
}

/// Marks, and the ends of packs and segments.
pub fn labels() -> Vec<Vec<u8>> {
    let mut mark = Vec::new();
    Mark { pack: id(1), time_ms: 5 }.encode(&mut mark);
    let (pack, _) = pack(1, false);
    let segment = segments().remove(1);
    vec![mark, pack[..32].to_vec(), pack[pack.len() - 64..].to_vec(), segment[segment.len() - 128..].to_vec()]
}

/// A byte that chooses the group width, three that say how much must come out, and a payload.
pub fn payloads() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for frame in frames() {
        let header = FrameHeader::decode(&frame[..64]).unwrap();
        if header.codec == Codec::Zstd {
            let mut seed = vec![header.group];
            seed.extend_from_slice(&header.raw.to_le_bytes()[..3]);
            seed.extend_from_slice(&frame[64..]);
            seeds.push(seed);
        }
    }
    for level in [-5, 3, 19] {
        let raw = contents().concat().repeat(9);
        let mut seed = vec![0];
        seed.extend_from_slice(&(raw.len() as u32).to_le_bytes()[..3]);
        seed.extend(zstd::bulk::compress(&raw, level).unwrap());
        seeds.push(seed);
    }
    seeds
}

/// A key of 20 bytes and its file: ours, in one member and in two; as others write it; the content itself.
pub fn gzip_files() -> Vec<Vec<u8>> {
    let mut contents = contents();
    contents.push(b"two members ".repeat(90_000));
    let mut files = Vec::new();
    for content in &contents {
        let key = Sha1Key::of(content).to_string();
        let key: Vec<u8> = (0..20).map(|at| u8::from_str_radix(&key[2 * at..2 * at + 2], 16).unwrap()).collect();
        let ours = gzip::pack(&[content], &Cancel::new()).unwrap().remove(0);
        files.push([key.as_slice(), &ours].concat());
        if let Ok(len) = u16::try_from(content.len()) {
            // One stored block; checksum and length end our only member, too.
            let (head, len, end) =
                ([0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255, 1], len.to_le_bytes(), &ours[ours.len() - 8..]);
            let check = len.map(|byte| !byte);
            files.push([key.as_slice(), &head, &len, &check, content, end].concat());
            files.push([key.as_slice(), content].concat());
        }
    }
    files
}
