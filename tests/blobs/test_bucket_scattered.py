"""Small blobs that lie apart in packs: one request each, all asked for together, each with a fate of its own."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, NamedTuple

import packhouse
from packhouse.blobs.carrier import Carrier
from tests.blobs.conftest import Counting, objects_of, services

if TYPE_CHECKING:
    import pytest

_APART = 300 << 10
"""More than what is read over between two wanted places."""


class _Laid(NamedTuple):
    wanted: list[packhouse.SavedBlob]
    blobs: dict[str, bytes]


async def _lay(url: str, options: packhouse.StoreOptions) -> _Laid:
    """Save small blobs with a large one between any two."""
    dice = random.Random(11)
    async with packhouse.open(url, options=options) as store:
        blobs = [dice.randbytes(10 << 10 if at % 2 else _APART) for at in range(48)]
        saved = await store.save_blobs(blobs)
    return _Laid(saved[1::2], {one.key: blob for one, blob in zip(saved, blobs, strict=True)})


@services
async def test_scattered_blobs_come_back(url: str, options: packhouse.StoreOptions) -> None:
    wanted, blobs = await _lay(url, options)
    async with packhouse.open(url, options=options, mode="r", cache_dir=None) as store:
        found = {key: bytes(data) async for key, data in store.load_blobs(wanted, ordered=False)}
    assert found == {one.key: blobs[one.key] for one in wanted}


async def test_scattered_blobs_cost_one_request_each_and_one_call_for_all(
    url: str, options: packhouse.StoreOptions, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, _ = await _lay(url, options)
    asked: list[int] = []
    read_many = Carrier.read_many

    def watched(self: Carrier, many: list[tuple[str, int, bytearray]]) -> list[Exception | None]:
        asked.append(len(many))
        return read_many(self, many)

    monkeypatch.setattr(Carrier, "read_many", watched)
    async with packhouse.open(url, options=options, mode="r", cache_dir=None) as store:
        with counting() as counts:
            async for _ in store.load_blobs(wanted):
                pass
    assert counts["GET"] <= len(wanted) + 2
    assert len(asked) == 1
    assert asked[0] >= len(wanted) - 2


async def test_one_damaged_blob_among_scattered_ones_harms_no_other(url: str, options: packhouse.StoreOptions) -> None:
    wanted, blobs = await _lay(url, options)
    bad = wanted[7]
    async with objects_of(url, options) as objects:
        for name in [info.name async for info in objects.list("packs/")]:
            whole = bytearray((await objects.get(name)).data)
            at = whole.find(blobs[bad.key])
            if at >= 0:
                whole[at + 100] ^= 1
                await objects.put(name, bytes(whole))
    async with packhouse.open(url, options=options, mode="r", cache_dir=None) as store:
        for one in wanted:
            try:
                assert bytes(await store.load(one)) == blobs[one.key]
            except packhouse.CorruptBlob:
                assert one == bad
        found, failed = await _load_all(store, wanted)
    assert failed
    assert set(found) <= {one.key for one in wanted} - {bad.key}
    assert all(found[key] == blobs[key] for key in found)


async def test_a_pack_that_was_cut_loses_only_what_was_cut_off(url: str, options: packhouse.StoreOptions) -> None:
    wanted, blobs = await _lay(url, options)
    async with objects_of(url, options) as objects:
        sizes = {info.name: info.size async for info in objects.list("packs/")}
        name = max(sizes, key=sizes.__getitem__)
        whole = bytes((await objects.get(name)).data)
        await objects.put(name, whole[: len(whole) // 2])
    there = [one for one in wanted if 0 <= whole.find(blobs[one.key]) < len(whole) // 2 - _APART]
    gone = [one for one in wanted if whole.find(blobs[one.key]) > len(whole) // 2]
    assert there
    assert gone
    async with packhouse.open(url, options=options, mode="r", cache_dir=None) as store:
        found, failed = await _load_all(store, there + gone)
    assert failed
    assert set(found) == {one.key for one in there}


async def _load_all(store: packhouse.BlobStore, wanted: list[packhouse.SavedBlob]) -> tuple[dict[str, bytes], bool]:
    """Return what came before an error, and whether there was one."""
    found: dict[str, bytes] = {}
    try:
        async for key, data in store.load_blobs(wanted):
            found[key] = bytes(data)
    except (packhouse.CorruptBlob, packhouse.StorageError):
        return found, True
    return found, False
