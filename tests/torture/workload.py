"""What the writers write: batch `n` of a seed is the same bytes in the writer and in the oracle."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import blake3

KINDS = ("large", "small", "stream", "names", "again", "mixed")
SHARED = 12
"""So many blobs come up again and again, under every seed."""


@dataclass(frozen=True)
class Batch:
    """One unit of saving: blobs that become visible together, or one stream, or one name."""

    kind: str
    blobs: tuple[bytes, ...] = ()
    name: str = ""
    doc: Any = None

    @property
    def keys(self) -> list[str]:
        """The keys of its blobs, by the independent implementation."""
        return [key_of(blob) for blob in self.blobs]


def key_of(blob: bytes) -> str:
    """The key a blob must get."""
    return blake3.blake3(blob).hexdigest()


def some_bytes(dice: random.Random, size: int) -> bytes:
    """Random bytes, or text, or repetitions: what compresses differently."""
    shape = dice.randrange(3)
    if shape == 0:
        return dice.randbytes(size)
    if shape == 1:
        word = dice.randbytes(dice.randrange(1, 40))
        return (word * (size // len(word) + 1))[:size]
    row = b'{"id": %d, "name": "row", "value": %d},\n'
    rows = b"".join(row % (n, dice.randrange(1000)) for n in range(min(size // 30 + 1, 300)))
    return (rows * (size // len(rows) + 1))[:size]


def edited(blob: bytes) -> bytes:
    """The next version of a blob: a kilobyte is put into its middle, most chunks stay, the root does not."""
    middle = len(blob) // 2
    return blob[:middle] + random.Random(len(blob)).randbytes(1024) + blob[middle:]


@lru_cache(SHARED)
def shared_blob(number: int) -> bytes:
    """A blob that every seed knows."""
    dice = random.Random(f"shared {number}")
    return some_bytes(dice, dice.choice((100, 5_000, 60_000, 900_000)))


def kind_of(seed: int, n: int) -> str:
    """The kind that batch `n` of a seed has unless another is asked for."""
    return random.Random(f"kind {seed}/{n}").choice(KINDS)


@lru_cache(64)
def batch(seed: int, n: int, kind: str = "") -> Batch:
    """The `n`-th batch of a seed."""
    dice = random.Random(f"{seed}/{n}")
    kind = kind or kind_of(seed, n)
    if kind == "large":
        return Batch(kind, (dice.randbytes(dice.randrange(500_000, 3_000_000)),))
    if kind == "edited":
        (before,) = batch(seed, n - 1, "large").blobs
        return Batch(kind, (edited(before),))
    if kind == "stream":
        return Batch(kind, (some_bytes(dice, dice.randrange(1, 2_500_000)),))
    if kind == "names":
        return Batch(
            kind, name=f"name/{seed}/{dice.randrange(4)}", doc={"seed": seed, "n": n, "fill": "x" * dice.randrange(900)}
        )
    if kind == "again":
        return Batch(kind, tuple(shared_blob(dice.randrange(SHARED)) for _ in range(4)))
    small = [some_bytes(dice, dice.randrange(0, 8_000)) for _ in range(dice.randrange(1, 40))]
    if kind == "mixed":
        small += [shared_blob(dice.randrange(SHARED)), dice.randbytes(400_000), small[0]]
    return Batch(kind, tuple(small))


@lru_cache(1)
def shared_keys() -> frozenset[str]:
    """The keys of the blobs that every seed knows."""
    return frozenset(key_of(shared_blob(number)) for number in range(SHARED))


def pieces(blob: bytes, step: int = 70_001) -> Iterator[bytes]:
    """A blob as a stream."""
    for start in range(0, len(blob), step):
        yield blob[start : start + step]
