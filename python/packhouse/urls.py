"""Taking a URL apart: what is none is refused in words of ours, without its text, which may hold a secret."""

from __future__ import annotations

import os
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit

from packhouse.errors import InvalidInput

__all__ = ["file_path", "split_url"]


def split_url(url: str) -> SplitResult:
    """Return a URL's parts.

    Raises:
        InvalidInput: it is none.
    """
    try:
        return urlsplit(url)
    except ValueError:  # its text repeats the URL
        raise InvalidInput("the URL cannot be read: see to its brackets and its host", kind="url") from None


def file_path(parts: SplitResult) -> str:
    """Return the path that a file:// URL means: its bytes are those of the name, which need not be UTF-8.

    Raises:
        InvalidInput: no file can have it.
    """
    try:
        return os.fsdecode(unquote_to_bytes(os.fsencode(parts.path)))
    except UnicodeEncodeError:
        raise InvalidInput("the URL's path has halves of characters, which no file's name has", kind="url") from None
