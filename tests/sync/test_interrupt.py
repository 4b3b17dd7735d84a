"""Ctrl-C ends native work as soon as a cancellation does, however much of it is left."""

from __future__ import annotations

import json
import os
import signal
import statistics
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import pytest

import packhouse.sync
from tests.blobs.test_promptness import MOMENTS, SLACK, WITHIN
from tests.torture.places import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Callable

SIZE = 128 << 20
WORKS = ("save", "load", "verify")


@pytest.mark.parametrize("what", WORKS)
def test_ctrl_c_ends_native_work_at_once(what: str) -> None:
    # A process of its own: only a main thread is interrupted, and a test's is pytest's.
    done = subprocess.run(
        [sys.executable, "-m", "tests.sync.test_interrupt", what],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    delays = json.loads(done.stdout)
    assert len(delays) >= MOMENTS // 2, f"{what}: too little was interrupted to tell: {delays}"
    # Others use this machine, too: one late answer says nothing, the middle one does.
    assert statistics.median(delays) <= 2 * (WITHIN + SLACK), f"{what}: {delays}"


def test_ctrl_c_while_a_store_is_opened_leaves_nothing_behind() -> None:
    script = """
import os, signal, socket, threading, time
import packhouse.sync
from packhouse.objects.s3 import S3Options

silent = socket.create_server(("127.0.0.1", 0))
options = S3Options(endpoint=f"http://127.0.0.1:{silent.getsockname()[1]}", region="r", anonymous=True)
for number in range(2):
    timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    began = time.monotonic()
    try:
        packhouse.sync.open("s3://bucket/prefix", options=options)
    except KeyboardInterrupt:
        assert time.monotonic() - began < 5
    else:
        raise AssertionError("it was opened")
    timer.join()
left = [thread.name for thread in threading.enumerate() if thread.name.startswith("packhouse")]
assert not left, left
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def _interrupted(work: Callable[[], object]) -> list[float]:
    """Interrupt at moments from the work's beginning to its end: from the signal to the exception, in seconds."""
    whole = 60.0
    for _ in range(2):  # the first allocates and fills caches
        began = time.perf_counter()
        work()
        whole = min(whole, time.perf_counter() - began)
    delays = []
    for moment in range(1, MOMENTS + 1):
        sent: list[float] = []

        def interrupt(after: float, sent: list[float]) -> None:
            time.sleep(after)
            sent.append(time.perf_counter())
            os.kill(os.getpid(), signal.SIGINT)

        thread = threading.Thread(target=interrupt, args=(whole * moment / (MOMENTS + 1), sent))
        ended = False
        try:
            thread.start()
            work()
            ended = True
            thread.join()
            time.sleep(1)
        except KeyboardInterrupt:
            if not ended:
                delays.append(time.perf_counter() - sent[0])
    return delays


def _main(what: str) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with scratch_folder() as folder, packhouse.sync.open(folder / "store") as store:
        data = os.urandom(SIZE)
        if what == "save":
            # Other bytes each time: what is stored already is only hashed.
            others = iter([data.translate(bytes(byte ^ mask for byte in range(256))) for mask in range(MOMENTS + 2)])
            delays = _interrupted(lambda: store.save_blobs([next(others)]))
        else:
            (saved,) = store.save_blobs([data])
            delays = _interrupted((lambda: store.load(saved)) if what == "load" else store.verify)
        assert store.save_blobs([b"it goes on"])
        assert not store.verify().findings
    print(json.dumps(delays))


if __name__ == "__main__":
    _main(sys.argv[1])
