//! How the system's scheduler treats a thread while it works for the engine.

/// A turn of a core that a working thread asks for, in nanoseconds: long, as for any work in bulk.
#[cfg(target_os = "linux")]
const TURN: u64 = 20_000_000;

/// While it lives this thread, and any that it starts, works in long turns.
///
/// Linux (6.12 and later) lets a thread that wakes take a core at once from one whose turns are longer: the caller's event loop need not
/// wait until a worker has had its turn of some milliseconds. The share of time stays the same. Older systems know no such thing and
/// are left as they are.
pub(crate) struct LongTurns {
    #[cfg(target_os = "linux")]
    before: Option<libc::sched_attr>,
}

#[cfg(target_os = "linux")]
impl LongTurns {
    pub(crate) fn begin() -> Self {
        // An ordinary thread only: what else there is (batch, real time) somebody has chosen.
        let before =
            current().filter(|now| now.sched_policy == libc::SCHED_OTHER.unsigned_abs() && now.sched_runtime > 0);
        if let Some(before) = &before {
            set(&libc::sched_attr { sched_runtime: TURN, ..*before });
        }
        Self { before }
    }
}

#[cfg(target_os = "linux")]
impl Drop for LongTurns {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            set(before);
        }
    }
}

#[cfg(target_os = "linux")]
fn current() -> Option<libc::sched_attr> {
    let size = u32::try_from(size_of::<libc::sched_attr>()).ok()?;
    // SAFETY: all of its fields are integers.
    let mut now: libc::sched_attr = unsafe { std::mem::zeroed() };
    // SAFETY: the kernel writes at most `size` bytes to a structure that is as long.
    let failed = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut now, size, 0) };
    (failed == 0).then_some(now)
}

/// A refusal changes nothing, and nothing depends on it.
#[cfg(target_os = "linux")]
fn set(wanted: &libc::sched_attr) {
    // SAFETY: the kernel reads a structure whose own field says how long it is.
    let _ = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const *wanted, 0) };
}

#[cfg(not(target_os = "linux"))]
impl LongTurns {
    pub(crate) fn begin() -> Self {
        Self {}
    }
}
