"""What is kept under a name, and how it becomes bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from packhouse.blobs.records import check_key
from packhouse.errors import InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Document", "NamedDocument", "check_name", "decode", "encode", "encode_refs"]

_OPTIONS = orjson.OPT_SORT_KEYS


class NamedDocument(NamedTuple):
    """A document as it was read."""

    doc: Any
    """What was put: anything that is JSON."""
    version: str
    """Which write it is: opaque, never used again."""
    refs: tuple[str, ...]
    """The keys of the blobs it keeps alive."""


class Document(NamedTuple):
    """A document to write, for the batch forms."""

    name: str
    """Any text of at most 700 bytes in UTF-8."""
    doc: Any
    """Anything that is JSON."""
    refs: tuple[str, ...] = ()
    """The keys of the blobs it keeps alive."""
    version: str | None = None
    """For `replace_many`: the version it replaces."""


def check_name(name: object) -> str:
    """Return the name; its length is checked by the engine.

    Raises:
        InvalidInput: it is no `str`, or one that UTF-8 cannot say.
    """
    if not isinstance(name, str):
        raise InvalidInput(f"a name is a str, not {type(name).__qualname__}", kind="name")
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidInput(f"a name is text in UTF-8, which {name!r} cannot be", kind="name") from error
    return name


def encode(name: str, doc: object) -> bytes:
    """Write a document as JSON.

    Raises:
        InvalidInput: it is not JSON.
    """
    try:
        return orjson.dumps(doc, option=_OPTIONS)
    except orjson.JSONEncodeError as error:
        raise InvalidInput(f"the document of {name!r} is not JSON: {error}", kind="document") from error


def decode(doc: bytes) -> Any:
    """Read a document that the engine has verified."""
    return orjson.loads(doc)


def encode_refs(refs: Iterable[str]) -> list[str]:
    """Return the keys as a list.

    Raises:
        InvalidInput: one of them is no key.
    """
    if isinstance(refs, str):
        raise InvalidInput("refs is an iterable of keys, not one str", kind="not-a-key")
    return [check_key(ref) for ref in refs]
