"""Bytes, text and JSON: what a person reads with `packhouse cat`."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any, cast

import orjson

from packhouse.tasks.serializers.contract import Serializer

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["BytesSerializer", "JsonSerializer", "TextSerializer"]

_MOST_NODES = 20_000  # beyond, looking at each value costs more than its readable form is worth
_LARGEST = 1 << 63  # what every reader of JSON keeps exactly


class BytesSerializer(Serializer):
    """`bytes`, as they are."""

    tag = "bytes"

    def accepts(self, value: object) -> bool:
        """Take exactly `bytes`."""
        return type(value) is bytes

    def dump(self, value: object) -> bytes:
        """Return them."""
        return cast("bytes", value)

    def load(self, data: Buffer) -> bytes:
        """Return them."""
        return bytes(data)


class TextSerializer(Serializer):
    """`str`, as UTF-8."""

    tag = "str"

    def accepts(self, value: object) -> bool:
        """Take exactly `str`."""
        return type(value) is str

    def dump(self, value: object) -> bytes:
        """Encode it; a lone surrogate, which UTF-8 cannot say, raises."""
        return cast("str", value).encode()

    def load(self, data: Buffer) -> str:
        """Decode it."""
        return str(data, "utf-8")


class JsonSerializer(Serializer):
    """None, truth values, numbers, and lists and dicts of JSON values, as far as JSON says them exactly.

    Not taken: subclasses, tuples, keys that are no text, nan and inf, large integers, and containers that stand in two
    places, which would come back as two.
    """

    tag = "json"

    def accepts(self, value: object) -> bool:
        """Look at every value in it, without recursion."""
        seen: set[int] = set()
        waiting: list[Any] = [value]
        for _ in range(_MOST_NODES):
            if not waiting:
                return True
            one = waiting.pop()
            kind = type(one)
            if kind is list or kind is dict:
                if id(one) in seen:
                    return False
                seen.add(id(one))
                if kind is dict:
                    if not all(type(key) is str for key in one):
                        return False
                    one = one.values()
                if len(waiting) + len(one) > _MOST_NODES:
                    return False
                waiting.extend(one)
            elif not _is_exact(one, kind):
                return False
        return False

    def dump(self, value: object) -> bytes:
        """Write it, keys in their order."""
        return orjson.dumps(value)

    def load(self, data: Buffer) -> object:
        """Read it."""
        return orjson.loads(cast("bytes", data))


def _is_exact(value: Any, kind: type) -> bool:
    if kind is str or kind is bool or value is None:
        return True
    if kind is int:
        return bool(-_LARGEST <= value < _LARGEST)
    return kind is float and isfinite(cast("float", value))
