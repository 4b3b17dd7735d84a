"""Where blocks of a bucket's index are kept on this machine, and how many."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import NamedTuple, TypeAlias

from packhouse.errors import InvalidInput

__all__ = ["CACHE_AUTO", "CACHE_BYTES", "CacheChoice", "CacheDir", "choose_cache", "find_cache"]

CacheDir: TypeAlias = str | os.PathLike[str] | None
CACHE_AUTO = "auto"
"""What `PACKHOUSE_CACHE_DIR` says (empty: no cache), or `packhouse` where this user's caches are."""
CACHE_BYTES = 1 << 30
_LEAST = 1 << 20
_VARIABLE = "PACKHOUSE_CACHE_DIR"


class CacheChoice(NamedTuple):
    """What `packhouse.open` was told."""

    folder: str | None
    """A folder, `"auto"`, or None for no cache."""
    size: int
    """Bytes."""


def choose_cache(cache_dir: CacheDir, cache_bytes: int) -> CacheChoice:
    """Return what was chosen.

    Raises:
        InvalidInput: it cannot be a folder, or the bound is below 1 MiB (`option`).
    """
    place: object = cache_dir if cache_dir is None else os.fspath(cache_dir)
    if place is not None and not (isinstance(place, str) and place):
        raise InvalidInput(f"cache_dir is a folder or None, not {cache_dir!r}", kind="option")
    if cache_bytes < _LEAST:
        raise InvalidInput(f"cache_bytes is at least 1 MiB, not {cache_bytes} bytes", kind="option")
    return CacheChoice(place, cache_bytes)


def find_cache(choice: CacheChoice) -> tuple[str, int] | None:
    """Return the folder that is meant, and its bound; None when nothing is to be kept, or there is no place for it."""
    place = _find(choice.folder)
    return None if place is None else (place, choice.size)


def _find(cache_dir: str | None) -> str | None:
    if cache_dir != CACHE_AUTO:
        return None if cache_dir is None else str(Path(cache_dir).absolute())
    chosen = os.environ.get(_VARIABLE)
    if chosen is not None:
        return str(Path(chosen).absolute()) if chosen else None
    caches = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not caches.is_absolute():
        try:
            caches = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
        except RuntimeError:  # a user without a home
            return None
    return str(caches / "packhouse") if caches.is_absolute() else None
