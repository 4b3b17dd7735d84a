"""One of the processes that age a store: told in JSON which blobs to save, it saves each in a commit of its own."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

from blake3 import blake3

from benches import peers

SIZE = 1 << 10


def blob_number(number: int) -> bytes:
    """Make the blob of that number, unlike all others."""
    return blake3(number.to_bytes(8, "little")).digest(length=SIZE)


async def _write(request: dict[str, Any]) -> None:
    peer = peers.find(request["peer"])(Path(request["folder"]))
    await peer.open()
    for number in range(request["first"], request["stop"], request["step"]):
        await peer.save_durably([blob_number(number)])
    await peer.close()


if __name__ == "__main__":
    asyncio.run(_write(json.loads(sys.argv[1])))
