"""The data: deterministic, made in memory, no two blobs alike.

Three kinds of data that pipelines keep and one that no compressor shortens:

- `random`: incompressible, as encrypted or already compressed files are
- `json`: JSON lines with counters, choices from short lists, random digits and hexadecimal identifiers; zstd level 1
  makes about 6 : 1 of it
- `ramp`: float32 that rises evenly; zstd alone makes 1.5 : 1 of it, after grouping bytes by four over 100 : 1
- `noise`: float32 evenly distributed around zero; grouping saves the part of the exponent that hardly varies
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from benches.json_lines import json_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.random import Generator

KINDS = ("random", "json", "ramp", "noise")
COMPRESSIBLE = ("json", "ramp", "noise")

_BLOCK = 8 << 20
_RAMP_PERIOD = 1 << 24  # float32 counts no further without repeating itself


def blobs(kind: str, *, count: int, size: int, seed: int = 1) -> list[bytes]:
    """Make `count` blobs of `size` bytes; the same arguments give the same bytes.

    Raises:
        ValueError: for a kind that is none of `KINDS`.
    """
    stream = _Stream(_blocks(kind, seed))
    return [stream.take(size) for _ in range(count)]


def blob(kind: str, size: int, *, seed: int = 1) -> bytes:
    """Make one blob of `size` bytes."""
    return blobs(kind, count=1, size=size, seed=seed)[0]


class _Stream:
    """An endless supply of bytes, handed out in the sizes asked for."""

    def __init__(self, blocks: Iterator[bytes]) -> None:
        self._blocks = blocks
        self._rest = memoryview(b"")

    def take(self, size: int) -> bytes:
        parts: list[memoryview] = []
        while size > 0:
            if not self._rest:
                self._rest = memoryview(next(self._blocks))
            parts.append(self._rest[:size])
            self._rest = self._rest[size:]
            size -= len(parts[-1])
        return b"".join(parts)


def _blocks(kind: str, seed: int) -> Iterator[bytes]:
    try:
        make = _MAKERS[kind]
    except KeyError:
        raise ValueError(f"no such kind of data: {kind!r}, known are {', '.join(KINDS)}") from None
    generator = np.random.Generator(np.random.SFC64(seed))
    number = 0
    while True:
        yield make(generator, number)
        number += 1


def _random(generator: Generator, _number: int) -> bytes:
    return generator.integers(0, 2**64 - 1, _BLOCK // 8, dtype=np.uint64, endpoint=True).tobytes()


def _json(generator: Generator, number: int) -> bytes:
    return json_lines(generator, number)


def _ramp(_generator: Generator, number: int) -> bytes:
    length = _BLOCK // 4
    start = number * length
    period, offset = divmod(start, _RAMP_PERIOD)
    # Each period rises by steps twice as wide as the one before: no part of the ramp comes twice.
    steps = np.arange(offset, offset + length, dtype=np.float32)
    return (steps * np.float32(2.0 ** (period % 64))).tobytes()


def _noise(generator: Generator, _number: int) -> bytes:
    return (generator.random(_BLOCK // 4, dtype=np.float32) - np.float32(0.5)).tobytes()


_MAKERS: dict[str, Callable[[Generator, int], bytes]] = {
    "random": _random,
    "json": _json,
    "ramp": _ramp,
    "noise": _noise,
}
