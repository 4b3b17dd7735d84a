"""Packing and unpacking leave Python's lock to other threads."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from packhouse._engine import Cancel, gzip_keys
from packhouse.errors import PackhouseError
from tests.metaflow.stores import load, ours, save


def _longest_wait(call: Callable[[], object]) -> tuple[float, float]:
    """Run a call: its seconds, and the longest that another thread had to wait for its turn meanwhile."""
    waits: list[float] = []
    ended = threading.Event()

    def count() -> None:
        last = time.perf_counter()
        while not ended.is_set():
            time.sleep(0.001)
            waits.append((now := time.perf_counter()) - last)
            last = now

    counter = threading.Thread(target=count)
    counter.start()
    began = time.perf_counter()
    call()
    seconds = time.perf_counter() - began
    ended.set()
    counter.join()
    return seconds, max(waits)


def test_other_python_threads_run_while_blobs_are_packed_and_unpacked(tmp_path: Path) -> None:
    numbers = [random.random() for _ in range(1_000_000)]
    seconds, wait = _longest_wait(lambda: sorted(numbers))
    assert wait > seconds / 2, "the measure does not see who holds the GIL"
    blob = random.Random(2).randbytes(1 << 20) * 128
    keys: list[str] = []
    for what, call in (
        ("saving", lambda: keys.extend(save(ours(tmp_path), [blob]))),
        ("loading", lambda: load(ours(tmp_path), keys)),
    ):
        seconds, wait = _longest_wait(call)
        assert wait < seconds / 2, f"{what} took {seconds:.2f} s, and other threads stood still for {wait:.2f} s"


def test_hashing_a_large_blob_ends_when_nobody_wants_it_any_more() -> None:
    blob = bytes(512 << 20)
    began = time.perf_counter()
    gzip_keys([blob], Cancel())
    whole = time.perf_counter() - began
    cancel = Cancel()
    threading.Timer(whole / 10, cancel.cancel).start()
    began = time.perf_counter()
    with pytest.raises(PackhouseError, match="cancelled"):
        gzip_keys([blob], cancel)
    assert time.perf_counter() - began < whole / 2
