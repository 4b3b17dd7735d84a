//! What a new store is made with.

use std::collections::HashMap;

use packhouse_engine::chunk::Params;
use packhouse_engine::codec::DEFAULT_LEVEL;
use packhouse_engine::format::Settings;
use packhouse_engine::{Error, Result, WriterId};

/// Days that blobs are kept which nothing pins, unless chosen otherwise.
const RETENTION_MS: u64 = 14 * 24 * 60 * 60 * 1_000;

/// The defaults, with what the caller chose.
pub(crate) fn chosen(choice: &HashMap<String, u64>) -> Result<Settings> {
    let mut chunking = Params::default();
    if let Some(average) = choice.get("chunk_average") {
        let too_large = || Error::invalid("chunk-sizes", format!("the average chunk size cannot be {average} bytes"));
        chunking.avg = u32::try_from(*average).map_err(|_| too_large())?;
        chunking.min = chunking.avg / 4;
        chunking.max = chunking.avg.checked_mul(4).ok_or_else(too_large)?;
    }
    chunking.check()?;
    let level = match choice.get("level") {
        None => DEFAULT_LEVEL,
        Some(level) => i32::try_from(*level)
            .ok()
            .filter(|level| (1..=19).contains(level))
            .ok_or_else(|| Error::invalid("level", format!("a zstd level is between 1 and 19, not {level}")))?,
    };
    let retention_ms = match choice.get("retention") {
        None => RETENTION_MS,
        Some(seconds) => seconds
            .checked_mul(1_000)
            .ok_or_else(|| Error::invalid("option", format!("a retention of {seconds} seconds is too long")))?,
    };
    Ok(Settings {
        store: WriterId::random()?.new_id()?,
        chunking,
        zstd_level: level,
        retention_ms,
        conditional_writes: choice.get("conditional_writes") != Some(&0),
        quoted_etags: choice.get("quoted_etags") != Some(&0),
        list_after_put: true,
        reader_features: Vec::new(),
        writer_features: Vec::new(),
    })
}
