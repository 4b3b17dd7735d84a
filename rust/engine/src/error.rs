//! What can go wrong, as a caller must tell it apart. Texts are lower-case sentences that name the operation and what it was done to.

use std::fmt;
use std::io;

/// The engine's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The class of an error: what a caller can do about it. The bindings map each to one exception class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A blob or chunk that no index entry knows.
    NotFound,
    /// Bytes that are not what their checksum, digest or key says.
    Corrupt,
    /// The segment was issued, but whether the batch is durable cannot be known.
    Uncertain,
    /// The argument is not usable: not a key, out of range, unknown option.
    Invalid,
    /// The store is of a newer format or needs a feature that this version lacks.
    Unsupported,
    /// There is no store here, or it cannot be opened as asked.
    NotAStore,
    /// A write to a store that was opened for reading, or that refuses writes after a failed sync.
    ReadOnly,
    /// A named document changed meanwhile.
    Conflict,
    /// A named document does not exist.
    NameNotFound,
    /// The caller asked to stop.
    Cancelled,
    /// The operating system refused: disk full, permission, I/O error.
    Io,
}

/// What a disk says in words of its own: the inside of an `io::Error` whose cause is finer than the system's kinds of errors.
#[derive(Debug)]
pub struct Refusal {
    /// The stable machine-readable name (see `docs/errors.md`).
    pub cause: &'static str,
    /// A sentence.
    pub text: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Refusal {}

/// An error with its class, its finer stable cause and a sentence.
pub struct Error {
    kind: Kind,
    cause: &'static str,
    message: String,
    source: Option<io::Error>,
}

impl Error {
    /// An error of class `kind`; `cause` is its stable machine-readable name (see `docs/errors.md`).
    pub fn new(kind: Kind, cause: &'static str, message: impl Into<String>) -> Self {
        Self { kind, cause, message: message.into(), source: None }
    }

    /// Bytes that are not what they should be.
    pub fn corrupt(cause: &'static str, message: impl Into<String>) -> Self {
        Self::new(Kind::Corrupt, cause, message)
    }

    /// An argument that cannot be used.
    pub fn invalid(cause: &'static str, message: impl Into<String>) -> Self {
        Self::new(Kind::Invalid, cause, message)
    }

    /// A system call on a path of the store failed.
    pub fn io(operation: &str, path: &str, source: io::Error) -> Self {
        let refusal = source.get_ref().and_then(|inner| inner.downcast_ref::<Refusal>());
        let of_the_system = || match source.kind() {
            io::ErrorKind::StorageFull => "disk-full",
            io::ErrorKind::QuotaExceeded => "quota",
            io::ErrorKind::PermissionDenied => "permission",
            io::ErrorKind::ReadOnlyFilesystem => "read-only-file-system",
            io::ErrorKind::NotFound => "missing-file",
            io::ErrorKind::FileTooLarge => "file-too-large",
            _ => "io",
        };
        let cause = refusal.map_or_else(of_the_system, |refusal| refusal.cause);
        let kind = match cause {
            "no-bucket" => Kind::NotAStore,
            "cancelled" => Kind::Cancelled,
            _ => Kind::Io,
        };
        Self { kind, cause, message: format!("{operation} {path:?}: {source}"), source: Some(source) }
    }

    /// The caller's cancel flag was seen.
    pub fn cancelled() -> Self {
        Self::new(Kind::Cancelled, "cancelled", "the operation was cancelled")
    }

    /// The class.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The stable name of the finer cause.
    pub fn cause(&self) -> &'static str {
        self.cause
    }

    /// The operating system's error number, where it was a system call that failed.
    pub fn os_code(&self) -> Option<i32> {
        self.source.as_ref().and_then(io::Error::raw_os_error)
    }

    /// What kind of failure the system call had, where it was one.
    pub(crate) fn io_kind(&self) -> Option<io::ErrorKind> {
        self.source.as_ref().map(io::Error::kind)
    }

    /// Why a part of the index cannot be read, told to whoever looked for something in it: what the system refused stays that.
    #[must_use]
    pub(crate) fn of_index(self, looked: &str) -> Self {
        let (kind, cause) = match self.kind {
            Kind::Io | Kind::Cancelled => (self.kind, self.cause),
            _ => (Kind::Corrupt, "index"),
        };
        self.recast(kind, cause, &format!("{looked}: a part of the index cannot be read"))
    }

    /// The same error seen as another class, with a sentence before it.
    #[must_use]
    pub fn recast(mut self, kind: Kind, cause: &'static str, prefix: &str) -> Self {
        self.kind = kind;
        self.cause = cause;
        self.message = format!("{prefix}: {}", self.message);
        self
    }
}

impl Clone for Error {
    /// One failed sync fails every batch of its commit: each gets the same error.
    fn clone(&self) -> Self {
        let source = self.source.as_ref().map(|e| match e.raw_os_error() {
            Some(code) => io::Error::from_raw_os_error(code),
            None => io::Error::new(e.kind(), e.to_string()),
        });
        Self { kind: self.kind, cause: self.cause, message: self.message.clone(), source }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}/{}: {}", self.kind, self.cause, self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_ref().map(|e| e as &(dyn std::error::Error + 'static))
    }
}

/// Attach the operation and the path to a failed system call.
pub(crate) trait At<T> {
    fn at(self, operation: &str, path: &str) -> Result<T>;
}

impl<T> At<T> for io::Result<T> {
    fn at(self, operation: &str, path: &str) -> Result<T> {
        self.map_err(|e| Error::io(operation, path, e))
    }
}
