//! What is written comes back, and comes back as the same bytes.

use proptest::collection::vec;
use proptest::prelude::*;

use super::samples::{digest as numbered, id as numbered_id};
use crate::format::*;
use crate::{Digest, Id};

pub(super) fn settings() -> Settings {
    Settings {
        store: numbered_id(9),
        chunking: crate::chunk::Params { seed: u64::MAX, ..crate::chunk::Params::default() },
        zstd_level: -3,
        retention_ms: 14 * 86_400_000,
        conditional_writes: true,
        quoted_etags: true,
        list_after_put: true,
        reader_features: Vec::new(),
        writer_features: vec!["later".into()],
    }
}

pub(super) fn digests() -> impl Strategy<Value = Digest> {
    any::<[u8; 32]>().prop_map(Digest::from_bytes)
}

pub(super) fn ids() -> impl Strategy<Value = Id> {
    any::<[u8; 16]>().prop_map(Id)
}

fn kinds() -> impl Strategy<Value = FrameKind> {
    prop_oneof![Just(FrameKind::Chunk), Just(FrameKind::Node)]
}

pub(super) fn entries() -> impl Strategy<Value = Entry> {
    let place = (ids(), 0..=MAX_PACK - 64 - u64::from(MAX_CHUNK), 0..=MAX_CHUNK, 0..=MAX_CHUNK);
    let batch = proptest::option::of(0..entry::MAX_BATCHES);
    (digests(), place, kinds(), any::<bool>(), batch).prop_map(
        |(digest, (pack, offset, stored, raw), kind, root, batch)| Entry {
            digest,
            pack,
            offset,
            stored,
            raw,
            kind,
            root: root && kind == FrameKind::Chunk,
            batch,
        },
    )
}

fn headers() -> impl Strategy<Value = FrameHeader> {
    let codec =
        prop_oneof![Just((Codec::Raw, 0)), prop::sample::select(vec![0, 2, 4, 8]).prop_map(|g| (Codec::Zstd, g))];
    let lengths = (0..=MAX_CHUNK, 0..=MAX_CHUNK);
    (kinds(), codec, lengths, digests(), any::<u32>()).prop_map(|(kind, (codec, group), (stored, raw), digest, sum)| {
        let (raw, sum) = if codec == Codec::Raw { (stored, 0) } else { (raw ^ u32::from(raw == stored), sum) };
        FrameHeader { kind, codec, group, stored, raw, digest, sum }
    })
}

fn blobs() -> impl Strategy<Value = BlobEntry> {
    let batch = proptest::option::of(0..u32::MAX);
    (digests(), digests(), 1..u64::MAX, any::<u64>(), batch, any::<u8>()).prop_map(
        |(key, root, size, chunks, batch, height)| BlobEntry {
            key,
            root,
            size,
            chunks: chunks % size + 1,
            batch,
            height,
        },
    )
}

fn batch_records() -> impl Strategy<Value = BatchRecord> {
    let keys = proptest::collection::btree_set(digests(), 0..20);
    (ids(), any::<i64>(), any::<bool>(), keys).prop_map(|(batch, time_ms, pinned, keys)| BatchRecord {
        batch,
        time_ms,
        pinned,
        leaned: keys.into_iter().collect(),
    })
}

fn names() -> impl Strategy<Value = SegmentName> {
    let counts = (any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>(), any::<u32>());
    let pack = prop_oneof![Just(0), 96..=MAX_PACK];
    (ids(), counts, pack).prop_map(|(id, (entries, blobs, packs, pins, records_len), pack_len)| SegmentName {
        id,
        entries: entries.into(),
        blobs: blobs.into(),
        packs: packs.into(),
        pins: pins.into(),
        records_len: records_len.into(),
        pack_len,
    })
}

fn locators() -> impl Strategy<Value = Locator> {
    let run = (ids(), 0..1_u64 << 47, 0..1_u64 << 46, 1..1_u32 << 20);
    (proptest::option::of(digests()), vec(run, 1..=locator::MAX_RUNS), any::<u64>()).prop_map(|(root, runs, size)| {
        let mut first = 0;
        let mut locator = Locator { size: 0, root, runs: Vec::new() };
        for (pack, offset, len, count) in runs {
            let count = if root.is_some() { count } else { 1 };
            locator.runs.push(Run { pack, offset, len: len.max(u64::from(count) * 64), first, count });
            first += count;
            if root.is_none() {
                break;
            }
        }
        locator.size = size % (u64::from(first) * u64::from(MAX_CHUNK) + 1);
        locator
    })
}

fn encoded(encode: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = vec![0xAA; 3];
    encode(&mut out);
    out.split_off(3)
}

proptest! {
    #[test]
    fn frame_headers_come_back(header in headers()) {
        let bytes = encoded(|out| header.encode(out).unwrap());
        prop_assert_eq!(FrameHeader::decode(&bytes).unwrap(), header);
    }

    #[test]
    fn entries_come_back(entry in entries()) {
        let bytes = encoded(|out| entry.encode(out).unwrap());
        prop_assert_eq!(Entry::decode(bytes[..].try_into().unwrap()).unwrap(), entry);
    }

    #[test]
    fn blob_entries_come_back(blob in blobs()) {
        let bytes = encoded(|out| blob.encode(out).unwrap());
        prop_assert_eq!(BlobEntry::decode(bytes[..].try_into().unwrap()).unwrap(), blob);
    }

    #[test]
    fn rows_come_back(pack in ids(), len in 0..=MAX_PACK, embedded: bool, key in digests()) {
        let row = PackRow { pack, len, embedded };
        let bytes = encoded(|out| row.encode(out).unwrap());
        prop_assert_eq!(PackRow::decode(bytes[..].try_into().unwrap()).unwrap(), row);
        let pin = PinRow { key, batch: pack };
        let bytes = encoded(|out| pin.encode(out));
        prop_assert_eq!(PinRow::decode(bytes[..].try_into().unwrap()).unwrap(), pin);
    }

    #[test]
    fn batch_records_come_back(records in vec(batch_records(), 0..5)) {
        let bytes = encoded(|out| records.iter().for_each(|record| record.encode(out).unwrap()));
        prop_assert_eq!(bytes.len(), records.iter().map(BatchRecord::encoded_len).sum::<usize>());
        prop_assert_eq!(BatchRecord::decode_all(&bytes).unwrap(), records);
    }

    #[test]
    fn segment_names_come_back(name in names()) {
        prop_assert_eq!(SegmentName::parse(&name.to_string()).unwrap(), name);
        let trailer = SegmentTrailer { name, level: 3, sum: [7; 16] };
        let bytes = encoded(|out| trailer.encode(out));
        prop_assert_eq!(SegmentTrailer::decode(&bytes).unwrap(), trailer);
    }

    #[test]
    fn sections_lie_back_to_back(name in names()) {
        let layout = Layout::new(&name).unwrap();
        let mut at = name.pack_len;
        for section in layout.sections() {
            prop_assert_eq!(section.range().start, at);
            at = section.range().end;
            if let Some(last) = section.blocks().checked_sub(1) {
                prop_assert_eq!(section.block(0).unwrap().start, section.range().start);
                prop_assert_eq!(section.block(last).unwrap().end, at);
                prop_assert_eq!(section.block_of(section.rows() - 1), (last, section.rows_in(last) - 1));
            }
            prop_assert_eq!(section.block(section.blocks()), None);
        }
        prop_assert_eq!((at, at + 128), (layout.trailer, layout.file_len));
    }

    #[test]
    fn nodes_come_back(height in 0..=node::MAX_HEIGHT, parts in vec((digests(), 1..=u64::from(MAX_CHUNK)), 1..=node::MAX_RECORDS)) {
        let records = parts.into_iter().map(|(digest, len)| NodeRecord { digest, len }).collect();
        let node = Node { height, records };
        let bytes = encoded(|out| node.encode(out).unwrap());
        prop_assert_eq!(Node::decode(&bytes).unwrap(), node);
    }

    #[test]
    fn locators_come_back(locator in locators()) {
        let text = locator.to_text().unwrap();
        prop_assert!(text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_'));
        prop_assert_eq!(Locator::parse(&text).unwrap(), locator);
    }

    #[test]
    fn damage_notes_come_back(pack in ids(), offset in 0..1_u64 << 47, len in 1..1_u64 << 47) {
        let note = DamageNote { pack, offset, len };
        prop_assert_eq!(DamageNote::parse(&note.to_string()).unwrap(), note);
    }

    #[test]
    fn segments_of_any_size_come_back(count in 0..400_u64, blobs in 0..100_u64, pins in 0..100_u64, level in 0..segment::LEVELS) {
        let pack = PackRow { pack: numbered_id(2), len: MAX_PACK, embedded: false };
        let entry = |n: u64| Entry {
            digest: numbered(n), pack: pack.pack, offset: 32 + n * 100, stored: 36, raw: 36, kind: FrameKind::Chunk, root: true, batch: Some(0),
        };
        let blob = |n: u64| BlobEntry { key: numbered(n), root: numbered(n + 1), size: 9, chunks: 2, batch: None, height: 0 };
        let mut contents = SegmentContents {
            entries: (0..count).map(entry).collect(),
            blobs: (0..blobs).map(blob).collect(),
            packs: vec![pack],
            pins: (0..pins).map(|n| PinRow { key: numbered(n), batch: numbered_id(3) }).collect(),
            records: super::samples::records(),
        };
        contents.entries.sort();
        contents.blobs.sort();
        contents.pins.sort();
        let (name, file) = contents.encode(numbered_id(5), level, &[]).unwrap();
        prop_assert_eq!(SegmentContents::decode(&name, &file).unwrap(), contents);
    }
}

#[test]
fn settings_come_back_and_pass_over_what_they_do_not_know() {
    let file = settings().to_file().unwrap();
    assert_eq!(Settings::from_file(&file).unwrap(), settings());
    let text = String::from_utf8(file).unwrap();
    let document = text.split_once('\n').unwrap().1.replacen('{', "{\"later\": [1],", 1);
    assert_eq!(Settings::from_file(&stamped("1", &document)).unwrap(), settings());
    // A store that was made before these were asked.
    let older = document.replace("  \"quoted_etags\": true,\n  \"list_after_put\": true,\n", "");
    assert!(older.len() < document.len());
    let expected = Settings { list_after_put: false, ..settings() };
    assert_eq!(Settings::from_file(&stamped("1", &older)).unwrap(), expected);
}

#[test]
fn a_store_of_a_newer_format_is_refused_by_name() {
    let mut newer = settings();
    assert!(newer.check_writable().unwrap_err().to_string().contains("\"later\""));
    newer.writer_features.clear();
    newer.check_writable().unwrap();
    newer.reader_features.push("cipher-x".into());
    let error = Settings::from_file(&newer.to_file().unwrap()).unwrap_err();
    assert_eq!((error.kind(), error.cause()), (crate::Kind::Unsupported, "reader-feature"));
    assert!(error.to_string().contains("\"cipher-x\""));
    // A newer document need not have today's fields.
    let error = Settings::from_file(&stamped("1", "{\"reader_features\": [\"x\"]}\n")).unwrap_err();
    assert_eq!(error.cause(), "reader-feature");
    assert_eq!(Settings::from_file(&stamped("2", "{}\n")).unwrap_err().cause(), "newer-format");
    assert_eq!(Settings::from_file(b"{}").unwrap_err().kind(), crate::Kind::NotAStore);
    assert_eq!(Settings::from_file(&stamped("1", "{}\n")).unwrap_err().kind(), crate::Kind::Corrupt);
}

fn stamped(version: &str, document: &str) -> Vec<u8> {
    format!("packhouse-store {version} {}\n{document}", crate::digest::hash(document.as_bytes())).into_bytes()
}

#[test]
fn marks_come_back_and_unknown_names_are_announcements() {
    let mark = Mark { pack: numbered_id(1), time_ms: i64::MIN };
    let bytes = encoded(|out| mark.encode(out));
    assert_eq!(Mark::decode(&bytes).unwrap(), mark);
    let name = numbered_id(1).to_string();
    assert_eq!(MarkName::parse(&name), MarkName::Condemned(numbered_id(1)));
    for other in ["", "x", &name[1..], &name.to_uppercase(), &format!("{name}.tmp")] {
        assert_eq!(MarkName::parse(other), MarkName::Unknown, "{other}");
    }
}
