//! What is fuzzed: each parser of foreign bytes, with what an accepted input must hold.

#![allow(clippy::ptr_arg, reason = "renewing the settings changes their length, so all of a kind take a vector")]

use packhouse_engine::codec::Decoder;
use packhouse_engine::format::envelope::Envelope;
use packhouse_engine::format::*;
use packhouse_engine::gzip::{self, Found, Loaded, Sha1Key};
use packhouse_engine::names::encoding;
use packhouse_engine::{Cancel, Digest, Result};

use crate::seeds;

/// One parser.
pub struct Target {
    pub name: &'static str,
    /// Valid inputs to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// Make the checksums true again, where the damage left room for them.
    pub renew: fn(&mut Vec<u8>),
    /// Parse; whether the input was accepted. Panics when the outcome contradicts itself.
    pub run: fn(&[u8]) -> bool,
    /// Bytes that the target itself holds beside the parser.
    pub memory: usize,
}

/// All of them.
pub const ALL: &[&Target] = &[
    &Target { name: "pack", seeds: seeds::packs, renew: renew_pack, run: pack, memory: LARGEST },
    &Target { name: "frame", seeds: seeds::frames, renew: renew_frame, run: frame, memory: LARGEST },
    &Target { name: "segment", seeds: seeds::segments, renew: renew_segment, run: segment, memory: 0 },
    &Target { name: "node", seeds: seeds::nodes, renew: |_| {}, run: node, memory: 0 },
    &Target { name: "decompress", seeds: seeds::payloads, renew: |_| {}, run: decompress, memory: 1 << 25 },
    &Target { name: "settings", seeds: seeds::settings, renew: renew_settings, run: settings, memory: 0 },
    &Target { name: "locator", seeds: seeds::locator_bytes, renew: renew_tail, run: locator, memory: 0 },
    &Target { name: "labels", seeds: seeds::labels, renew: renew_tail, run: labels, memory: 0 },
    &Target { name: "names", seeds: seeds::names, renew: |_| {}, run: names, memory: 0 },
    &Target { name: "envelope", seeds: seeds::envelopes, renew: renew_envelope, run: envelope, memory: 0 },
    &Target { name: "paths", seeds: seeds::paths, renew: |_| {}, run: path, memory: 0 },
    &Target { name: "gzip", seeds: seeds::gzip_files, renew: |_| {}, run: gzip, memory: 4 * LARGEST },
];

/// Frames that claim more than this are not decoded: time would go into clearing memory.
const LARGEST: usize = 1 << 20;

fn encoded(encode: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Vec<u8> {
    let mut out = Vec::new();
    encode(&mut out).expect("what was read can be written");
    out
}

fn renew_tail(bytes: &mut Vec<u8>) {
    if let Some(body) = bytes.len().checked_sub(4) {
        let sum = crc32c::crc32c(&bytes[..body]);
        bytes[body..].copy_from_slice(&sum.to_le_bytes());
    }
}

/// Make the checksum at the end of one structure true.
fn renew_at(bytes: &mut [u8], start: usize, len: usize) {
    if let Some(part) = bytes.get_mut(start..start + len) {
        let (body, sum) = part.split_at_mut(len - 4);
        sum.copy_from_slice(&crc32c::crc32c(body).to_le_bytes());
    }
}

fn renew_frame(bytes: &mut Vec<u8>) {
    renew_at(bytes, 0, 64);
}

fn renew_pack(bytes: &mut Vec<u8>) {
    renew_at(bytes, 0, 32);
    for at in 32..bytes.len().saturating_sub(64) {
        if bytes[at..].starts_with(b"PHfr") {
            renew_at(bytes, at, 64);
        }
    }
    let Some(end) = bytes.len().checked_sub(64) else { return };
    let body_len = u64::from_le_bytes(bytes[end + 24..end + 32].try_into().unwrap());
    if let Some(start) = usize::try_from(body_len).ok().and_then(|len| end.checked_sub(len)) {
        let sum = PackTrailer::sum(&bytes[start..end]);
        bytes[end + 48..end + 60].copy_from_slice(&sum);
    }
    renew_at(bytes, end, 64);
}

/// Header, footer, and every frame that the footer lists.
fn pack(bytes: &[u8]) -> bool {
    let Ok((header, footer)) = Footer::of_pack(bytes) else { return false };
    let tail = encoded(|out| footer.encode(header.pack, out));
    assert!(bytes.ends_with(&tail), "a footer is written as it was read");
    assert_eq!(footer.pack_len(), Some(bytes.len() as u64));
    for entry in &footer.entries {
        let end = usize::try_from(entry.end()).unwrap();
        frame(&bytes[entry.offset as usize..end]);
    }
    true
}

fn frame(bytes: &[u8]) -> bool {
    let Some((head, payload)) = bytes.split_at_checked(64) else { return false };
    let Ok(header) = FrameHeader::decode(head) else { return false };
    assert_eq!(encoded(|out| header.encode(out)), head);
    let _ = header.check_payload(payload);
    let mut out = vec![0; (header.raw as usize).min(LARGEST)];
    if out.len() == header.raw as usize {
        let _ = Decoder::new().unwrap().decode(header.codec, header.group, payload, &mut out);
    }
    true
}

fn split_name(bytes: &[u8]) -> Option<(SegmentName, usize)> {
    let line = bytes.iter().position(|byte| *byte == b'\n')?;
    let name = SegmentName::parse(std::str::from_utf8(&bytes[..line]).ok()?).ok()?;
    Some((name, line + 1))
}

fn renew_segment(bytes: &mut Vec<u8>) {
    let Some((name, start)) = split_name(bytes) else { return };
    let Ok(layout) = Layout::new(&name) else { return };
    let file = &mut bytes[start..];
    if layout.file_len != file.len() as u64 {
        return;
    }
    let mut sum = block::SegmentSum::new();
    for section in layout.sections() {
        for range in (0..section.blocks()).map_while(|index| section.block(index)) {
            let (start, end) = (range.start as usize, range.end as usize);
            renew_at(file, start, end - start);
            sum.add(block::sum_of(&file[start..end]).unwrap());
        }
    }
    let at = layout.trailer as usize;
    file[at + 80..at + 96].copy_from_slice(&sum.finish());
    renew_at(file, at, 128);
}

/// The whole segment, and look-ups by place as a reader makes them.
fn segment(bytes: &[u8]) -> bool {
    let Some((name, start)) = split_name(bytes) else { return false };
    let file = &bytes[start..];
    look_up(&name, file);
    let Ok(contents) = SegmentContents::decode(&name, file) else { return false };
    let level = SegmentTrailer::decode(file.last_chunk::<128>().unwrap()).unwrap().level;
    let again = contents.encode(name.id, level, &file[..name.pack_len as usize]).unwrap();
    assert!(again.0 == name && again.1 == file, "a segment is written as it was read");
    true
}

fn look_up(name: &SegmentName, file: &[u8]) -> Option<()> {
    let layout = Layout::new(name).ok()?;
    let block = |section: &Section, index| {
        let range = section.block(index)?;
        block::open(file.get(usize::try_from(range.start).ok()?..usize::try_from(range.end).ok()?)?).ok()
    };
    let key = Digest::from_bytes(*blake3::hash(file).as_bytes());
    let probe = FilterShape::new(layout.chunks.rows() + layout.blobs.rows()).locate(&key);
    let _ = probe.may_hold(block(&layout.filter, probe.block)?);
    let fanout = FanoutShape::new(layout.chunks.rows());
    let (index, place) = fanout.block_of(fanout.bucket(&key));
    let ranks = fanout.ranks(block(&layout.chunk_fanout, index)?, place).ok()?;
    let (index, _) = layout.chunks.block_of(ranks.start);
    let rows = entry::rows(block(&layout.chunks, index)?, layout.chunks.rows_in(index)).ok()?;
    rows.iter().for_each(|row| drop(Entry::decode(row)));
    Some(())
}

fn node(bytes: &[u8]) -> bool {
    let Ok(node) = Node::decode(bytes) else { return false };
    assert_eq!(encoded(|out| node.encode(out)), bytes);
    true
}

/// The decoder fills what it was given, or fails; nothing behind it changes.
fn decompress(bytes: &[u8]) -> bool {
    let Some((&[group, a, b, c], payload)) = bytes.split_first_chunk::<4>() else { return false };
    let raw = (u32::from_le_bytes([a, b, c, 0]) as usize).min(LARGEST);
    let mut out = vec![0xA5; raw + 16];
    let (body, guard) = out.split_at_mut(raw);
    let accepted = Decoder::new().unwrap().decode(Codec::Zstd, group, payload, body).is_ok();
    assert_eq!(guard, [0xA5; 16], "bytes behind the result were changed");
    accepted
}

fn renew_settings(bytes: &mut Vec<u8>) {
    let Some(line) = bytes.iter().position(|byte| *byte == b'\n') else { return };
    let document = bytes.split_off(line + 1);
    let sum = blake3::hash(&document).to_hex();
    let version = bytes.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    *bytes = [b"packhouse-store ", version, b" ", sum.as_bytes(), b"\n", &document].concat();
}

fn settings(bytes: &[u8]) -> bool {
    let Ok(settings) = Settings::from_file(bytes) else { return false };
    let again = Settings::from_file(&settings.to_file().expect("what was read can be written"));
    assert_eq!(again.unwrap(), settings);
    let _ = settings.check_writable();
    true
}

fn locator(bytes: &[u8]) -> bool {
    let text = encode64(bytes);
    let Ok(locator) = Locator::parse(&text) else { return false };
    assert_eq!(locator.to_text().expect("what was read can be written"), text);
    true
}

fn labels(bytes: &[u8]) -> bool {
    let mut again = Vec::new();
    if let Ok(mark) = Mark::decode(bytes) {
        mark.encode(&mut again);
    } else if let Ok(header) = PackHeader::decode(bytes) {
        header.encode(&mut again);
    } else if let Ok(trailer) = PackTrailer::decode(bytes) {
        let _ = trailer.body_start(bytes.len() as u64);
        trailer.encode(&mut again);
    } else if let Ok(trailer) = SegmentTrailer::decode(bytes) {
        let _ = Layout::new(&trailer.name);
        trailer.encode(&mut again);
    } else {
        return false;
    }
    assert_eq!(again, bytes);
    true
}

fn names(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    let again = [
        SegmentName::parse(&text).ok().map(|name| {
            let _ = Layout::new(&name);
            name.to_string()
        }),
        DamageNote::parse(&text).ok().map(|note| note.to_string()),
        Digest::from_hex(&text).ok().map(|digest| digest.to_string()),
        Locator::parse(&text).ok().map(|locator| locator.to_text().unwrap()),
        match MarkName::parse(&text) {
            MarkName::Condemned(pack) => Some(pack.to_string()),
            MarkName::Unknown => None,
        },
    ];
    again.iter().flatten().for_each(|again| assert_eq!(*again, text, "a name has one spelling"));
    again.iter().any(Option::is_some)
}

fn renew_envelope(bytes: &mut Vec<u8>) {
    if let Some(body) = bytes.len().checked_sub(32) {
        let sum = blake3::hash(&bytes[..body]);
        bytes[body..].copy_from_slice(sum.as_bytes());
    }
}

fn envelope(bytes: &[u8]) -> bool {
    let peeked = Envelope::peek_name(bytes);
    let Ok(envelope) = Envelope::decode(bytes) else { return false };
    assert_eq!(peeked.expect("what is whole has a name"), envelope.name);
    assert_eq!(encoded(|out| envelope.encode(out)), bytes);
    true
}

/// A path of the folder of documents, and the same text as a name.
fn path(bytes: &[u8]) -> bool {
    let text = String::from_utf8_lossy(bytes);
    if !text.is_empty() {
        let path = encoding::encode(&text);
        assert_eq!(encoding::decode(&path).as_deref(), Some(&*text), "a name comes back");
        let safe = |part: &str| !part.is_empty() && part != "." && part != "..";
        assert!(path.split('/').all(safe) && path.is_ascii() && !path.contains('\0'), "{path:?} leaves its folder");
    }
    let Some(name) = encoding::decode(&text) else { return false };
    assert_eq!(encoding::encode(&name), text, "a path has one spelling");
    true
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// Base64url without padding, written again here so that the engine's own is tested against another.
fn encode64(bytes: &[u8]) -> String {
    let bits: Vec<u8> = bytes.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    bits.chunks(6)
        .map(|six| ALPHABET[(0..6).fold(0, |n, i| n << 1 | six.get(i).map_or(0, |b| *b as usize))] as char)
        .collect()
}

pub fn decode64(text: &str) -> Vec<u8> {
    let value = |letter| ALPHABET.iter().position(|other| *other == letter).unwrap();
    let bits: Vec<usize> =
        text.bytes().flat_map(|letter| (0..6).rev().map(move |bit| value(letter) >> bit & 1)).collect();
    bits.chunks_exact(8).map(|eight| eight.iter().fold(0, |n, bit| n << 1 | bit) as u8).collect()
}

/// A key and what stands in its file: what is handed out has that key, and what is said of its size can be.
fn gzip(bytes: &[u8]) -> bool {
    let Some((key, file)) = bytes.split_first_chunk::<20>() else { return false };
    let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let key = Sha1Key::from_hex(&hex).unwrap();
    let Ok(found) = Found::of_bytes(key, file) else { return false };
    assert!(found.size() <= file.len() as u64 * 1032, "a few bytes claim to be many");
    let mut memory = vec![0; usize::try_from(found.size()).unwrap_or(LARGEST).min(LARGEST)];
    let sound = found.is_sound(&Cancel::new()).unwrap_or(false);
    let loaded = match gzip::fetch(&[&found], &mut [&mut memory], &Cancel::new()).pop() {
        Some(Ok(Loaded::Filled)) => memory,
        Some(Ok(Loaded::Other(blob))) => blob,
        _ => {
            assert!(!sound, "what is sound can be loaded");
            return false;
        }
    };
    assert_eq!(Sha1Key::of(&loaded), key, "what was loaded is not what its key says");
    true
}
