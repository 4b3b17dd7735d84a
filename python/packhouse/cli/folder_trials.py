"""What `packhouse doctor` tries out in a folder: a store, by the very engine that keeps stores in folders."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING

from packhouse.errors import PackhouseError
from packhouse.objects.doctor import Diagnosis

if TYPE_CHECKING:
    import packhouse

__all__ = ["examine_folder"]

_LARGE = 32 << 20
_COMMITS = 8


async def examine_folder(path: str) -> AsyncGenerator[Diagnosis, None]:
    """Make a store, save, load, name and verify: one finding after the other, none after one that is bad.

    Args:
        path: a folder that is empty; who asks removes it with what is in it.
    """
    import packhouse

    body = secrets.token_bytes(_LARGE)
    subject = "making a store"
    try:
        async with packhouse.open(path) as store:
            yield Diagnosis(subject, "good", "the folder can be locked, written to and synced")
            for subject, trial in (("saving", _save), ("loading", _load), ("commits", _commit), ("names", _name)):
                yield await trial(store, subject, body)
        subject = "opening again"
        async with packhouse.open(path) as store:
            yield await _verify(store, subject)
    except PackhouseError as error:
        yield Diagnosis(subject, "bad", str(error), error.kind)


async def _save(store: packhouse.BlobStore, subject: str, body: bytes) -> Diagnosis:
    began = time.monotonic()
    await store.save_blobs([body])
    return Diagnosis(subject, "good", f"{_rate(began)}, durable")


async def _load(store: packhouse.BlobStore, subject: str, body: bytes) -> Diagnosis:
    from blake3 import blake3

    key = blake3(body).hexdigest()
    began = time.monotonic()
    loaded = await store.load(key)
    told = f"{_rate(began)}, verified, out of the page cache"
    if loaded != body:
        return Diagnosis(subject, "bad", "other bytes came back than were saved")
    return Diagnosis(subject, "good", told)


async def _commit(store: packhouse.BlobStore, subject: str, _body: bytes) -> Diagnosis:
    """Tell what a commit costs: its syncs."""
    began = time.monotonic()
    for _ in range(_COMMITS):
        await store.save_blobs([secrets.token_bytes(100)])
    return Diagnosis(subject, "good", f"{(time.monotonic() - began) / _COMMITS * 1e3:.1f} ms each")


async def _name(store: packhouse.BlobStore, subject: str, _body: bytes) -> Diagnosis:
    import packhouse

    version = await store.names.put("doctor", {"trial": 1})
    await store.names.replace("doctor", {"trial": 2}, version)
    try:
        await store.names.replace("doctor", {"trial": 3}, version)
    except packhouse.NameConflict:
        return Diagnosis(subject, "good", "written, replaced, and a version that is old is refused")
    return Diagnosis(subject, "bad", "a version that is old is not refused")


async def _verify(store: packhouse.BlobStore, subject: str) -> Diagnosis:
    report = await store.verify()
    if report.findings:
        return Diagnosis(subject, "bad", report.findings[0].message, report.findings[0].kind)
    return Diagnosis(subject, "good", "everything is there, and nothing is wrong")


def _rate(began: float) -> str:
    return f"{_LARGE / 1e6 / (time.monotonic() - began):,.0f} MB/s, {_LARGE >> 20} MiB"
