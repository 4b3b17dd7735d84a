"""What a user means by KEY|NAME."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from packhouse.cli.run import usage

if TYPE_CHECKING:
    from packhouse import BlobStore

__all__ = ["Found", "document_for", "find", "kind_of"]

_KEY = re.compile("[0-9a-f]{64}")

Kind = Literal["blob", "tree"]


@dataclass(frozen=True, slots=True)
class Found:
    """A key, and what the name it was found under says about it (nothing, where a key was given)."""

    key: str
    kind: Kind
    name: str | None = None


def document_for(kind: Kind, key: str, size: int) -> dict[str, Any]:
    """Make the document that `put --name` keeps; `find` and `ls` read it."""
    return {"kind": kind, "key": key, "size": size}


def kind_of(document: object) -> Kind | None:
    """Tell whether a name's document is one that `put --name` would have written."""
    match document:
        case {"kind": "blob", "key": str(), "size": int()}:
            return "blob"
        case {"kind": "tree", "key": str(), "size": int()}:
            return "tree"
    return None


async def find(store: BlobStore, target: str) -> Found:
    """Find what is meant: 64 hex digits are a key, everything else is a name.

    Raises:
        NameNotFound: no such name.
        InvalidInput: the name's document was not written by `packhouse put`.
    """
    if _KEY.fullmatch(target):
        return Found(target, "blob")
    named = await store.names.get(target)
    kind = kind_of(named.doc)
    if kind is None:
        raise usage(f"the name {target!r} holds a document of another program, which names no blob")
    return Found(named.doc["key"], kind, target)
