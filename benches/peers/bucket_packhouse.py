"""Ours in a bucket."""

from __future__ import annotations

import math
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import packhouse
from benches.peers.buckets import BucketPeer, Place
from packhouse.objects.azure import AzureOptions
from packhouse.objects.gcs import GCSOptions
from packhouse.objects.http import HttpOptions
from packhouse.objects.s3 import S3Options

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benches.peers.contract import Take
    from packhouse import SavedBlob
    from packhouse.objects.bucket import BucketOptions

_SMALL, _PART, _PACK = 256 << 10, 8 << 20, 256 << 20
_READ = 8 << 20


def options_for(place: Place) -> BucketOptions:
    """Return what reaches a place."""
    if place.service == "gs":
        return GCSOptions(endpoint=place.endpoint, anonymous=True)
    if place.service == "az":
        return AzureOptions(endpoint=place.endpoint, account_key=place.secret)
    return S3Options(
        endpoint=place.endpoint,
        region="us-east-1",
        anonymous=not place.access,
        access_key_id=place.access or None,
        secret_access_key=place.secret or None,
        http=HttpOptions(ca=place.ca),
    )


class PackhouseBucket(BucketPeer):
    """`packhouse.open` of the bucket's URL, default options; blobs are loaded by what `save_blobs` returned."""

    label = "packhouse (bucket)"
    distributions = ("packhouse",)
    verifies = "BLAKE3"
    blocks = False
    tried = (16,)  # it adapts by itself
    services = ("s3", "gs", "az")

    async def open(self) -> None:
        self._saved: dict[str, SavedBlob] = getattr(self, "_saved", {})
        self._exits = AsyncExitStack()
        mode: Any = "a" if self.place.access else "r"
        options = packhouse.StoreOptions(bucket=options_for(self.place))
        place = self.place
        root = f"az://{place.access}/{place.bucket}" if place.service == "az" else f"{place.service}://{place.bucket}"
        opened = packhouse.open(f"{root}/ours", mode=mode, options=options, cache_dir=None)
        self._store = await self._exits.enter_async_context(opened)

    async def close(self) -> None:
        await self._exits.aclose()

    async def save(self, blobs: Sequence[bytes]) -> list[str]:
        saved = await self._store.save_blobs(blobs, len_hint=len(blobs))
        self._saved.update((blob.key, blob) for blob in saved)
        return [blob.key for blob in saved]

    async def load(self, keys: Sequence[str], take: Take) -> None:
        async for loaded in self._store.load_blobs([self._saved[key] for key in keys], ordered=False):
            take(loaded.data)
            del loaded

    async def lay_out(self, folder: Path, blobs: Sequence[bytes]) -> list[str]:
        async with packhouse.open(folder / "ours") as store:
            saved = await store.save_blobs(blobs)
        self._saved = {blob.key: blob for blob in saved}
        return [blob.key for blob in saved]

    def due(self, count: int, size: int, part: int) -> dict[str, int]:
        """Parts with what begins and ends each pack's upload, the segment, and the lists of a writer's first commit.

        Those are marks, damage notes and index before it, and marks after it. A load is a request for 8 MiB, or for
        each blob that stands alone.
        """
        total = count * size
        parts = 0 if total <= _SMALL else math.ceil(total / _PART) + 2 * math.ceil(total / _PACK)
        return {"save": parts + 1 + 4, "load": math.ceil(total / _READ), "part": part}
