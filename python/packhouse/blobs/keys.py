"""The keys of a load, as far as their iterable has given them."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Protocol, cast

import anyio

from packhouse._engine import count_keys
from packhouse.blobs.records import KeyLike, KeyWithLocator, key_and_locator
from packhouse.blobs.sources import end_generator
from packhouse.errors import InvalidInput, StoreClosed
from packhouse.turns import SLICE_SECONDS, Turns

if TYPE_CHECKING:
    from packhouse.blobs.jobs import Jobs

__all__ = ["Bell", "FedKeys", "KeyPair", "Keys", "SyncKeys", "key_source"]

KeyPair = tuple[str, str | None]

_AHEAD = 2_000


class Bell:
    """Wakes the one task that waits; may be rung by anything that knows nothing else of it."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = anyio.Event()

    def ring(self) -> None:
        """Wake the waiter, or let its next wait return at once."""
        self._event.set()

    def rearm(self) -> None:
        """Forget earlier rings: called before looking at what they told."""
        self._event = anyio.Event()

    async def wait(self) -> None:
        """Wait for a ring since the last `rearm`."""
        await self._event.wait()


class Keys(Protocol):
    """Keys with their locators.

    Attributes:
        ended: whether there will be no more than were taken.
        starved: whether somebody has to give more before there can be any.
    """

    @property
    def ended(self) -> bool: ...  # noqa: D102 - above

    @property
    def starved(self) -> bool: ...  # noqa: D102 - above

    def take(self, count: int) -> list[KeyPair]:
        """Return at most so many of those that are there now."""
        ...

    def close(self) -> None:
        """Ask for no more."""
        ...


def key_source(keys: object, jobs: Jobs, bell: Bell) -> Keys:
    """Make the source of an iterable of keys; an async one is read by a task of the store, at most 2,000 keys ahead.

    Raises:
        InvalidInput: it is no iterable of keys.
    """
    if isinstance(keys, FedKeys):
        return keys
    if isinstance(keys, AsyncIterable):
        source = _AsyncKeys(aiter(keys), bell)
        jobs.spawn(source.run)
        return source
    if isinstance(keys, str) or not isinstance(keys, Iterable):
        message = f"keys must be an iterable of keys, not {type(keys).__qualname__} (to load one blob: load)"
        raise InvalidInput(message, kind="item-type")
    return SyncKeys(iter(keys), patience=SLICE_SECONDS)


class FedKeys:
    """Keys that the consumer gives, before it asks for blobs."""

    __slots__ = ("_keys", "_last")

    def __init__(self) -> None:
        self._keys: list[KeyPair] = []
        self._last = False

    def __len__(self) -> int:
        return len(self._keys)

    @property
    def ended(self) -> bool:
        """Whether the last key was taken."""
        return self._last and not self._keys

    @property
    def starved(self) -> bool:
        """Whether all that were given are taken, and there are more to come."""
        return not self._last and not self._keys

    def feed(self, keys: list[KeyPair], *, last: bool) -> None:
        """Give more keys; the last ones say so."""
        self._keys += keys
        self._last = last

    def take(self, count: int) -> list[KeyPair]:
        """Return at most so many."""
        taken, self._keys = self._keys[:count], self._keys[count:]
        return taken

    def close(self) -> None:
        """Forget what was given."""
        self._keys = []
        self._last = True


class SyncKeys:
    """Keys of a sync iterable; what came before an error, or before what is no key, is given first.

    Args:
        iterator: runs in the thread that takes.
        patience: seconds after which `take` is content with fewer.
    """

    __slots__ = ("_error", "_iterator", "_patience", "ended", "starved")

    def __init__(self, iterator: Iterator[KeyLike], *, patience: float = math.inf) -> None:
        self._iterator = iterator
        self._patience = patience
        self._error: Exception | None = None
        self.ended = False
        self.starved = False

    def take(self, count: int) -> list[KeyPair]:
        """Return at most so many of the next, none at the end; raises what the iterable raised."""
        if self._error is not None:
            self.ended = True
            raise self._error
        given: list[KeyLike] = []
        taken: list[KeyPair] = []
        enough = time.monotonic() + self._patience
        try:
            for key in islice(self._iterator, count):
                given.append(key)
                if time.monotonic() >= enough:
                    break
            else:
                self.ended = self.ended or len(given) < count
        except Exception as error:  # noqa: BLE001 - raised behind what came before
            self._error = error
        try:
            if set(map(type, given)) == {KeyWithLocator}:
                located = cast("list[KeyWithLocator]", given)
                plain = count_keys([key for key, _ in located])
                taken = [*located[:plain]]
            else:
                plain = count_keys(given)
                taken = [(cast("str", key), None) for key in given[:plain]]
            for key in given[plain:]:
                taken.append(key_and_locator(key))
        except InvalidInput as error:
            self.ended = False
            self._error = error
        if not taken and self._error is not None:
            self.ended = True
            raise self._error
        return taken

    def close(self) -> None:
        """Ask for no more."""
        self.ended = True


class _AsyncKeys:
    """Its own task reads ahead, so that a slow source does not hold back what is loaded already."""

    __slots__ = ("_bell", "_error", "_iterator", "_room", "_scope", "_taken", "ended", "starved")

    def __init__(self, iterator: AsyncIterator[KeyLike], bell: Bell) -> None:
        self._iterator = iterator
        self._bell = bell
        self._taken: list[KeyPair] = []
        self._error: BaseException | None = None
        self._room = anyio.Event()
        self._scope = anyio.CancelScope()
        self.ended = False
        self.starved = False

    def take(self, count: int) -> list[KeyPair]:
        taken, self._taken = self._taken[:count], self._taken[count:]
        self._room.set()
        if not taken and self._error is not None:
            error, self._error = self._error, None
            self.ended = True
            raise error
        return taken

    def close(self) -> None:
        if not self.ended and self._error is None:  # else there is no task any more, and perhaps no loop
            self._scope.cancel()

    async def run(self) -> None:
        turns = Turns()
        try:
            with self._scope:
                async for key in self._iterator:
                    self._taken.append(key_and_locator(key))
                    self._bell.ring()
                    if turns.due():
                        await turns.give()
                    while len(self._taken) >= _AHEAD:
                        self._room = anyio.Event()
                        await self._room.wait()
        except anyio.get_cancelled_exc_class():  # not ours, which ends with its scope: the store's, and keys are left
            self._error = StoreClosed("the store was closed before all keys were given")
            raise
        except Exception as error:  # noqa: BLE001 - raised where the consumer stands
            self._error = error
        finally:
            self.ended = self._error is None
            self._bell.ring()
            await end_generator(self._iterator)
