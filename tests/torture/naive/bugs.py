"""The bugs that can be planted, and the exceptions of the naive store."""

from __future__ import annotations

BUGS = {
    "no_fsync": "a blob's bytes are not synced",
    "no_dir_sync": "folders are not synced",
    "sync_retried": "a failed fsync is tried again and believed",
    "early_ack": "the caller is told before the commit",
    "in_place": "files are written under their final name",
    "each_alone": "every blob is committed alone, not the batch",
    "no_cleanup": "what a dead writer left stays",
    "existence": "a blob that has an entry is not written again, whatever became of its file",
    "no_read_check": "reads are not verified",
    "shallow_verify": "verify looks at lengths only",
    "no_lock": "compare-and-swap without a lock",
    "raw_names": "names are used as paths",
    "abandon": "cancellation leaves the thread and its files behind",
    "leak_descriptor": "every save leaves a descriptor open",
    "swallow": "a commit that failed is acknowledged",
    "slurp": "streams are gathered in memory",
    "blocking": "disk work is done on the event loop",
}


class NaiveError(Exception):
    """The base."""


class Missing(NaiveError, KeyError):
    """No such blob."""


class Corrupt(NaiveError):
    """Wrong bytes on disk."""


class Conflict(NaiveError):
    """A lost race for a name."""


class Uncertain(NaiveError):
    """Committed or not: unknown."""


class NoName(NaiveError, KeyError):
    """No such name."""
