"""Async tests run on every event loop that the store promises to work on."""

from __future__ import annotations

import gc
import os
import signal
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

import packhouse
from tests.servers.running import NO_SERVER
from tests.torture.outcome import LEFT_OUT

pytest_plugins = ["tests.servers.fixtures", "tests.cancelling"]

# Metaflow is the oracle of many tests, as it is; those of tests/metaflow switch our drop-in on for themselves.
os.environ["METAFLOW_PACKHOUSE"] = "0"
# Requests are counted, and nobody's own folder for caches is written to: tests of the cache name one.
os.environ["PACKHOUSE_CACHE_DIR"] = ""

# In the background of a shell Ctrl-C is ignored, and would be by the programs that are tested.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


settings.register_profile("quick", max_examples=50, deadline=None)
settings.register_profile("long", max_examples=2000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


@pytest.fixture(
    params=[("asyncio", {}), ("asyncio", {"use_uvloop": True}), ("trio", {})], ids=["asyncio", "uvloop", "trio"]
)
def anyio_backend(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    """The loop, and how it is started."""
    backend: tuple[str, dict[str, Any]] = request.param
    return backend


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where a test's store is."""
    return tmp_path / "store"


@pytest.fixture
async def store(folder: Path) -> AsyncIterator[packhouse.BlobStore]:
    """A new store in a folder."""
    async with packhouse.open(folder) as opened:
        yield opened


def pytest_collection_finish() -> None:
    """Leave what was imported and collected to the end, and let no collection of garbage look through it again."""
    gc.freeze()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say once for each server that is not here what was not tried, and what of a promise could not be tried."""
    skipped = [report.longrepr for report in terminalreporter.stats.get("skipped", ())]
    reasons = Counter(str(told[2]).removeprefix("Skipped: ") for told in skipped if isinstance(told, tuple))
    for reason, count in sorted(reasons.items()):
        if reason.startswith(NO_SERVER):
            terminalreporter.write_line(f"{reason} ({count} tests skipped)", yellow=True)
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            for name, part in report.user_properties:
                if name == LEFT_OUT:
                    terminalreporter.write_line(f"LEFT OUT: {part}", yellow=True)
