//! Batch records: that a batch was committed, when, and which keys it leaned on without writing them.

use super::cursor::{Cursor, Fields, What};
use crate::{Digest, Id, Result};

/// Bytes of a record before its keys.
pub const RECORD_HEADER: usize = 32;
const WHAT: What = What("batch-record", "batch record");
const PINNED: u8 = 1;

/// What one batch leaves behind. The keys it saved are the entries that carry its ordinal; those it found stored stand here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BatchRecord {
    /// The batch.
    pub batch: Id,
    /// When it was written, by the store's clock: milliseconds since 1970.
    pub time_ms: i64,
    /// Its keys are kept until they are released, not only for the retention.
    pub pinned: bool,
    /// The keys it found stored and relies on, strictly ascending.
    pub leaned: Vec<Digest>,
}

impl BatchRecord {
    /// Bytes this record takes.
    pub fn encoded_len(&self) -> usize {
        self.leaned.len().saturating_mul(32).saturating_add(RECORD_HEADER)
    }

    /// Append the record.
    ///
    /// # Errors
    /// `too-large`: more keys than can be counted, or keys that do not ascend.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        let Ok(count) = u32::try_from(self.leaned.len()) else {
            return Err(WHAT.too_large("number of keys"));
        };
        if !self.leaned.is_sorted_by(|a, b| a < b) {
            return Err(WHAT.too_large("list of keys: it does not ascend"));
        }
        let mut fields = Fields::new(WHAT, out);
        fields
            .put(&self.batch.0)
            .u64(self.time_ms.cast_unsigned())
            .u8(u8::from(self.pinned) * PINNED)
            .zeros::<3>()
            .u32(count);
        self.leaned.iter().for_each(|key| {
            fields.put(key.as_bytes());
        });
        Ok(())
    }

    /// Read the record at the front of `bytes`; also what follows it.
    ///
    /// # Errors
    /// `batch-record` when cut short or impossible, `newer-format` for flags that this version does not know.
    pub fn decode(bytes: &[u8]) -> Result<(Self, &[u8])> {
        let mut cursor = Cursor::new(WHAT, bytes);
        let (batch, time_ms, flags) = (cursor.id()?, cursor.i64()?, cursor.u8()?);
        if flags & !PINNED != 0 {
            return Err(WHAT.newer("newer-format", format_args!("of {batch} has the unknown flags {flags:#x}")));
        }
        cursor.reserved::<3>()?;
        let count = cursor.u32()?;
        // The keys are taken from the bytes first: only what is there is allocated.
        let len = usize::try_from(count).ok().and_then(|count| count.checked_mul(32));
        let keys = cursor.bytes(len.ok_or_else(|| WHAT.bad("is cut short"))?)?;
        let leaned: Vec<_> = keys.as_chunks::<32>().0.iter().map(|key| Digest::from_bytes(*key)).collect();
        if !leaned.is_sorted_by(|a, b| a < b) {
            return Err(WHAT.bad(format_args!("of {batch} has keys out of order")));
        }
        Ok((Self { batch, time_ms, pinned: flags & PINNED != 0, leaned }, cursor.rest()))
    }

    /// Read records, one behind the other, to the end of `bytes`. A record's place is the ordinal that entries name.
    ///
    /// # Errors
    /// As [`BatchRecord::decode`].
    pub fn decode_all(mut bytes: &[u8]) -> Result<Vec<Self>> {
        let mut records = Vec::new();
        while !bytes.is_empty() {
            let (record, rest) = Self::decode(bytes)?;
            records.push(record);
            bytes = rest;
        }
        Ok(records)
    }
}
