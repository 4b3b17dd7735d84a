"""What a hostile or broken server does, and what must come of it: no wrong bytes, no secret sent away, an end in time.

Each behaviour is a server's half and a client's half, which raises `AssertionError` when a promise is broken.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass

from packhouse.errors import NameNotFound, PackhouseError
from packhouse.objects.bucket import BucketObjects
from packhouse.objects.http import HttpClient
from tests.hostile.server import Behave, Hostile, Talk

__all__ = ["BEHAVIOURS", "BODY", "LOST", "NAME", "Behaviour", "Case", "always", "behaviour"]

BODY = bytes(range(256)) * 40
NAME = "object"


@dataclass
class Case:
    """A running server and a store that talks to it."""

    server: Hostile
    store: BucketObjects
    own: bool
    """Whether our own transport carries it."""

    @property
    def client(self) -> HttpClient:
        """What sends the store's requests."""
        return self.store._asking.client

    async def refused(self, doing: Awaitable[object], *kinds: str) -> PackhouseError:
        """Await it; it must fail with one of the kinds."""
        try:
            found = await doing
        except PackhouseError as error:
            if error.kind in kinds:
                return error
            raise AssertionError(f"{error.kind} ({error}), not {kinds}") from error
        raise AssertionError(f"{found!r} was believed")

    async def warm_up(self) -> None:
        """Leave a connection that will be used again."""
        with suppress(NameNotFound):
            await self.store.get("missing")

    async def read(self) -> bytes:
        """Read the object whole."""
        return bytes((await self.store.get(NAME)).data)

    async def read_range(self) -> bytes:
        """Read a range of it."""
        return bytes((await self.store.get(NAME, start=100, length=200)).data)


@dataclass(frozen=True)
class Behaviour:
    """One of them."""

    name: str
    serve: Behave
    check: Callable[[Case], Awaitable[None]]
    only: str = ""
    """The one service whose dialect it is; empty for all."""

    def fits(self, service: str) -> bool:
        """Say whether a service can behave so."""
        return self.only in ("", service)


BEHAVIOURS: list[Behaviour] = []


def behaviour(
    serve: Behave, only: str = ""
) -> Callable[[Callable[[Case], Awaitable[None]]], Callable[[Case], Awaitable[None]]]:
    """Add the check's behaviour to the list; the check's name is the behaviour's."""

    def add(check: Callable[[Case], Awaitable[None]]) -> Callable[[Case], Awaitable[None]]:
        BEHAVIOURS.append(Behaviour(check.__name__, serve, check, only))
        return check

    return add


def always(data: bytes, *, then_close: bool = False) -> Behave:
    """Answer everything with the same bytes."""

    def serve(talk: Talk) -> None:
        for _ in talk.requests():
            talk.send(data)
            if then_close:
                return

    return serve


LOST = ("bad-answer", "connection-lost", "deadline")
