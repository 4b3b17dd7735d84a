//! Checksums that object stores compare uploads with. Each goes on from the one of the bytes before, 0 where there are none.

use libdeflater::Crc;

/// CRC-32 as zlib has it.
#[must_use]
pub fn crc32(bytes: &[u8], before: u32) -> u32 {
    let mut crc = Crc::with_initial(before);
    crc.update(bytes);
    crc.sum()
}

/// CRC-32C, Castagnoli's (RFC 3720, B.4).
#[must_use]
pub fn crc32c(bytes: &[u8], before: u32) -> u32 {
    crc32c::crc32c_append(before, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check values of both in the catalogue of parametrised CRC algorithms: the digits 1 to 9.
    #[test]
    fn they_are_the_ones_that_services_compute_in_one_piece_and_in_two() {
        assert_eq!(crc32(b"123456789", 0), 0xcbf4_3926);
        assert_eq!(crc32(b"56789", crc32(b"1234", 0)), 0xcbf4_3926);
        assert_eq!(crc32c(b"123456789", 0), 0xe306_9283);
        assert_eq!(crc32c(b"56789", crc32c(b"1234", 0)), 0xe306_9283);
    }
}
