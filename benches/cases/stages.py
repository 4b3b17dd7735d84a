"""The stages a compressible byte goes through, each measured alone on one thread.

A store that overlaps them perfectly on two threads saves `2 / (sum of the costs per byte)`. A blob that is one chunk is
hashed once; a larger one is hashed as a whole, cut, and hashed by chunks. Numeric data is timed with its bytes already
grouped. Cutting is timed by a Rust bench; where that was not built it counts nothing, and the limit is too strict.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np
from blake3 import blake3

from benches import engine_hooks
from benches.measure import Lap, lap

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benches.cases.contract import Metrics

CHUNK = 48 << 10
"""The average chunk."""
ONE_CHUNK = 256 << 10
"""Up to here a blob is one chunk."""
LEVEL = 1
_SAMPLE = 64 << 20
_PAYS = 0.95


def stage_costs(kind: str, blobs: Sequence[bytes], *, scratch: Path, write_seconds_a_byte: float) -> Metrics:
    """Tell each stage's seconds per byte of the blobs; zstd is left out where it does not pay."""
    sample = _sample(blobs)
    size = sum(map(len, sample))
    whole = len(sample[0]) <= ONE_CHUNK
    chunks = sample if whole else [blob[at : at + CHUNK] for blob in sample for at in range(0, len(blob), CHUNK)]
    ready = chunks if kind == "json" else [_grouped(chunk) for chunk in chunks]

    with lap() as hashing:
        for blob in sample:
            blake3(blob).digest()
    chunk_hashing = Lap()
    if not whole:
        with lap() as chunk_hashing:
            for chunk in chunks:
                blake3(chunk).digest()
    compressor = _compressor()
    with lap() as compressing:
        stored = sum(len(compressor.compress(chunk)) for chunk in ready)
    share = stored / size if stored < size * _PAYS else 1.0
    cut = None if whole else engine_hooks.cut_seconds_a_byte(scratch, b"".join(sample))
    return {
        "hash_seconds_a_byte": hashing.seconds / size,
        "cut_seconds_a_byte": cut or 0.0,
        "chunk_hash_seconds_a_byte": chunk_hashing.seconds / size,
        "zstd_seconds_a_byte": compressing.seconds / size if share < 1.0 else 0.0,
        "write_seconds_a_byte": write_seconds_a_byte * share,
        "zstd_share": share,
    }


def _compressor() -> Any:
    """Make a zstd compressor; the package comes with `make bench`, and only compressible data needs it."""
    return importlib.import_module("zstandard").ZstdCompressor(level=LEVEL)


def _sample(blobs: Sequence[bytes]) -> list[bytes]:
    sample: list[bytes] = []
    held = 0
    for blob in blobs:
        sample.append(blob[: _SAMPLE - held])
        held += len(sample[-1])
        if held >= _SAMPLE:
            break
    return sample


def _grouped(chunk: bytes) -> bytes:
    """Put the first bytes of all 4-byte values first, then the second ones, and so on."""
    whole = len(chunk) // 4 * 4
    return np.frombuffer(chunk[:whole], np.uint8).reshape(-1, 4).T.tobytes() + chunk[whole:]
