"""Taking a URL apart: what is none is refused in words of ours, without its text, which may hold a secret."""

from __future__ import annotations

from urllib.parse import SplitResult, urlsplit

from packhouse.errors import InvalidInput

__all__ = ["split_url"]


def split_url(url: str) -> SplitResult:
    """Return a URL's parts.

    Raises:
        InvalidInput: it is none.
    """
    try:
        return urlsplit(url)
    except ValueError:  # its text repeats the URL
        raise InvalidInput("the URL cannot be read: see to its brackets and its host", kind="url") from None
