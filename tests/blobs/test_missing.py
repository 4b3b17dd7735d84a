"""Blobs that are not there: named where they are asked for, or skipped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import packhouse

if TYPE_CHECKING:
    from pathlib import Path


async def test_a_missing_blob_is_named_or_skipped(store: packhouse.BlobStore) -> None:
    saved = await store.save_blobs([b"a", b"b"])
    keys = [saved[0].key, "0" * 64, saved[1].key]
    with pytest.raises(packhouse.BlobNotFound, match=r"0{64}") as caught:
        [blob async for blob in store.load_blobs(keys)]
    assert caught.value.keys == ("0" * 64,)
    assert isinstance(caught.value, KeyError)
    assert [blob.data async for blob in store.load_blobs(keys, missing="skip")] == [b"a", b"b"]
    for call in (
        store.load("0" * 64),
        store.load_range("0" * 64, 0, 0),
        store.size("0" * 64),
        store.open_read("0" * 64),
    ):
        with pytest.raises(packhouse.BlobNotFound, match=r"0{64}"):
            await call
    assert not await store.contains("0" * 64)
    assert await store.contains(saved[0])


async def test_a_missing_blob_with_a_locator_is_named_or_skipped_too(folder: Path) -> None:
    async with packhouse.open(folder / "a") as first, packhouse.open(folder / "b") as second:
        gone, there = await first.save_blobs([b"x", b"y"])
        await second.save_blobs([b"y"])
        steps: list[packhouse.Progress] = []
        some = second.load_blobs([gone, there], missing="skip", progress=steps.append)
        assert [blob.data async for blob in some] == [b"y"]
        assert (steps[-1].blobs, steps[-1].size) == (1, 1)
        with pytest.raises(packhouse.BlobNotFound) as caught:
            [blob async for blob in second.load_blobs([there, gone])]
        assert caught.value.keys == (gone.key,)
        for call in (second.load(gone), second.load_into(gone, bytearray(8)), second.open_read(gone)):
            with pytest.raises(packhouse.BlobNotFound) as caught:
                await call
            assert caught.value.keys == (gone.key,)
