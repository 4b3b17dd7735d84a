"""Who can keep blobs in a bucket. Made for the cases about buckets, which say where the bucket is."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from blake3 import blake3

from benches.peers.contract import Peer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from typing_extensions import Buffer


@dataclass(frozen=True)
class Place:
    """Where a bucket is; one without keys is asked for nothing but objects, unsigned."""

    endpoint: str
    bucket: str
    access: str = ""
    secret: str = ""
    service: str = "s3"
    """`s3`, `gs` or `az`; of Azure `access` is the account."""
    ca: str | None = None
    """A file of certificates to trust."""


class BucketPeer(Peer):
    """A peer that keeps its blobs in a bucket."""

    syncs = True
    in_flight = 16
    tried: ClassVar[tuple[int, ...]] = (8, 16, 32, 64, 128)
    """What `in_flight` may be, where that is its user's to choose."""
    services: ClassVar[tuple[str, ...]] = ("s3",)
    """What it speaks."""
    one_of: ClassVar[int] = 1
    """It gets one of so many small blobs, where all of them would take minutes at the same rate."""
    reads_only: ClassVar[frozenset[str]] = frozenset()
    """Services to which it cannot write where they are measured: what it loads there was put by others."""
    _place: Place | None = None

    @property
    def place(self) -> Place:
        """Where the bucket is."""
        if self._place is None:
            raise NotImplementedError("only the cases about buckets say where there is one")
        return self._place

    @place.setter
    def place(self, place: Place) -> None:
        if place.service not in self.services:
            raise NotImplementedError(f"it does not speak {place.service}://")
        self._place = place

    @classmethod
    def durability(cls) -> str:
        return "the bucket's answer"

    @abstractmethod
    async def lay_out(self, folder: Path, blobs: Sequence[bytes]) -> list[str]:
        """Write blobs into a folder that is served as a bucket; return their keys."""

    @abstractmethod
    def due(self, count: int, size: int, part: int) -> dict[str, int]:
        """Tell by arithmetic how many requests it takes to `save` and `load` so many blobs, or some (`part`)."""

    async def load_range(self, key: str, start: int, stop: int) -> Buffer:
        raise NotImplementedError("ranges are not asked of buckets")


class OnePerBlob(BucketPeer):
    """One object a blob, under its BLAKE3."""

    verifies = "nothing"

    async def lay_out(self, folder: Path, blobs: Sequence[bytes]) -> list[str]:
        (folder / "theirs").mkdir()
        keys = [key_of(blob) for blob in blobs]
        for key, blob in zip(keys, blobs, strict=True):
            (folder / "theirs" / key).write_bytes(blob)
        return keys

    def due(self, count: int, size: int, part: int) -> dict[str, int]:  # noqa: ARG002 - one request, of any size
        return {"save": count, "load": count, "part": part}


def key_of(blob: bytes) -> str:
    key: str = blake3(blob, max_threads=blake3.AUTO).hexdigest()
    return key
