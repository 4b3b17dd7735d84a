"""The power goes after a save has returned. Needs root and loop mounts; where it cannot run it is skipped by name."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from packhouse.compat.metaflow.verify import verify_datastore
from tests.metaflow.stores import load, ours, save, stock
from tests.torture import loopdisk
from tests.torture.loopdisk import LOG_FLUSHED, LOG_LOST, LoopDisk

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]
BLOBS = 50
SAVE = """
import json, random, sys
from pathlib import Path
from tests.metaflow.stores import ours, save, stock
kind, folder, seed, count = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
dice = random.Random(seed)
blobs = [dice.randbytes(dice.choice((100, 5000, 70_000))) for _ in range(count)]
print(json.dumps(save({"ours": ours, "stock": stock}[kind](folder), blobs)))
"""


@pytest.fixture(params=["ext4", "xfs"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LoopDisk]:
    """A file system with its ordinary options: the journal commits by itself after five seconds, data after thirty."""
    if (why := loopdisk.why_not(request.param, tmp_path)) is not None:
        pytest.skip(f"NO POWER LOSS WAS TESTED on {request.param}: {why}")
    with loopdisk.loop_disk(tmp_path, request.param) as made:
        made.unmount()
        made.options = "defaults"
        made.mount()
        yield made


def _save(kind: str, folder: Path, seed: int, count: int = BLOBS) -> list[str]:
    """Save in a process of its own; the keys that it was told are saved."""
    command = [sys.executable, "-c", SAVE, kind, str(folder), str(seed), str(count)]
    told: list[str] = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return told


def _blobs(seed: int, count: int = BLOBS) -> list[bytes]:
    dice = random.Random(seed)
    return [dice.randbytes(dice.choice((100, 5000, 70_000))) for _ in range(count)]


def test_seven_seconds_after_a_save_nothing_is_lost_where_stock_loses(disk: LoopDisk) -> None:
    mine, theirs = disk.place / "ours", disk.place / "stock"
    keys = _save("ours", mine, 1)
    lost_by_stock = _save("stock", theirs, 2)  # after ours: a sync of ours would have made them durable, too
    time.sleep(7)
    disk.cut(LOG_LOST)
    disk.power_on()
    assert load(ours(mine), keys) == _blobs(1)
    assert load(stock(mine), keys) == _blobs(1)
    broken = []
    for key, blob in zip(lost_by_stock, _blobs(2), strict=True):
        try:
            broken += [key] if load(stock(theirs), [key]) != [blob] else []
        except Exception:  # noqa: BLE001 - whatever stock makes of it
            broken.append(key)
    assert broken, "stock lost nothing: this test does not see what it is for"
    # The drop-in heals what stock left behind, stock does not.
    assert save(ours(theirs), _blobs(2)) == lost_by_stock
    assert load(stock(theirs), lost_by_stock) == _blobs(2)


def test_what_was_acknowledged_the_moment_before_is_there(disk: LoopDisk) -> None:
    acknowledged: list[tuple[int, int, list[str]]] = []
    for cut, count in enumerate((1, 3, BLOBS, 2, 10, 1)):
        acknowledged.append((cut, count, _save("ours", disk.place / "ours", cut, count)))
        disk.cut(LOG_FLUSHED if cut % 2 else LOG_LOST)
        disk.power_on()
        for seed, number, keys in acknowledged:
            assert load(ours(disk.place / "ours"), keys) == _blobs(seed, number), f"cut {cut} lost batch {seed}"
        (disk.place / "ours" / "Flow" / "run").mkdir(exist_ok=True)
        assert verify_datastore(str(disk.place / "ours")).hurt == []
