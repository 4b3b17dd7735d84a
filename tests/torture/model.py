"""What the state machine believes about a store: the in-memory model it is held against."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from tests.torture.contract import Complaints, Store
from tests.torture.workload import edited, key_of

POOL = 28


@lru_cache(POOL)
def pooled(number: int) -> bytes:
    """One of the few blobs the machine saves: so few that they meet again and again.

    The last four are versions of two large ones: what was saved with one holds inner chunks of the others.
    """
    if number >= POOL - 4:
        return edited(pooled({POOL - 4: 7, POOL - 3: 23, POOL - 2: POOL - 4, POOL - 1: POOL - 3}[number]))
    dice = random.Random(f"pool {number}")
    size = (0, 1, 50, 700, 5_000, 40_000, 300_000, 900_000)[number % 8]
    return dice.randbytes(size) if number % 3 else bytes([number]) * size


@dataclass
class Model:
    """Acknowledged blobs and names; blobs that may have been harmed or half saved are in doubt."""

    blobs: dict[str, bytes] = field(default_factory=dict)
    doubtful: dict[str, bytes] = field(default_factory=dict)
    names: dict[str, Any] = field(default_factory=dict)
    condemned: dict[str, set[str]] = field(default_factory=dict)
    """By pack: what was acknowledged before it was condemned and not since."""
    damaged: bool = False

    def acknowledge(self, blobs: list[bytes]) -> None:
        """A save returned."""
        for blob in blobs:
            key = key_of(blob)
            self.blobs[key] = blob
            self.doubtful.pop(key, None)
            for harmed in self.condemned.values():
                harmed.discard(key)

    def doubt(self, blobs: list[bytes]) -> None:
        """A save ended in a way that tells nothing."""
        for blob in blobs:
            if key_of(blob) not in self.blobs:
                self.doubtful[key_of(blob)] = blob

    def endanger(self) -> None:
        """A copy was condemned or harmed: until a blob is saved again, its last copy may be a condemned one."""
        for harmed in self.condemned.values():
            harmed.update(self.blobs, self.doubtful)

    def fear(self, keys: set[str]) -> None:
        """Something happened to these blobs."""
        for key in keys & self.blobs.keys():
            self.doubtful[key] = self.blobs.pop(key)

    async def check(self, store: Store, complaints: Complaints) -> None:
        """Every acknowledged blob is there; a doubtful one is right or complained of."""
        keys = list(self.blobs)
        loaded = [one async for one in store.load_blobs(keys)]
        assert [one.key for one in loaded] == keys, "load_blobs lost the order"
        for one in loaded:
            assert bytes(one.data) == self.blobs[one.key], f"{one.key} loads wrong bytes"
        await self.look(store, complaints, set(self.doubtful))

    async def look(self, store: Store, complaints: Complaints, keys: set[str]) -> set[str]:
        """Read these one by one, never believing wrong bytes; returns those that could not be read."""
        unreadable = set()
        for key in sorted(keys):
            wanted = self.blobs.get(key, self.doubtful.get(key, b""))
            try:
                data = bytes(await store.load(key))
            except (complaints.missing, complaints.corrupt):
                unreadable.add(key)
            else:
                assert data == wanted, f"{key} loads wrong bytes"
        return unreadable
