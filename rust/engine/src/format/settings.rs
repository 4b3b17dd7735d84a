//! `store.json`: what was decided when the store was created.

use serde::{Deserialize, Serialize};

use super::cursor::What;
use crate::chunk::Params;
use crate::{Digest, Error, Id, Kind, Result, digest};

/// The longest settings file that is read.
pub const MAX_SETTINGS: usize = 1 << 16;
/// Features of readers that this version has; a store that names another cannot be read.
pub const READER_FEATURES: &[&str] = &[];
/// Features of writers that this version has; a store that names another cannot be written.
pub const WRITER_FEATURES: &[&str] = &[];
const WHAT: What = What("settings", "settings file");
const PREFIX: &str = "packhouse-store ";
const VERSION: &str = "1";

/// A store's settings, written once when it is created and never changed by this version.
///
/// Fields of the document that this version does not know are passed over: whoever adds one that matters names a feature, too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The store's id: 32 hex digits.
    #[serde(with = "hex_id")]
    pub store: Id,
    /// Where blobs are cut.
    pub chunking: Params,
    /// The zstd level that writers use.
    pub zstd_level: i32,
    /// How long a batch that is not pinned keeps its blobs, in milliseconds.
    pub retention_ms: u64,
    /// Whether put-if-absent and compare-and-swap were seen to work when the store was created.
    pub conditional_writes: bool,
    /// Whether versions stand in quotes in `If-Match`, as the service was seen to want them; a store made before that was asked uses them.
    #[serde(default = "yes")]
    pub quoted_etags: bool,
    /// Whether the service was seen to list what had just been put: no store is made where it does not. False: nobody looked.
    #[serde(default)]
    pub list_after_put: bool,
    /// What a reader must know.
    #[serde(default)]
    pub reader_features: Vec<String>,
    /// What a writer must know beyond that.
    #[serde(default)]
    pub writer_features: Vec<String>,
}

impl Settings {
    /// The file's bytes: a line with version and checksum, then one JSON document.
    ///
    /// # Errors
    /// `settings`: the document does not become JSON, or is too long.
    pub fn to_file(&self) -> Result<Vec<u8>> {
        let mut document = serde_json::to_string_pretty(self).map_err(|e| Error::invalid("settings", e.to_string()))?;
        document.push('\n');
        let file = format!("{PREFIX}{VERSION} {}\n{document}", digest::hash(document.as_bytes())).into_bytes();
        if file.len() > MAX_SETTINGS {
            return Err(WHAT.too_large("document"));
        }
        Ok(file)
    }

    /// Read the file's bytes.
    ///
    /// # Errors
    /// [`Kind::NotAStore`] when it does not begin as settings do, `settings` when damaged, [`Kind::Unsupported`] when it is of a
    /// newer format (`newer-format`) or names a feature that reading needs and this version lacks (`reader-feature`).
    pub fn from_file(bytes: &[u8]) -> Result<Self> {
        let Some(rest) = bytes.strip_prefix(PREFIX.as_bytes()) else {
            return Err(Error::new(
                Kind::NotAStore,
                "not-a-store",
                "the settings file does not begin as a store's does",
            ));
        };
        if bytes.len() > MAX_SETTINGS {
            return Err(WHAT.bad("is too long"));
        }
        let text = std::str::from_utf8(rest).map_err(|_| WHAT.bad("is not text"))?;
        let (line, document) = text.split_once('\n').ok_or_else(|| WHAT.bad("is cut short"))?;
        let (version, sum) = line.split_once(' ').ok_or_else(|| WHAT.bad("has no checksum"))?;
        if Digest::from_hex(sum).ok() != Some(digest::hash(document.as_bytes())) {
            return Err(WHAT.bad("does not match its checksum"));
        }
        if version != VERSION {
            return Err(WHAT.newer("newer-format", format_args!("has version {version:?}, this reads version 1")));
        }
        // A document of a newer store may lack or retype fields: its features are read first.
        let features: Features =
            serde_json::from_str(document).map_err(|e| WHAT.bad(format_args!("is not as expected: {e}")))?;
        if let Some(name) = unknown(&features.reader_features, READER_FEATURES) {
            return Err(
                WHAT.newer("reader-feature", format_args!("asks for the feature {name:?}, unknown to this version"))
            );
        }
        let settings: Self =
            serde_json::from_str(document).map_err(|e| WHAT.bad(format_args!("is not as expected: {e}")))?;
        settings.chunking.check().map_err(|e| WHAT.bad(format_args!("is not as expected: {e}")))?;
        Ok(settings)
    }

    /// Whether this version may write to the store.
    ///
    /// # Errors
    /// [`Kind::Unsupported`] (`writer-feature`), naming the feature that it lacks.
    pub fn check_writable(&self) -> Result<()> {
        match unknown(&self.writer_features, WRITER_FEATURES) {
            Some(name) => Err(WHAT.newer(
                "writer-feature",
                format_args!("asks writers for {name:?}, unknown to this version: read only"),
            )),
            None => Ok(()),
        }
    }
}

fn yes() -> bool {
    true
}

#[derive(Deserialize)]
struct Features {
    #[serde(default)]
    reader_features: Vec<String>,
}

fn unknown<'a>(named: &'a [String], known: &[&str]) -> Option<&'a str> {
    named.iter().map(String::as_str).find(|name| !known.contains(name))
}

mod hex_id {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use crate::Id;

    pub(super) fn serialize<S: Serializer>(id: &Id, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Id, D::Error> {
        let text = String::deserialize(deserializer)?;
        Id::from_hex(&text).ok_or_else(|| D::Error::custom("the store's id is not 32 lower-case hex digits"))
    }
}
