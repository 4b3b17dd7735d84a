"""One process of several that write to the same bucket, run by a test; prints what was acknowledged."""

from __future__ import annotations

import random
import sys
from collections.abc import AsyncIterator

import anyio

import packhouse


async def names(url: str, rounds: int) -> None:
    """Take a name as a lock, count under it without a condition, give it back by deleting it."""
    async with packhouse.open(url) as store:
        for _ in range(rounds):
            version = None
            while version is None:
                try:
                    version = await store.names.put_if_absent("lock", "held")
                except packhouse.NameConflict:
                    await anyio.sleep(0.01)
            count = (await store.names.get("count")).doc
            await store.names.put("count", count + 1)
            await store.names.delete("lock", version=version)


async def blobs(url: str, number: int) -> None:
    """Save batches until the end; every key is told once it was acknowledged."""
    dice = random.Random(number)
    async with packhouse.open(url) as store:
        for turn in range(1_000 if number == 0 else 8):
            large = dice.randbytes(3 << 20) if turn % 4 == 1 else dice.randbytes(1000)
            saved = await store.save_blobs([f"shared {turn}".encode(), large, dice.randbytes(100)])
            print(*(blob.key for blob in saved), flush=True)


async def endless(url: str, number: int) -> None:
    """Save a blob that has no end."""
    dice = random.Random(number)

    async def pieces() -> AsyncIterator[bytes]:
        while True:
            yield dice.randbytes(1 << 20)
            await anyio.sleep(0.01)

    async with packhouse.open(url) as store:
        await store.save_stream(pieces())


if __name__ == "__main__":
    what, where, count = sys.argv[1:]
    anyio.run({"names": names, "blobs": blobs, "endless": endless}[what], where, int(count))
