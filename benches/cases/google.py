"""The batch of `bucket` on an emulator of Google Cloud Storage: it measures the clients, not Google."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from benches.cases.bucket import case
from benches.peers.buckets import Place
from tests.servers.fake_gcs import BUCKET, fake_gcs

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def _start() -> Iterator[Place]:
    with fake_gcs() as endpoint:
        yield Place(endpoint, BUCKET, "nobody", service="gs")


CASE = case("google", "fake-gcs-server", _start, ("near/4MiB", "20ms/10KiB"))
