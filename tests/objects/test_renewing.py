"""What reads credentials may block: deadlines and cancellation hold all the same."""

from __future__ import annotations

import threading
import time
from typing import Any

import anyio
import pytest

from packhouse.errors import StorageError
from packhouse.objects.bucket import renewing
from packhouse.objects.bucket.renewing import Renewing
from packhouse.objects.gcs import GCSObjects
from packhouse.objects.http import HttpOptions
from tests.hostile import google
from tests.hostile.driving import gcs_options_for
from tests.hostile.server import hostile
from tests.objects.test_http import well


class Stuck:
    """Credentials of Google whose renewal waits until it is let go on."""

    token: str | None = None
    expiry = None

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.asked = 0

    def refresh(self, request: Any) -> None:
        del request
        self.asked += 1
        self.go_on.wait(30)
        self.token = google.TOKEN


async def test_a_deadline_and_a_cancellation_hold_while_credentials_are_read() -> None:
    stuck = Stuck()
    with hostile(well, dialect=google.well) as server:
        options = gcs_options_for(server, credentials=stuck, http=HttpOptions(deadline=1))
        async with GCSObjects("gs://bucket", options) as store:
            try:
                for _ in range(2):
                    began = time.monotonic()
                    with pytest.raises(StorageError) as caught:
                        await store.get("name")
                    assert caught.value.kind == "deadline"
                    assert time.monotonic() - began < 2
                began = time.monotonic()
                with anyio.move_on_after(0.2) as scope:
                    await store.get("name")
                assert scope.cancelled_caught
                assert time.monotonic() - began < 1
                assert server.requests == []
                assert stuck.asked == 1, "they are read by one thread, however many have given up"
            finally:
                stuck.go_on.set()
            await store.put("name", b"body")
    assert stuck.asked == 1


class Ending:
    """Credentials that end in ten minutes, and are renewed slowly."""

    early = 900.0
    late = 120.0

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.left = 0.0
        self.reads = 0

    def ends_within(self, seconds: float) -> bool:
        return self.left < seconds

    def read(self) -> str:
        if self.reads:
            self.go_on.wait(30)
        self.reads += 1
        self.left = 3600.0
        return f"key {self.reads}"


async def test_nobody_waits_long_for_a_renewal_while_the_old_credentials_are_good(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(renewing, "_BOUND", 0.2)
    source = Ending()
    now = Renewing(source)
    assert await now.current() == "key 1"
    source.left = 600.0
    try:
        with anyio.fail_after(2):
            assert await now.current() == "key 1"
        with anyio.fail_after(0.1):
            assert await now.current() == "key 1", "the second does not wait at all"
    finally:
        source.go_on.set()
    with anyio.fail_after(5):
        while now.renewals < 2:  # noqa: ASYNC110 - a thread counts them
            await anyio.sleep(0.01)
    assert await now.current() == "key 2", "what the thread brought is used"
