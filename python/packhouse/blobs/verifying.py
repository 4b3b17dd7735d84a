"""Reading and checking everything that stands in a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from packhouse._engine import Cancel
from packhouse.blobs.jobs import finish_all
from packhouse.blobs.progress import Progress, ProgressCallback

if TYPE_CHECKING:
    from packhouse.blobs.core import Core
    from packhouse.blobs.remote import Remote

__all__ = ["Finding", "VerifyReport", "verify"]


class Finding(NamedTuple):
    """One thing that is wrong."""

    kind: str
    """Stable name of what is wrong: a `kind` of `CorruptBlob` as a rule."""
    path: str
    """The store's file or object that it was found in."""
    message: str
    """A sentence."""


class VerifyReport(NamedTuple):
    """What was checked, and what was found."""

    segments: int
    """Index segments read to the last block."""
    packs: int
    """Packs read to the last frame."""
    frames: int
    """Frames decoded and held against their digests."""
    large_blobs: int
    """Large blobs put together and held against their keys."""
    documents: int
    """Named documents held against their checksums."""
    bytes: int
    """Bytes of packs read."""
    unlisted_packs: int
    """Packs that no segment names: a commit that is under way, or what a writer left that died."""
    unfinished_uploads: tuple[str, ...] | None
    """In a bucket: the objects whose uploads in parts were begun and have not ended, once for each: a commit that is
    under way, or what a writer left that died. Empty where a service forgets them by itself; None where it does not
    tell us."""
    findings: tuple[Finding, ...]
    """What is wrong; empty when all is well."""


async def verify(core: Core, remote: Remote | None, progress: ProgressCallback | None) -> VerifyReport:
    """Read and check everything, in one worker thread that uses all cores."""
    cancel = Cancel()
    read = told = 0

    def note(size: int) -> None:  # in threads of the engine's own
        nonlocal read
        read = size

    def tell() -> None:
        nonlocal told
        if progress is not None and told != read:
            told = read
            progress(Progress(0, told, None))

    job = core.jobs.start(lambda: core.engine.verify(note if progress is not None else None, cancel), cancel)
    if progress is not None:
        try:
            await job.follow(tell)
        except BaseException:
            await finish_all([job])
            raise
    checked: dict[str, Any] = await job.result()
    findings = tuple(Finding(*finding) for finding in checked.pop("findings"))
    uploads = await remote.uploads() if remote is not None else ()
    report = VerifyReport(unfinished_uploads=uploads, findings=findings, **checked)
    if progress is not None:
        progress(Progress(report.segments + report.packs, report.bytes, None))
    return report
