//! Checked reading and writing of little-endian fields, one after another.

use crate::{Digest, Error, Id, Kind, Result};

/// A structure, as errors name it: its stable cause, and its name in a sentence.
#[derive(Clone, Copy, Debug)]
pub(crate) struct What(pub(crate) &'static str, pub(crate) &'static str);

impl What {
    #[cold]
    pub(crate) fn bad(self, why: impl std::fmt::Display) -> Error {
        Error::corrupt(self.0, format!("the {} {why}", self.1))
    }

    #[cold]
    pub(crate) fn newer(self, cause: &'static str, why: impl std::fmt::Display) -> Error {
        Error::new(Kind::Unsupported, cause, format!("the {} {why}", self.1))
    }

    #[cold]
    pub(crate) fn too_large(self, field: &str) -> Error {
        Error::invalid("too-large", format!("a {} cannot hold this {field}", self.1))
    }
}

/// CRC-32C, as every checksum of four bytes in the format.
pub(crate) fn crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
}

/// Reads fields from the front; running out of bytes is an error of the structure.
pub(crate) struct Cursor<'a> {
    what: What,
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(what: What, bytes: &'a [u8]) -> Self {
        Self { what, rest: bytes }
    }

    /// A structure that begins with `magic`, has a version of two bytes behind it and ends with the crc of all before: what a
    /// newer version keeps, too, so that "damaged" and "newer" can be told apart. The cursor stands behind the version.
    pub(crate) fn sealed(what: What, magic: [u8; 4], bytes: &'a [u8], len: usize) -> Result<Self> {
        let mut cursor = Self::unsealed(what, magic, bytes, len)?;
        let version = cursor.u16()?;
        if version != super::VERSION {
            return Err(what.newer("newer-format", format_args!("has version {version}, this reads version 1")));
        }
        Ok(cursor)
    }

    /// The same without a version.
    pub(crate) fn unsealed(what: What, magic: [u8; 4], bytes: &'a [u8], len: usize) -> Result<Self> {
        if bytes.len() != len {
            return Err(what.bad(format_args!("has {} bytes instead of {len}", bytes.len())));
        }
        let Some((body, sum)) = bytes.split_last_chunk::<4>() else {
            return Err(what.bad("is too short"));
        };
        let mut cursor = Self::new(what, body);
        if cursor.array::<4>()? != magic {
            return Err(what.bad("does not begin with its magic"));
        }
        if crc(body) != u32::from_le_bytes(*sum) {
            return Err(what.bad("does not match its checksum"));
        }
        Ok(cursor)
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let Some((first, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.what.bad("is cut short"));
        };
        self.rest = rest;
        Ok(*first)
    }

    #[inline]
    pub(crate) fn bytes(&mut self, len: usize) -> Result<&'a [u8]> {
        let Some((first, rest)) = self.rest.split_at_checked(len) else {
            return Err(self.what.bad("is cut short"));
        };
        self.rest = rest;
        Ok(first)
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    #[inline]
    pub(crate) fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_le_bytes)
    }

    #[inline]
    pub(crate) fn u24(&mut self) -> Result<u32> {
        self.array().map(|[a, b, c]| u32::from_le_bytes([a, b, c, 0]))
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    #[inline]
    pub(crate) fn u48(&mut self) -> Result<u64> {
        self.array().map(|[a, b, c, d, e, f]| u64::from_le_bytes([a, b, c, d, e, f, 0, 0]))
    }

    #[inline]
    pub(crate) fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(crate) fn i64(&mut self) -> Result<i64> {
        self.array().map(i64::from_le_bytes)
    }

    #[inline]
    pub(crate) fn id(&mut self) -> Result<Id> {
        self.array().map(Id)
    }

    #[inline]
    pub(crate) fn digest(&mut self) -> Result<Digest> {
        self.array().map(Digest::from_bytes)
    }

    /// Bytes kept for later versions: not zero means that somebody gave them a meaning this reader does not know.
    #[inline]
    pub(crate) fn reserved<const N: usize>(&mut self) -> Result<()> {
        if self.array::<N>()? != [0; N] {
            return Err(self.what.newer("newer-format", "uses bytes that are reserved in this version"));
        }
        Ok(())
    }

    /// What was not read yet.
    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Nothing may follow.
    pub(crate) fn end(&self) -> Result<()> {
        if !self.rest.is_empty() {
            return Err(self.what.bad(format_args!("is followed by {} bytes too many", self.rest.len())));
        }
        Ok(())
    }
}

/// Appends fields; a value that its field cannot hold is an error, never cut off.
pub(crate) struct Fields<'a> {
    what: What,
    out: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(what: What, out: &'a mut Vec<u8>) -> Self {
        let start = out.len();
        Self { what, out, start }
    }

    pub(crate) fn put(&mut self, bytes: &[u8]) -> &mut Self {
        self.out.extend_from_slice(bytes);
        self
    }

    pub(crate) fn u8(&mut self, value: u8) -> &mut Self {
        self.put(&[value])
    }

    pub(crate) fn u16(&mut self, value: u16) -> &mut Self {
        self.put(&value.to_le_bytes())
    }

    pub(crate) fn u32(&mut self, value: u32) -> &mut Self {
        self.put(&value.to_le_bytes())
    }

    pub(crate) fn u64(&mut self, value: u64) -> &mut Self {
        self.put(&value.to_le_bytes())
    }

    pub(crate) fn u24(&mut self, value: u32, field: &str) -> Result<&mut Self> {
        let [a, b, c, 0] = value.to_le_bytes() else {
            return Err(self.what.too_large(field));
        };
        Ok(self.put(&[a, b, c]))
    }

    pub(crate) fn u48(&mut self, value: u64, field: &str) -> Result<&mut Self> {
        let [a, b, c, d, e, f, 0, 0] = value.to_le_bytes() else {
            return Err(self.what.too_large(field));
        };
        Ok(self.put(&[a, b, c, d, e, f]))
    }

    pub(crate) fn zeros<const N: usize>(&mut self) -> &mut Self {
        self.put(&[0; N])
    }

    /// End the structure with the crc of all its bytes so far.
    pub(crate) fn seal(&mut self) {
        let sum = crc(self.out.get(self.start..).unwrap_or_default());
        self.u32(sum);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEST: What = What("test", "test");

    #[test]
    fn fields_come_back_as_written_and_never_past_the_end() {
        let mut out = vec![9];
        let mut fields = Fields::new(TEST, &mut out);
        fields.u8(1).u16(2).u32(3).u64(4).u24(0xFF_FFFF, "a").unwrap().u48(0xFFFF_FFFF_FFFF, "b").unwrap().zeros::<2>();
        let mut cursor = Cursor::new(TEST, &out[1..]);
        assert_eq!(cursor.u8().unwrap(), 1);
        assert_eq!(cursor.u16().unwrap(), 2);
        assert_eq!(cursor.u32().unwrap(), 3);
        assert_eq!(cursor.u64().unwrap(), 4);
        assert_eq!(cursor.u24().unwrap(), 0xFF_FFFF);
        assert_eq!(cursor.u48().unwrap(), 0xFFFF_FFFF_FFFF);
        cursor.reserved::<2>().unwrap();
        cursor.end().unwrap();
        assert_eq!(cursor.u8().unwrap_err().cause(), "test");
    }

    #[test]
    fn a_number_that_does_not_fit_is_refused_not_cut() {
        let mut out = Vec::new();
        assert!(Fields::new(TEST, &mut out).u24(1 << 24, "length").is_err());
        assert!(Fields::new(TEST, &mut out).u48(1 << 48, "offset").is_err());
        assert!(out.is_empty());
    }
}
