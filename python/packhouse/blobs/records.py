"""What goes in and comes out: keys, saved blobs, loaded blobs."""

from __future__ import annotations

import re
from typing import NamedTuple, TypeAlias

from packhouse.errors import InvalidInput

__all__ = ["KeyLike", "KeyWithLocator", "LoadedBlob", "SavedBlob", "check_batch_id", "check_key", "key_and_locator"]

_KEY = re.compile("[0-9a-f]{64}")
_BATCH_ID = re.compile("[0-9a-f]{32}")


class SavedBlob(NamedTuple):
    """One blob that is stored durably."""

    key: str
    """BLAKE3-256 of the content, 64 lower-case hex digits: what `b3sum` prints."""
    size: int
    """Bytes of the content."""
    stored_size: int
    """Bytes that saving it added to packs; 0 when all of it was stored before."""
    existed: bool
    """Whether all of it was stored before."""
    locator: str | None
    """Where it stands: a hint that spares a load the index; None where the blob is too scattered for one."""


class KeyWithLocator(NamedTuple):
    """A key and the locator that was kept beside it."""

    key: str
    locator: str | None


class LoadedBlob(NamedTuple):
    """One blob with its content, verified; unpacks as a pair."""

    key: str
    data: bytes


KeyLike: TypeAlias = str | SavedBlob | KeyWithLocator
"""What loads take: a key, alone or with its locator."""


def check_key(key: object) -> str:
    """Return the key.

    Raises:
        InvalidInput: it is not a `str` of 64 lower-case hex digits.
    """
    if isinstance(key, str) and _KEY.fullmatch(key):
        return key
    message = f"a key is a str of 64 lower-case hex digits, not {_shown(key)}"
    raise InvalidInput(message, kind="not-a-key")


def key_and_locator(key: KeyLike) -> tuple[str, str | None]:
    """Take a key apart from its locator.

    Raises:
        InvalidInput: it is none of the forms of `KeyLike`.
    """
    if isinstance(key, (SavedBlob, KeyWithLocator)):
        return check_key(key.key), key.locator
    return check_key(key), None


def check_batch_id(batch_id: object) -> str:
    """Return the batch's id.

    Raises:
        InvalidInput: it is not a `str` of 32 lower-case hex digits.
    """
    if isinstance(batch_id, str) and _BATCH_ID.fullmatch(batch_id):
        return batch_id
    message = f"a batch id is a str of 32 lower-case hex digits, not {_shown(batch_id)}"
    raise InvalidInput(message, kind="batch-id")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
