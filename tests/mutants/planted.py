"""The bugs that can be planted in packhouse, and the harness that must find each.

In the engine `planted("name")` is false in every build but the one with the feature `mutants`,
where it reads `PACKHOUSE_MUTANT`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Hunt:
    """A harness run that must fail: a row with rounds, tests of the Python suite, or a filter for the engine's own."""

    row: str = ""
    rounds: int = 0
    engine: str = ""
    tests: str = ""


@dataclass(frozen=True)
class Mutant:
    """One bug: its name, what it does, and what is expected to find it (any of the hunts)."""

    name: str
    what: str
    hunts: tuple[Hunt, ...]


def _mutant(name: str, what: str, *hunts: Hunt) -> Mutant:
    return Mutant(name, what, hunts)


_DAMAGE = "tests/metaflow/test_damage.py"
_FILES = "tests/metaflow/test_packed_files.py"
_CANCELLED = "tests/blobs/test_cancellation.py"
_TASKS = "tests/tasks/test_datastores.py"

ALL = (
    _mutant("no-file-sync", "files are not synced", Hunt("power", 30)),
    _mutant("no-dir-sync", "folders are not synced", Hunt("power", 30)),
    # Real file systems write down both folders together: a disk in memory, which does not, tells.
    _mutant("packs-dir-not-synced", "the folder of packs is not synced before the commit", Hunt(engine="crash")),
    _mutant("dedup-by-existence", "an index entry is trusted without a look at its pack", Hunt("heal", 40)),
    _mutant("read-check-off", "reads are not verified", Hunt("flips", 2000)),
    _mutant("verify-footers-only", "verify does not read frames", Hunt("flips", 1000)),
    _mutant("sync-retried", "a failed sync is tried again and believed", Hunt("sync", 9)),
    _mutant("sync-error-ignored", "a failed sync of the index folder is ignored", Hunt("sync", 30)),
    _mutant("no-step-3", "nothing is checked after publishing", Hunt(engine="condemned"), Hunt("machine", 400)),
    _mutant("check-before-publish", "the check comes before publishing", Hunt(engine="beside")),
    _mutant("lean-on-undurable", "a batch that wrote nothing new commits nothing", Hunt(engine="beside")),
    _mutant("no-sweep", "what dead writers left stays", Hunt("kill", 60)),
    _mutant("sweep-alive", "living writers are swept, too", Hunt(engine="share")),
    _mutant("unname-forgotten", "a batch that failed leaves its packs", Hunt("faults", 120), Hunt("cancel", 400)),
    _mutant("batch-in-halves", "a batch becomes visible in two steps", Hunt(engine="crash"), Hunt("syscalls", 90)),
    _mutant("names-no-lock", "compare-and-swap without a lock", Hunt(engine="names"), Hunt("race", 60)),
    _mutant("names-no-sync", "documents are not synced", Hunt("power", 40)),
    _mutant("names-in-place", "documents are overwritten in place", Hunt("syscalls", 0), Hunt("kill", 90)),
    _mutant("follow-links", "symbolic links are followed", Hunt("hostile", 100)),
    _mutant("names-fold-case", "names that differ in case are one", Hunt("hostile", 400), Hunt("machine", 40)),
    _mutant("damage-not-noted", "noticed damage is not written down", Hunt("heal", 80)),
    _mutant("descriptor-leaked", "a descriptor is never closed", Hunt("cancel", 72)),
    _mutant("merge-drops-inputs-early", "a merge removes its inputs first", Hunt(engine="merge")),
    _mutant("cancelled-is-committed", "a cancelled batch is committed all the same", Hunt("cancel", 300)),
    _mutant(
        "cleanup-on-exception-only",
        "a batch is withdrawn after errors, not after cancellations",
        Hunt(tests=f"{_CANCELLED}::test_no_thread_reads_what_is_saved_when_the_cancelled_save_of_it_has_returned"),
    ),
    _mutant("stream-gathered", "a stream is gathered in memory", Hunt("memory", 256)),
    _mutant("loop-blocked", "work is done on the event loop", Hunt("gap", 16)),
    _mutant(
        "gzip-not-checked",
        "the drop-in loads without a look at the SHA-1",
        Hunt(tests=f"{_DAMAGE}::test_no_flipped_bit_gives_wrong_bytes"),
    ),
    _mutant(
        "gzip-not-healed",
        "the drop-in trusts the existence of a file",
        Hunt(tests=f"{_DAMAGE}::test_saving_again_heals_what_shows"),
    ),
    _mutant(
        "gzip-not-noted",
        "the drop-in forgets the damage it sees",
        Hunt(tests=f"{_DAMAGE}::test_a_flipped_bit_is_healed_once_it_was_noticed"),
    ),
    _mutant(
        "gzip-not-synced",
        "the drop-in syncs nothing",
        Hunt(tests="tests/metaflow/test_power.py"),
    ),
    _mutant(
        "task-done-first",
        "a task is done before its record stands",
        Hunt(tests=f"{_TASKS}::test_no_crash_shows_a_done_task_without_all_its_artifacts"),
    ),
    _mutant(
        "task-record-first",
        "a task's record stands before its blobs",
        Hunt(tests=f"{_TASKS}::test_done_is_refused_while_a_blob_is_missing"),
    ),
    _mutant(
        "task-older-shown",
        "an attempt that is done is shown although a newer one runs",
        Hunt(tests="tests/tasks/test_conformance.py"),
    ),
    _mutant(
        "packed-trusts-names",
        "the packhouse datastore of Metaflow names no blobs in its records",
        Hunt(tests=f"{_FILES}::test_a_record_is_refused_while_a_blob_is_missing"),
    ),
)
