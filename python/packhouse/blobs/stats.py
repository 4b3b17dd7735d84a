"""What an open store has done so far."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["StoreStats"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStats:
    """Counts, bytes and waits of one handle, since it was opened."""

    blobs_saved: int
    """Blobs that were saved, those stored before included."""
    blobs_known: int
    """Of these, blobs that were stored before."""
    bytes_saved: int
    """Bytes of the blobs that were saved."""
    bytes_stored: int
    """Bytes that were added to packs for them."""
    commits: int
    """Commits that were published."""
    batches: int
    """Batches in them: more than commits when concurrent saves shared one."""
    blobs_loaded: int
    """Blobs that were loaded whole."""
    bytes_loaded: int
    """Their bytes."""
    damaged_frames: int
    """Damaged pieces that reading came across."""
    merges: int
    """Merges of index segments."""
    commit_wait_seconds: float
    """Seconds that callers waited for their commits, added up."""
