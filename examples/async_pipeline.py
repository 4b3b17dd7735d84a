"""An async pipeline: results are saved while the next are being made, then loaded and checked.

Run it with `python examples/async_pipeline.py`; it makes `example-store` in the current folder.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import anyio
import anyio.lowlevel
import numpy as np

import packhouse


async def simulate(runs: int) -> AsyncIterator[np.ndarray[tuple[int], np.dtype[np.float32]]]:
    """Make one array after another, as a simulation or a download would."""
    noise = np.random.default_rng(7)
    for _ in range(runs):
        await anyio.lowlevel.checkpoint()  # whatever your producer waits for
        yield np.cumsum(noise.normal(size=250_000)).astype(np.float32)


async def main() -> None:
    """Save 40 arrays in one atomic, durable batch; name them; load some of them back."""
    async with packhouse.open("example-store") as store:
        saved = await store.save_blobs(simulate(40))
        keys = [blob.key for blob in saved]
        await store.names.put("simulation/latest", {"arrays": keys, "dtype": "float32"}, refs=keys)

        total = sum(blob.size for blob in saved)
        stored = sum(blob.stored_size for blob in saved)
        print(f"saved {len(saved)} arrays, {total:,} bytes, {stored:,} bytes added to the store")

        latest = await store.names.get("simulation/latest")
        some = random.sample(latest.doc["arrays"], 5)
        async for key, data in store.load_blobs(some):
            array = np.frombuffer(data, dtype=np.float32)
            print(f"{key[:12]}…  {len(array):,} values, mean {array.mean():+.3f}")


if __name__ == "__main__":
    anyio.run(main)
