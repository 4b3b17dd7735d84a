"""What a store of objects really does: tried out, one finding after the other, under a random prefix that is removed.

The findings tell what a service does, not what it is: conditions honoured or ignored, checksums looked at or not.
"""

from __future__ import annotations

import secrets
import statistics
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

import anyio

from packhouse.errors import NameConflict, NameNotFound, PackhouseError
from packhouse.objects.contract import ObjectInfo, ObjectStore, Stream
from packhouse.objects.probing import lists_at_once, try_conditions

__all__ = ["Diagnosis", "Verdict", "examine"]

Verdict: TypeAlias = Literal["good", "poor", "bad"]
_SKEW = 300.0
_LARGE = 8 << 20
_RACERS = 4
_CLEARING_SECONDS = 20.0


class Diagnosis(NamedTuple):
    """One line of the table."""

    subject: str
    verdict: Verdict
    """`poor`: a store works without it; `bad`: it does not."""
    detail: str
    kind: str = ""
    """Of the error, where there was one."""


class _Poor(Exception):
    """Not what one would wish; a store works all the same."""

    def __init__(self, detail: str, kind: str = "") -> None:
        super().__init__(detail)
        self.kind = kind


class _Untried(Exception):
    """This kind of store has no way to try it: nothing is said of it."""


@dataclass
class _Patient:
    store: ObjectStore
    prefix: str
    body: bytes

    async def write(self) -> str:
        info = await self.store.put(f"{self.prefix}small", self.body)
        return f"{info.size} bytes"

    async def read(self) -> str:
        found = await self.store.get(f"{self.prefix}small")
        _expect(bytes(found.data) == self.body, "other bytes came back than were written")
        part = await self.store.get(f"{self.prefix}small", start=1000, length=500)
        _expect(bytes(part.data) == self.body[1000:1500], "a range came back wrong")
        return "whole and in ranges"

    async def clock(self) -> str:
        skew = (await self.store.put(f"{self.prefix}clock", b"")).modified - time.time()
        if abs(skew) > _SKEW:
            raise _Poor(f"the service's clock differs by {skew:+.0f} s: set this machine's clock (NTP)")
        return f"differs by {skew:+.1f} s"

    async def listing(self) -> str:
        """See that a list is of now, and of all there is."""
        at_once = await lists_at_once(self.store, f"{self.prefix}listed")
        _expect(at_once, "what was just written is not listed, and what is committed is found by listing")
        names = {info.name async for info in self.store.list(self.prefix)}
        _expect(f"{self.prefix}small" in names, "what was written before is not listed")
        return "what was just written is listed"

    async def conditions(self) -> str:
        """Try them out: a service may honour them, ignore them or refuse them."""
        from packhouse.objects.bucket import BucketObjects  # noqa: PLC0415 - imports httpx

        name = f"{self.prefix}condition"
        found = await try_conditions(self.store, name)
        if found.doing != "honours":
            says = {"lacks": "not to be had", "mistakes": "a true version is refused"}
            trouble = says.get(found.doing, f"{found.which}: ignored without a word")
            raise _Poor(f"{trouble}: open stores with conditional_writes=False, names will refuse")
        won: list[ObjectInfo] = []
        async with anyio.create_task_group() as tasks:
            for number in range(_RACERS):
                tasks.start_soon(self._race, name, f"race {number}".encode(), found.version, won)
        _expect(len(won) == 1, f"{len(won)} of {_RACERS} writers at once won: conditions are no protection here")
        unquoted = isinstance(self.store, BucketObjects) and not self.store.quoted
        form = ", versions without quotes" if unquoted else ""
        return f"if absent and if unchanged{form}, and one of several at once wins"

    async def _race(self, name: str, body: bytes, version: str, won: list[ObjectInfo]) -> None:
        try:
            won.append(await self.store.put_if(name, body, version=version))
        except NameConflict:
            return

    async def parts(self) -> str:
        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(9):
                yield self.body * 256  # 1 MiB

        info = await self.store.put(f"{self.prefix}parts", Stream(pieces()))
        tail = await self.store.get(f"{self.prefix}parts", start=info.size - 4096, length=4096)
        _expect(bytes(tail.data) == self.body, "other bytes came back than were written")
        return f"{info.size >> 20} MiB in parts"

    async def withdrawing(self) -> str:
        """Begin an upload and give it up; see whether what would be left behind is told."""
        from packhouse.objects.bucket import BucketObjects  # noqa: PLC0415 - imports httpx

        if not isinstance(self.store, BucketObjects):
            raise _Untried
        try:
            gone = await self.store.withdraws(f"{self.prefix}withdrawn")
        except PackhouseError as error:
            raise _Poor(f"what a writer leaves that dies cannot be told: {error}", error.kind) from error
        if not gone:
            raise _Poor("an upload that is given up stays, and costs space: allow aborting uploads")
        return "one that fails is withdrawn"

    async def copying(self) -> str:
        if not await self.store.copy(f"{self.prefix}small", f"{self.prefix}copy"):
            raise _Poor("the service cannot: bytes go through this machine")
        return "on the service's side"

    async def checksums(self) -> str:
        """Send bytes with the checksum of others."""
        from packhouse.objects.bucket import BucketObjects  # noqa: PLC0415 - imports httpx

        if not isinstance(self.store, BucketObjects):
            raise _Untried
        try:
            await self.store.put_damaged(f"{self.prefix}wrong", self.body)
        except PackhouseError as error:
            return f"a wrong one is refused ({error.kind})"
        raise _Poor(f"a wrong one is taken: {self.store.unchecked}")

    async def latency(self) -> str:
        times = [await _timed(self.store.head(f"{self.prefix}small")) for _ in range(20)]
        return f"{statistics.median(times) * 1e3:.1f} ms, 1 in 10 above {sorted(times)[-2] * 1e3:.1f} ms"

    async def throughput(self) -> str:
        body = secrets.token_bytes(_LARGE)
        target = memoryview(bytearray(_LARGE))

        async def put(number: int) -> None:
            await self.store.put(f"{self.prefix}large{number}", body)

        async def get(number: int) -> None:
            await self.store.get(f"{self.prefix}large{number}", start=0, length=_LARGE, into=target)

        rates = [4 * _LARGE / 1e6 / await _timed(_at_once(each, 4)) for each in (put, get)]
        return f"up {rates[0]:.0f} MB/s, down {rates[1]:.0f} MB/s, 4 × 8 MiB at once"

    async def clear(self) -> None:
        """Remove what is left, whatever ended the trials; what cannot be removed now stays."""
        with anyio.move_on_after(_CLEARING_SECONDS, shield=True), suppress(PackhouseError):
            await self.store.delete([info.name async for info in self.store.list(self.prefix)])

    async def removing(self) -> str:
        names = [info.name async for info in self.store.list(self.prefix)]
        await self.store.delete(names)
        left = [info.name async for info in self.store.list(self.prefix)]
        _expect(not left, f"{len(left)} of {len(names)} objects are still there")
        await self.store.delete(names)
        return f"{len(names)} objects"


async def examine(store: ObjectStore) -> AsyncGenerator[Diagnosis, None]:
    """Try a store out, 13 findings at most; it writes some 45 MB and removes them, also when it is ended before.

    What a store that is no bucket has no way to show is left out.

    Who may leave it before its end closes it (`contextlib.aclosing`).

    Args:
        store: the store, opened.
    """
    patient = _Patient(store, f"doctor/{secrets.token_hex(8)}/", secrets.token_bytes(4096))
    reached = await _find("reading", _absent(store, patient.prefix))
    yield reached
    if reached.verdict == "bad":
        return
    try:
        writing = await _find("writing", patient.write())
        yield writing
        if writing.verdict == "bad":
            return
        for subject, trial in (
            ("reading back", patient.read),
            ("listing", patient.listing),
            ("clock", patient.clock),
            ("conditional writes", patient.conditions),
            ("uploads in parts", patient.parts),
            ("unfinished uploads", patient.withdrawing),
            ("checksums", patient.checksums),
            ("copying", patient.copying),
            ("latency", patient.latency),
            ("throughput", patient.throughput),
            ("deleting", patient.removing),
        ):
            with suppress(_Untried):
                yield await _find(subject, trial())
    finally:
        await patient.clear()


async def _absent(store: ObjectStore, prefix: str) -> str:
    found = [
        info.name async for info in store.list(prefix)
    ]  # a service may say of no bucket that the object is missing
    try:
        await store.get(f"{prefix}absent")
    except NameNotFound:
        if not found:
            return "credentials, bucket and network are good"
    raise _Poor("an object that was never written is there")


async def _find(subject: str, trial: Awaitable[str]) -> Diagnosis:
    try:
        return Diagnosis(subject, "good", await trial)
    except _Poor as poor:
        return Diagnosis(subject, "poor", str(poor), poor.kind)
    except _Bad as bad:
        return Diagnosis(subject, "bad", str(bad))
    except PackhouseError as error:
        return Diagnosis(subject, "bad", str(error), error.kind)
    except ExceptionGroup as group:
        errors = [error for error in group.exceptions if isinstance(error, PackhouseError)]
        if not errors:
            raise
        return Diagnosis(subject, "bad", str(errors[0]), errors[0].kind)


class _Bad(Exception):
    """A store cannot work on this."""


def _expect(holds: bool, otherwise: str) -> None:
    if not holds:
        raise _Bad(otherwise)


async def _timed(doing: Awaitable[object]) -> float:
    started = time.monotonic()
    await doing
    return time.monotonic() - started


async def _at_once(doing: Callable[[int], Coroutine[None, None, None]], count: int) -> None:
    async with anyio.create_task_group() as tasks:
        for number in range(count):
            tasks.start_soon(doing, number)
