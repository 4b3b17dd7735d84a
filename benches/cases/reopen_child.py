"""The new process of the case `reopen`: told in JSON what to load, tells in JSON how long it took."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benches import peers
from benches.answer import answering

if TYPE_CHECKING:
    from typing_extensions import Buffer


def main() -> None:
    """Load one blob."""
    request: dict[str, Any] = json.loads(sys.argv[1])
    with answering() as told:
        if request["peer"] == peers.MACHINE:
            used = _read(Path(request["folder"]) / request["key"], request["size"])
        else:
            peers.find(request["peer"])  # imported before the clock runs
            used = asyncio.run(_use(request))
        told["use_ms"] = used * 1e3


def _read(path: Path, size: int) -> float:
    start = time.perf_counter()
    if len(path.read_bytes()) != size:
        raise RuntimeError("not what was written")
    return time.perf_counter() - start


async def _use(request: dict[str, Any]) -> float:
    peer = peers.find(request["peer"])(Path(request["folder"]))
    sizes: list[int] = []

    def take(blob: Buffer) -> None:
        sizes.append(len(memoryview(blob)))

    start = time.perf_counter()
    await peer.open()
    await peer.load([request["key"]], take)
    await peer.close()
    used = time.perf_counter() - start
    if sizes != [request["size"]]:
        raise RuntimeError("not what was saved")
    return used


if __name__ == "__main__":
    main()
