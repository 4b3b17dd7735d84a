"""The batch of `bucket` on Azurite, an emulator of Azure Blob Storage: it measures the clients, not Azure."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from benches.cases.bucket import case
from benches.peers.buckets import Place
from tests.servers.azurite import azurite

if TYPE_CHECKING:
    from collections.abc import Iterator


_MEMORY_MB = 4_000
"""A rehearsal of half a GiB, a GiB, and the same again from those who write it again."""


@contextmanager
def _start() -> Iterator[Place]:
    with azurite(memory_mb=_MEMORY_MB) as found:
        yield Place(found.endpoint, found.container, found.account, found.key, service="az")


CASE = case("azure", "Azurite", _start, ("near/4MiB", "20ms/10KiB"))
