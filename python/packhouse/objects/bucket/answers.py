"""What is checked of an answer before it is believed."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import NamedTuple, TypeAlias

from packhouse.errors import InvalidInput, StorageError
from packhouse.objects.contract import ObjectInfo, check_object_name
from packhouse.objects.http import Reply

__all__ = [
    "Bounded",
    "HeadCheck",
    "Page",
    "RangeCheck",
    "Seen",
    "etag_of",
    "listed",
    "read_size",
    "size_of",
    "time_of",
    "version_of",
]


class Seen(NamedTuple):
    """What a look at an object tells."""

    info: ObjectInfo
    write_id: str
    """Of the write that made it; empty where it says none."""
    digest: str = ""
    """Of its bytes; empty where the service tells none that was asked for."""

    def holds(self, size: int, digest: str) -> bool:
        """Say whether these are the bytes that were sent, as far as both sides tell a digest."""
        return self.info.size == size and (digest == self.digest or not (digest and self.digest))


class Page(NamedTuple):
    """A part of a list."""

    found: list[ObjectInfo]
    next: str
    """Where it goes on; empty at its end."""


_DIGITS = 19
_CONTENT_RANGE = re.compile(r"bytes (\d{1,19})-(\d{1,19})/(\d{1,19})")


HeadCheck: TypeAlias = Callable[[int, Mapping[str, str], int | None], None]
"""Looks at the status, the headers and the length of a good answer before its body is read."""


class RangeCheck:
    """Holds the answer to a ranged read against what was asked, before its body is read.

    Args:
        what: the operation, for messages.
        start: the first byte.
        length: bytes; None for all from there.
    """

    def __init__(self, what: str, start: int, length: int | None) -> None:
        self._what = what
        self._start = start
        self._length = length
        self.total = 0
        """Bytes of the whole object, once answered."""

    def __call__(self, status: int, headers: Mapping[str, str], length: int | None) -> None:
        """Look at the head of an answer.

        Raises:
            InvalidInput: the object is shorter (`object-range`).
            StorageError: it is not what was asked for (`bad-answer`).
        """
        if status == 200:
            if self._start or length is None or length != self._length:
                raise StorageError(f"cannot {self._what}: the service ignores ranges", kind="bad-answer")
            self.total = length
            return
        told = _CONTENT_RANGE.fullmatch(headers.get("content-range", ""))
        if told is None:
            raise StorageError(f"cannot {self._what}: the answer does not say what it is of", kind="bad-answer")
        first, last, self.total = map(int, told.groups())
        wanted = self.total - self._start if self._length is None else self._length
        if self._start + wanted > self.total:
            message = f"cannot {self._what}: {wanted} bytes from {self._start} are not within its {self.total}"
            raise InvalidInput(message, kind="object-range")
        if first != self._start or last - first + 1 != wanted or (length is not None and length != wanted):
            raise StorageError(f"cannot {self._what}: the answer is of another range", kind="bad-answer")


class Bounded:
    """Refuses an object that is too large to be read by whoever named no length; asking again would not help.

    Args:
        what: the operation, for messages.
        most: bytes.
        check: what else is held against the answer.
    """

    def __init__(self, what: str, most: int, check: HeadCheck | None) -> None:
        self._what = what
        self._most = most
        self._check = check

    def __call__(self, status: int, headers: Mapping[str, str], length: int | None) -> None:
        """Look at the head of an answer.

        Raises:
            InvalidInput: it has more bytes (`object-large`).
        """
        if self._check is not None:
            self._check(status, headers, length)
        if length is not None and length > self._most:
            message = f"cannot {self._what}: it has {length} bytes, and without a length at most {self._most} are read"
            raise InvalidInput(f"{message}; name the length, or read ranges", kind="object-large")


def etag_of(text: str) -> str:
    """Return an entity tag without its quotes."""
    return text.strip().removeprefix("W/").strip('"')


def version_of(headers: Mapping[str, str], name: str, field: str = "etag") -> str:
    """Return the version that an answer tells.

    Raises:
        StorageError: it tells none.
    """
    version = etag_of(headers.get(field, ""))
    if not version:
        raise StorageError(f"the answer about {name} tells no version ({field})", kind="bad-answer")
    return version


def size_of(reply: Reply, name: str) -> int:
    """Return the size that an answer to HEAD tells.

    Raises:
        StorageError: it tells none.
    """
    told = reply.headers.get("content-length", "")
    if not (told.isascii() and told.isdigit()):
        raise StorageError(f"the answer about {name} tells no size", kind="bad-answer")
    return int(told)


def read_size(told: object) -> int:
    """Return the bytes that an entry of a list tells.

    Raises:
        ValueError: it is no such number.
    """
    text = str(told)
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        raise ValueError("no size")
    return int(text)


def time_of(headers: Mapping[str, str], field: str = "date") -> float:
    """Return the time that a header tells; the service's clock, or ours if it tells none."""
    try:
        return _moment(headers[field])
    except (KeyError, ValueError, OverflowError):
        return time.time()


@lru_cache(maxsize=256)
def _moment(told: str) -> float:
    return parsedate_to_datetime(told).timestamp()


def listed(key: str, start: str, what: str) -> str:
    """Return the name that a key in a list stands for; none for what was never ours, a folder's marker for instance.

    Raises:
        StorageError: it is none of what was asked for.
    """
    if not key.startswith(start):
        raise StorageError(f"cannot {what}: the list holds what was not asked for", kind="bad-answer")
    name = key[len(start) :]
    try:
        return check_object_name(name)
    except InvalidInput:
        return ""
