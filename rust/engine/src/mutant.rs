//! Bugs that can be planted to see the tests find them: in a build with the feature `mutants`, and there only.

/// Whether the bug of this name is planted (`PACKHOUSE_MUTANT`). Without the feature it never is, and the branch vanishes.
#[cfg(feature = "mutants")]
pub(crate) fn planted(name: &str) -> bool {
    static PLANTED: std::sync::OnceLock<Option<String>> = std::sync::OnceLock::new();
    PLANTED.get_or_init(|| std::env::var("PACKHOUSE_MUTANT").ok()).as_deref() == Some(name)
}

/// Whether the bug of this name is planted: never.
#[cfg(not(feature = "mutants"))]
#[inline]
pub(crate) const fn planted(_: &str) -> bool {
    false
}
