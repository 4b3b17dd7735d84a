"""What Metaflow relies on from its content-addressed store holds with ours, and each reads what the other wrote."""

from __future__ import annotations

import gzip
import hashlib
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.metaflow.stores import MIB, OURS, STOCK, file_of, files, load, make, ours, samples, save, stock

SAMPLES = samples()


@pytest.fixture(params=["threads", "one thread"], autouse=True)
def cores(request: pytest.FixtureRequest) -> Iterator[None]:
    """On all cores, and as on a machine that has one."""
    all_of_them = os.sched_getaffinity(0)
    if request.param == "one thread":
        os.sched_setaffinity(0, {min(all_of_them)})
    yield
    os.sched_setaffinity(0, all_of_them)


def test_each_reads_what_the_other_wrote(tmp_path: Path) -> None:
    for writer, reader in ((ours, stock), (stock, ours), (ours, ours)):
        folder = tmp_path / f"{writer.__name__}-{reader.__name__}"
        keys = save(writer(folder), SAMPLES.values())
        assert keys == [hashlib.sha1(blob).hexdigest() for blob in SAMPLES.values()]
        for name, key in zip(SAMPLES, keys, strict=True):
            assert load(reader(folder), [key]) == [SAMPLES[name]], name
        assert load(reader(folder), keys) == list(SAMPLES.values())


def test_one_gzip_file_per_key_for_its_owner_alone_and_nothing_else(tmp_path: Path) -> None:
    keys = save(ours(tmp_path), SAMPLES.values())
    assert files(tmp_path) == sorted(file_of(tmp_path, key) for key in keys)
    for key, blob in zip(keys, SAMPLES.values(), strict=True):
        assert gzip.decompress(file_of(tmp_path, key).read_bytes()) == blob
        assert stat.S_IMODE(file_of(tmp_path, key).stat().st_mode) == 0o600


def test_what_compresses_is_compressed_and_what_does_not_is_hardly_larger(tmp_path: Path) -> None:
    sizes = {
        name: file_of(tmp_path, key).stat().st_size
        for name, key in zip(SAMPLES, save(ours(tmp_path), SAMPLES.values()), strict=True)
    }
    assert sizes["text"] < len(SAMPLES["text"]) / 2
    assert sizes["large zeros"] < MIB
    assert sizes["half noise"] < 3.1 * MIB
    assert sizes["numbers"] < 0.8 * len(SAMPLES["numbers"])
    for name in ("noise", "large noise", "small noise"):
        assert sizes[name] <= len(SAMPLES[name]) * 1.001 + 64


def test_results_come_in_the_order_of_the_blobs_with_duplicates(tmp_path: Path) -> None:
    blobs = [b"b", b"a", b"b", bytearray(b"a"), memoryview(b"c"), SAMPLES["large noise"], b"c", SAMPLES["large noise"]]
    mine = ours(tmp_path / "ours").save_blobs(iter(blobs), len_hint=len(blobs))
    theirs = stock(tmp_path / "stock").save_blobs(iter(blobs), len_hint=len(blobs))
    assert mine == theirs
    assert all(result.uri is None for result in mine)
    assert ours(tmp_path).save_blobs(iter([])) == []
    assert list(ours(tmp_path / "nowhere").load_blobs([])) == []


def test_a_producer_that_fails_leaves_nothing_and_its_error_passes(tmp_path: Path) -> None:
    def producer() -> Iterator[bytes]:
        yield b"first"
        yield SAMPLES["large noise"]
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        ours(tmp_path).save_blobs(producer())
    assert files(tmp_path) == []
    for wrong in ("text", None, 7):
        with pytest.raises(TypeError):
            ours(tmp_path).save_blobs(iter([b"fine", wrong]))
    assert files(tmp_path) == []


def test_raw_blobs_are_read_at_their_uri_and_by_stock(tmp_path: Path) -> None:
    code = gzip.compress(b"a package", mtime=0) + bytes(100_000)
    [result] = ours(tmp_path).save_blobs(iter([code]), raw=True)
    assert Path(result.uri).read_bytes() == code
    for store in (ours(tmp_path), stock(tmp_path)):
        assert load(store, [result.key]) == [code]
        assert load(store, [result.key], force_raw=True) == [code]
    [theirs] = stock(tmp_path).save_blobs(iter([b"raw by stock"]), raw=True)
    assert load(ours(tmp_path), [theirs.key]) == [b"raw by stock"]


def test_forced_raw_gives_the_content_of_a_blob_that_was_packed_first(tmp_path: Path) -> None:
    [key] = save(ours(tmp_path), [b"packed first"])
    [result] = ours(tmp_path).save_blobs(iter([b"packed first"]), raw=True)
    assert result.key == key
    assert load(ours(tmp_path), [key], force_raw=True) == [b"packed first"]  # stock: the gzip bytes


def test_transfers_go_both_ways(tmp_path: Path) -> None:
    keys = save(ours(tmp_path / "a"), SAMPLES.values())
    for sender, receiver in ((ours, stock), (ours, ours), (stock, ours)):
        there = receiver(tmp_path / f"{sender.__name__}-{receiver.__name__}")
        moved = there.save_blobs(sender(tmp_path / "a").load_blobs(keys, is_transfer=True), is_transfer=True)
        assert sorted(result.key for result in moved) == sorted(keys)
        if receiver is ours:
            assert not list((tmp_path / f"{sender.__name__}-ours").rglob("*_meta")), "one gzip file for each key"
        for reader in (
            make(OURS, Path(there._storage_impl.datastore_root)),
            make(STOCK, Path(there._storage_impl.datastore_root)),
        ):
            assert load(reader, keys) == list(SAMPLES.values())


def test_memory_beyond_one_large_artifact_is_bounded(tmp_path: Path) -> None:
    program = """
import random, sys
from pathlib import Path
from tests.metaflow.stores import MIB, ours, save

def peak():
    return int(next(l for l in open("/proc/self/status") if l.startswith("VmHWM")).split()[1]) / 1024

save(ours(Path(sys.argv[1])), [b"warm up"])
half = random.Random(5).randbytes(64 * MIB)
blob = half + bytes(64 * MIB) + half[::-1]
del half
open("/proc/self/clear_refs", "w").write("5")
before = peak()
[key] = save(ours(Path(sys.argv[1])), [blob])
saving = peak() - before
turned = blob[::-1]
del blob

def one_by_one():
    for number in range(2):
        yield turned[:-1] + bytes([number])  # a new one, which nobody else holds

open("/proc/self/clear_refs", "w").write("5")
before = peak()
other = save(ours(Path(sys.argv[1])), one_by_one())[1]
beside = peak() - before - 192
del turned
open("/proc/self/clear_refs", "w").write("5")
before = peak()
for row in ours(Path(sys.argv[1])).load_blobs([key, other]):
    assert len(row[1]) == 192 * MIB
    del row  # the caller needs it no more when it asks for the next
print(saving, beside, peak() - before - 192)
"""
    said = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    ).stdout
    saving, beside, loading = (float(part) for part in said.split())
    assert saving < 64, "MiB beyond the artifact while saving"
    assert beside < 256, "MiB beyond one artifact while several are made and saved: making one takes it twice"
    assert loading < 64, "MiB beyond the artifact while loading"
