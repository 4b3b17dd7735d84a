"""A store in a bucket for each test, and a count of what it asks for."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TypeAlias

import pytest

import packhouse
from packhouse.objects.s3 import S3Options
from packhouse.objects.s3.requests import Requests
from tests.objects.conftest import bucket, s3_options

__all__ = ["Counting", "bucket", "s3_options"]  # fixtures

Counting: TypeAlias = Callable[[], AbstractContextManager[Counter[str]]]


@pytest.fixture
def url() -> str:
    """A prefix of its own."""
    return f"s3://packhouse/{secrets.token_hex(6)}"


@pytest.fixture
def options(s3_options: S3Options) -> packhouse.StoreOptions:
    return packhouse.StoreOptions(bucket=s3_options)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    """Count the requests of a block, by verb; a list is `LIST`."""
    seen: list[str] = []
    told: list[str] = []
    ask = Requests.ask

    async def counted(self: Requests, method: str, what: str, name: str | None = None, **more: Any) -> Any:
        seen.append("LIST" if "list-type" in (more.get("query") or {}) else method)
        told.append(f"{seen[-1]} {what}")
        return await ask(self, method, what, name, **more)

    monkeypatch.setattr(Requests, "ask", counted)

    @contextmanager
    def block() -> Iterator[Counter[str]]:
        counts: Counter[str] = Counter()
        seen.clear()
        told.clear()
        yield counts
        counts.update(seen)
        print(dict(counts), *told, sep="\n  ")  # shown when the test fails

    return block
