"""What the machine can do with a batch at best: copy, hash, write durably, read from the page cache, compress."""

from __future__ import annotations

import mmap
import os
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING

from blake3 import blake3

from benches import data
from benches.cases.stages import stage_costs
from benches.measure import lap, megabytes_a_second

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from benches.cases.contract import Metrics, Setting

_WRITE = 8 << 20
_VECTORS = 512
_LARGE = 1 << 20
_HUGE = 2 << 20
"""Results of so many bytes are in huge pages."""


async def batch_limits(setting: Setting) -> Metrics:
    """Measure the limits on the same bytes.

    `save_limit_mbs` is the slower of hashing on two threads and writing durably, for data that compresses two
    threads' worth of all stages; `load_limit_mbs` the slower of reading into fresh memory and hashing.
    """
    kind, _, shape_name = setting.variant.partition("/")
    shape = setting.scale.shape(shape_name)
    blobs = data.blobs(kind, count=shape.count, size=shape.size)
    path = setting.folder / "limit"

    seconds = {"copy": _copy(blobs), "hash1": _hash_one(blobs), "hash2": hash_two(blobs)}
    setting.settle()
    seconds |= {
        "write": _write(path, blobs),
        "read": _read(path, blobs),
    }
    metrics: Metrics = {f"{name}_mbs": megabytes_a_second(shape.total, spent) for name, spent in seconds.items()}
    metrics["bytes"] = shape.total
    metrics["hash2_mbs"] = max(metrics["hash2_mbs"], metrics["hash1_mbs"])  # small calls wait for each other's GIL
    metrics["load_limit_mbs"] = min(metrics["read_mbs"], metrics["hash2_mbs"])
    metrics["save_limit_mbs"] = min(metrics["write_mbs"], metrics["hash2_mbs"])
    if kind in data.COMPRESSIBLE:
        costs = stage_costs(kind, blobs, scratch=setting.scratch, write_seconds_a_byte=seconds["write"] / shape.total)
        metrics |= costs
        metrics["save_limit_mbs"] = 2 / sum(costs[name] for name in costs if name.endswith("_seconds_a_byte")) / 1e6
    return metrics


def _copy(blobs: Sequence[bytes]) -> float:
    target = memoryview(bytearray(b"\1" * max(map(len, blobs))))  # a bytearray's own slices would copy twice
    with lap() as spent:
        for blob in blobs:
            target[: len(blob)] = blob
    return spent.seconds


def _hash_one(blobs: Sequence[bytes]) -> float:
    with lap() as spent:
        for blob in blobs:
            blake3(blob).digest()
    return spent.seconds


def hash_two(blobs: Sequence[bytes]) -> float:
    """Hash on two threads, by calls from both and, where blobs are large, by the package's own: the faster counts."""
    with ThreadPoolExecutor(2) as pool:
        pool.submit(_hash_one, blobs[:1]).result()
        with lap() as calls:
            list(pool.map(_hash_one, (blobs[0::2], blobs[1::2])))
    if len(blobs[0]) < _LARGE:
        return calls.seconds
    with lap() as inside:
        for blob in blobs:
            blake3(blob, max_threads=2).digest()
    return min(calls.seconds, inside.seconds)


def _write(path: Path, blobs: Sequence[bytes]) -> float:
    """Write the bytes one after the other into a new file, and sync it."""
    vectors = list(_vectors(blobs))
    with lap() as spent:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            for vector in vectors:
                if os.writev(descriptor, vector) != sum(map(len, vector)):
                    raise OSError(f"short write to {path}")
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
    return spent.seconds


def _vectors(blobs: Sequence[bytes]) -> Iterator[list[memoryview]]:
    """Group the bytes into writes of about 8 MiB."""
    vector: list[memoryview] = []
    held = 0
    for blob in blobs:
        view = memoryview(blob)
        for start in range(0, len(view), _WRITE):
            part = view[start : start + _WRITE]
            if held + len(part) > _WRITE or len(vector) == _VECTORS:
                yield vector
                vector, held = [], 0
            vector.append(part)
            held += len(part)
    if vector:
        yield vector


def _read(path: Path, blobs: Sequence[bytes]) -> float:
    """Read the file just written, each blob into bytes made for it, on one thread and on two; the faster counts."""
    starts = list(accumulate(map(len, blobs), initial=0))
    places = list(zip(starts, map(len, blobs), strict=False))
    descriptor = os.open(path, os.O_RDONLY)
    try:
        _read_all(descriptor, places)
        with lap() as one:
            read = _read_all(descriptor, places)
        with ThreadPoolExecutor(2) as pool:
            pool.submit(_read_all, descriptor, places[:1]).result()
            with lap() as two:
                shares = list(pool.map(partial(_read_all, descriptor), (places[0::2], places[1::2])))
    finally:
        os.close(descriptor)
    if {read, sum(shares)} != {starts[-1]}:
        raise OSError(f"short read from {path}")
    return min(one.seconds, two.seconds)


def _read_all(descriptor: int, places: Sequence[tuple[int, int]]) -> int:
    return sum(read_fresh(descriptor, length, start) for start, length in places)


def read_fresh(descriptor: int, length: int, offset: int) -> int:
    """Read into memory that is made as a load's result is, large ones in huge pages; tell how many bytes came."""
    if length < _HUGE:
        return len(os.pread(descriptor, length, offset))
    with mmap.mmap(-1, length) as memory:
        if hasattr(mmap, "MADV_HUGEPAGE"):  # Linux alone has it
            memory.madvise(mmap.MADV_HUGEPAGE)
        return os.preadv(descriptor, [memory], offset)
