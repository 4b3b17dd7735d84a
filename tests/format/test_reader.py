"""What a stranger loses when `docs/format.md` is wrong: a reader written after it reads what the engine writes."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from blake3 import blake3

from tests.format.reader import Segment, Store, read_frame, read_pack

GOLDEN = Path(__file__).with_name("golden")
SEGMENT = "101112131415161718191a1b1c1d1e1f-4-1-2-1-80-3f1"


def golden(name: str) -> bytes:
    lines = (GOLDEN / name).read_text().splitlines()
    return bytes.fromhex("".join(line.split("#")[0].strip() for line in lines))


def test_a_pack_is_read_by_the_page_alone() -> None:
    data = golden("pack.hex")
    pack = read_pack(data)
    hello, floats, node = (read_frame(data, entry) for entry in pack.entries)
    assert hello == b"hello, store\n"
    assert len(floats) == 402
    assert node[:4] == b"PHrn"
    assert pack.blobs[0].key == blake3(hello + floats).digest()
    assert [record.pinned for record in pack.records] == [True, False]


def test_a_segment_is_read_by_the_page_alone() -> None:
    segment = Segment(SEGMENT, golden("pack.hex") + golden("segment.hex"))
    key = blake3(b"hello, store\n").digest()
    assert len(segment.find(key, segment.chunk_ranks, segment.chunks, 64)) == 2
    assert len(segment.pins) == 1
    assert not any(segment.may_hold(blake3(bytes([n])).digest()) for n in range(20))


def test_damage_anywhere_is_noticed_by_the_page_alone() -> None:
    pack, whole = golden("pack.hex"), golden("pack.hex") + golden("segment.hex")
    rng = random.Random(1)
    for at in range(len(pack), len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 1 << rng.randrange(8)
        with pytest.raises(ValueError):  # noqa: PT011 - whatever is wrong with it
            Segment(SEGMENT, bytes(damaged))


def test_a_store_is_read_by_the_page_alone(tmp_path: Path) -> None:
    packhouse = pytest.importorskip("packhouse.sync")
    rng = random.Random(2)
    blobs = [b"", b"x", b"text " * 9000, rng.randbytes(3_000_000), bytes(2_000_000)]
    with packhouse.open(tmp_path / "store") as store:
        keys = [saved.key for saved in store.save_blobs(blobs)]
        keys += [store.save_blobs([str(n).encode()])[0].key for n in range(40)]
    blobs += [str(n).encode() for n in range(40)]
    reader = Store(tmp_path / "store")
    assert [blake3(reader.load(key)).hexdigest() for key in keys] == keys
    assert [reader.load(key) for key in keys] == blobs
    listed = {path.name for path in (tmp_path / "store" / "packs").iterdir()}
    for name in listed:
        data = (tmp_path / "store" / "packs" / name).read_bytes()
        assert read_pack(data).pack.hex() == name
    for segment in reader.segments:
        assert not segment.pack_len or read_pack(segment.data[: segment.pack_len]).pack == segment.id


@pytest.mark.parametrize("pin", [True, False])
def test_a_batch_is_recorded_as_pinned_only_if_it_was_asked_for(tmp_path: Path, pin: bool) -> None:
    packhouse = pytest.importorskip("packhouse.sync")
    with packhouse.open(tmp_path / "store") as store:
        store.save_blobs([b"blob"], pin=pin)
        store.save_blobs([b"blob"], pin=pin)
    records = [record for segment in Store(tmp_path / "store").segments for record in segment.records]
    assert [(record.pinned, len(record.leaned)) for record in sorted(records, key=lambda one: len(one.leaned))] == [
        (pin, 0),
        (pin, 1),
    ]
