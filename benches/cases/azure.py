"""The batch of `bucket` on Azurite, an emulator of Azure Blob Storage: it measures the clients, not Azure."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from benches.cases.bucket import case
from benches.peers.buckets import Place
from tests.servers.azurite import azurite

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def _start() -> Iterator[Place]:
    with azurite() as found:
        yield Place(found.endpoint, found.container, found.account, found.key, service="az")


CASE = case("azure", "Azurite", _start, ("near/4MiB", "20ms/10KiB"))
