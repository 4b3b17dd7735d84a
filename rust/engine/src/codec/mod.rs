//! How a chunk is stored: raw, or byte-grouped and compressed with zstd where a cheap sample says that it pays.

mod decode;
mod encode;
mod frames;
mod group;
mod sample;

pub use decode::Decoder;
pub use encode::{Encoded, Encoder};

pub use crate::format::Codec;

/// The zstd level of a store that names none; see `docs/decisions/002-compression.md`.
pub const DEFAULT_LEVEL: i32 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn noise(seed: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
        bytes
    }

    fn json(len: usize) -> Vec<u8> {
        let mut text = String::new();
        for i in 0_u64.. {
            if text.len() >= len {
                break;
            }
            let x = i.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
            text.push_str(&format!("{{\"id\": {i}, \"loss\": 0.{x}, \"name\": \"step-{}\", \"ok\": true}}\n", x % 97));
        }
        text.truncate(len);
        text.into_bytes()
    }

    fn ramp(len: usize) -> Vec<u8> {
        (0..len.div_ceil(4)).flat_map(|i| (i as f32 + 3_000_000.0).to_le_bytes()).take(len).collect()
    }

    fn round_trip(raw: &[u8]) -> (Codec, u8, usize) {
        let mut encoder = Encoder::new(DEFAULT_LEVEL).unwrap();
        let encoded = encoder.encode(raw).unwrap();
        assert!(encoded.payload.len() <= raw.len());
        let mut out = vec![0xA5; raw.len()];
        Decoder::new().unwrap().decode(encoded.codec, encoded.group, &encoded.payload, &mut out).unwrap();
        assert!(out == raw, "{} bytes came back changed", raw.len());
        (encoded.codec, encoded.group, encoded.payload.len())
    }

    #[test]
    fn a_chunk_comes_back_as_it_was() {
        for len in [0, 1, 31, 63, 64, 65, 255, 4095, 10_240, 65_536, 262_144, 300_001] {
            for raw in [vec![0; len], noise(3, len), json(len), ramp(len)] {
                round_trip(&raw);
            }
        }
    }

    #[test]
    fn numbers_are_stored_small() {
        let (codec, group, stored) = round_trip(&ramp(65_536));
        assert_eq!((codec, group), (Codec::Zstd, 4));
        assert!(stored < 65_536 / 20, "{stored} bytes for a ramp");
        let floats = |len: usize| {
            noise(9, len / 4).into_iter().zip(noise(8, len)).map(|(x, y)| (f32::from(x) - 127.3) * f32::from(y))
        };
        let weights: Vec<u8> = floats(65_536).flat_map(|x| (x * 1.000_123).sin().to_le_bytes()).collect();
        let (codec, group, stored) = round_trip(&weights);
        assert_eq!((codec, group), (Codec::Zstd, 4));
        assert!(stored < weights.len() / 100 * 90, "{stored} bytes for {} of floats", weights.len());
    }

    #[test]
    fn text_is_never_grouped() {
        let umlauts = json(65_536).iter().flat_map(|&b| if b == b'e' { vec![0xC3, 0xA4] } else { vec![b] }).collect();
        for text in [json(65_536), umlauts] {
            let (codec, group, stored) = round_trip(&text);
            assert_eq!((codec, group), (Codec::Zstd, 0));
            assert!(stored < text.len() / 3);
        }
    }

    #[test]
    fn a_damaged_lane_is_an_error_not_a_panic() {
        let raw = ramp(20_000);
        let encoded = Encoder::new(DEFAULT_LEVEL).unwrap().encode(&raw).unwrap();
        let mut decoder = Decoder::new().unwrap();
        let mut out = vec![0; raw.len()];
        for len in 0..encoded.payload.len() {
            assert!(decoder.decode(encoded.codec, encoded.group, &encoded.payload[..len], &mut out).is_err());
        }
        for at in 0..encoded.payload.len() {
            let mut damaged = encoded.payload.to_vec();
            damaged[at] ^= 0xFF;
            let _ = decoder.decode(encoded.codec, encoded.group, &damaged, &mut out);
        }
    }

    #[test]
    fn random_bytes_are_stored_as_they_are() {
        for seed in 0..200 {
            for len in [1000, 10_240, 65_536] {
                assert_eq!(round_trip(&noise(seed, len)), (Codec::Raw, 0, len));
            }
        }
    }

    #[test]
    fn a_foreign_payload_is_an_error_not_a_panic() {
        let mut decoder = Decoder::new().unwrap();
        let zeros = zstd::bulk::compress(&[0; 1 << 20], 1).unwrap();
        let mut skippable = vec![0x50, 0x2A, 0x4D, 0x18, 4, 0, 0, 0, 1, 2, 3, 4];
        skippable.extend(&zeros);
        let trailing = [zeros.as_slice(), &zeros].concat();
        let many = zstd::bulk::compress(&[7], 1).unwrap().repeat(17);
        for (payload, len) in [
            (&zeros[..], 1000),
            (&zeros[..], (1 << 20) - 1),
            (&zeros[..], (1 << 20) + 1),
            (&zeros[..zeros.len() - 1], 1 << 20),
            (&skippable[..], 1 << 20),
            (&trailing[..], 1 << 20),
            (&trailing[..], 3 << 20),
            (&many[..], 17),
            (&[][..], 0),
            (&[][..], 10),
        ] {
            for group in [0, 2, 4, 8] {
                let error = decoder.decode(Codec::Zstd, group, payload, &mut vec![0; len]).unwrap_err();
                assert_eq!((error.kind(), error.cause()), (crate::Kind::Corrupt, "payload"));
            }
        }
        assert_eq!(decoder.decode(Codec::Raw, 0, &[1, 2], &mut [0; 3]).unwrap_err().cause(), "payload");
        assert_eq!(decoder.decode(Codec::Raw, 4, &[1, 2, 3, 4], &mut [0; 4]).unwrap_err().cause(), "group");
        assert_eq!(decoder.decode(Codec::Zstd, 3, &zeros, &mut vec![0; 1 << 20]).unwrap_err().cause(), "group");
        decoder.decode(Codec::Zstd, 0, &zeros, &mut vec![1; 1 << 20]).unwrap();
    }

    #[test]
    fn a_level_that_zstd_does_not_have_is_refused() {
        assert_eq!(Encoder::new(23).err().unwrap().cause(), "level");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn any_bytes_come_back(len in 0_usize..300_000, seed in 0..u64::MAX, kind in 0..4, width in 1_usize..9) {
            let mut raw = match kind {
                0 => noise(seed, len),
                1 => json(len),
                2 => ramp(len),
                _ => noise(seed, len).iter().map(|b| b & 7).collect(),
            };
            // Some columns constant: what tables of numbers look like.
            if seed & 1 == 1 {
                raw.iter_mut().skip(3).step_by(width).for_each(|b| *b = 0);
            }
            round_trip(&raw);
        }

        #[test]
        fn a_damaged_payload_never_passes_the_end(seed in 0..u64::MAX, at in 0_usize..9999, bit in 0_u32..8, width in 0_usize..4) {
            let raw = json(9999);
            let mut payload = zstd::bulk::compress(&raw, 1).unwrap();
            let at = at % payload.len();
            payload[at] ^= 1_u8 << bit;
            let mut out = vec![0; raw.len() + 64];
            let (body, guard) = out.split_at_mut(raw.len());
            let mut decoder = Decoder::new().unwrap();
            let _ = decoder.decode(Codec::Zstd, [0, 2, 4, 8][width], &payload, body);
            let mut random = noise(seed, 200);
            random[..4].copy_from_slice(&payload[..4]);
            let _ = decoder.decode(Codec::Zstd, [0, 2, 4, 8][width], &random, body);
            prop_assert!(guard.iter().all(|&byte| byte == 0));
        }
    }
}
