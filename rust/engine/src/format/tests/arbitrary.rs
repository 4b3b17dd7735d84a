//! Bytes that nobody wrote: an error, never a panic, and what is accepted is what would have been written.

use proptest::collection::vec;
use proptest::prelude::*;

use super::samples::{pack, segment};
use crate::format::*;

/// All parsers, on the same bytes.
fn parse_everything(bytes: &[u8]) {
    let _ = FrameHeader::decode(bytes);
    let _ = PackHeader::decode(bytes);
    let _ = PackTrailer::decode(bytes).map(|trailer| trailer.body_start(bytes.len() as u64));
    let _ = Footer::of_pack(bytes);
    let _ = SegmentTrailer::decode(bytes);
    let _ = Mark::decode(bytes);
    let _ = Settings::from_file(bytes);
    let _ = BatchRecord::decode_all(bytes);
    let _ = block::open(bytes);
    if let Ok(node) = Node::decode(bytes) {
        let mut again = Vec::new();
        node.encode(&mut again).unwrap();
        assert_eq!(again, bytes);
    }
    if let Some(row) = bytes.first_chunk()
        && let Ok(entry) = Entry::decode(row)
    {
        let mut again = Vec::new();
        entry.encode(&mut again).unwrap();
        assert_eq!(again, row);
    }
    let _ = bytes.first_chunk().map(BlobEntry::decode);
    let _ = bytes.first_chunk().map(PackRow::decode);
    let text = String::from_utf8_lossy(bytes);
    let _ = Locator::parse(&text);
    let _ = SegmentName::parse(&text);
    let _ = DamageNote::parse(&text);
    let _ = MarkName::parse(&text);
}

/// Bytes that begin as a structure does and whose last four are a true checksum.
fn sealed() -> impl Strategy<Value = Vec<u8>> {
    let magic = prop::sample::select(vec![*b"PHfr", *b"PHpk", *b"PHpe", *b"PHsg", *b"PHmk", *b"PHrn"]);
    let len = prop::sample::select(vec![16, 32, 56, 64, 96, 128]);
    (magic, len, vec(prop_oneof![3 => Just(0_u8), 1 => any::<u8>()], 128)).prop_map(|(magic, len, mut bytes)| {
        bytes.truncate(len);
        bytes[..4].copy_from_slice(&magic);
        bytes[4..6].copy_from_slice(&[1, 0]);
        let sum = crc32c::crc32c(&bytes[..len - 4]);
        bytes[len - 4..].copy_from_slice(&sum.to_le_bytes());
        bytes
    })
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in vec(any::<u8>(), 0..300)) {
        parse_everything(&bytes);
    }

    #[test]
    fn arbitrary_text_never_panics(text in "[-_0-9a-zA-Z ]{0,120}") {
        parse_everything(text.as_bytes());
    }

    #[test]
    fn structures_with_a_true_checksum_and_arbitrary_fields_never_panic(bytes in sealed()) {
        parse_everything(&bytes);
    }

    #[test]
    fn a_footer_with_true_checksums_and_arbitrary_changes_never_panics(at: prop::sample::Index, with in vec(any::<u8>(), 1..9)) {
        let (mut bytes, _) = pack();
        let end = bytes.len() - pack::PACK_TRAILER;
        let start = end - u64::from_le_bytes(bytes[end + 24..end + 32].try_into().unwrap()) as usize;
        let at = start + at.index(end - start);
        let upto = end.min(at + with.len());
        bytes[at..upto].copy_from_slice(&with[..upto - at]);
        let sum = PackTrailer::sum(&bytes[start..end]);
        bytes[end + 48..end + 60].copy_from_slice(&sum);
        let sum = crc32c::crc32c(&bytes[end..end + 60]);
        bytes[end + 60..].copy_from_slice(&sum.to_le_bytes());
        if let Ok((header, footer)) = Footer::of_pack(&bytes) {
            let mut again = Vec::new();
            footer.encode(header.pack, &mut again).unwrap();
            prop_assert_eq!(&again, &bytes[start..]);
        }
    }

    #[test]
    fn a_segment_name_of_any_counts_is_placed_or_refused(counts in prop::array::uniform6(any::<u64>())) {
        let [entries, blobs, packs, pins, records_len, pack_len] = counts;
        let name = SegmentName { id: crate::Id([1; 16]), entries, blobs, packs, pins, records_len, pack_len };
        if let Ok(layout) = Layout::new(&name) {
            prop_assert!(layout.file_len > layout.trailer);
        }
        let _ = SegmentContents::decode(&name, &[]);
    }
}

#[test]
fn a_claim_of_four_billion_rows_costs_nothing() {
    let (name, file, _) = segment();
    for huge in [u64::from(u32::MAX), u64::MAX, 1 << 40] {
        let claim = SegmentName { entries: huge, ..name };
        assert!(SegmentContents::decode(&claim, &file).is_err());
        let claim = SegmentName { records_len: huge, ..name };
        assert!(SegmentContents::decode(&claim, &file).is_err());
    }
    let mut record = Vec::new();
    super::samples::records()[0].encode(&mut record).unwrap();
    record[28..32].copy_from_slice(&u32::MAX.to_le_bytes());
    assert!(BatchRecord::decode(&record).is_err());
}
