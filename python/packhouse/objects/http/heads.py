"""Heads as nearly all of them are: written, and read, in one piece.

What is read here is a strict part of what h11 reads, and is read as it does: lines that end in CR LF, one
`content-length`, no `transfer-encoding`, no interim answer. All else is h11's to judge.
"""

from __future__ import annotations

import re
from typing import NamedTuple, TypeAlias

import h11

__all__ = ["Head", "Headers", "read_head", "write_head"]

Headers: TypeAlias = list[tuple[bytes, bytes]]
_TOKEN = rb"[-!#$%&'*+.^_`|~0-9A-Za-z]+"
_VALUE = rb"[\x21-\x7e\x80-\xff](?:[\t\x20-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?"
_REQUEST = re.compile(_TOKEN + rb" [\x21-\x7e]+ HTTP/1\.1")
_SENT = re.compile(_TOKEN + rb": (?:" + _VALUE + rb")?")
_STATUS = re.compile(rb"HTTP/1\.1 ([2-5][0-9][0-9])(?: [\t\x20-\x7e\x80-\xff]*)?")
_FIELD = re.compile(rb"(" + _TOKEN + rb"):[\t ]*(" + _VALUE + rb")?[\t ]*")
_LENGTH = re.compile(rb"[0-9]{1,18}")


class Head(NamedTuple):
    """The head of an answer."""

    status: int
    headers: Headers
    """Lower-case names."""
    end: int
    """Where what follows it begins."""


def write_head(method: str, target: bytes, headers: Headers) -> bytes:
    """Return a request's head.

    Raises:
        h11.LocalProtocolError: something in it would not arrive as it is meant.
    """
    first = b"%s %s HTTP/1.1" % (method.encode("ascii"), target)
    lines = [b"%s: %s" % field for field in headers]
    if not _REQUEST.fullmatch(first) or not all(map(_SENT.fullmatch, lines)):
        raise h11.LocalProtocolError("a method, an address or a header that HTTP does not allow")
    return b"\r\n".join((first, *lines, b"\r\n"))


def read_head(buffer: bytearray, count: int) -> Head | None:
    """Return the head that begins so many bytes; None where it is not all here, or none of the plain ones."""
    end = buffer.find(b"\r\n\r\n", 0, count)
    if end < 0:
        return None
    first, *lines = bytes(buffer[:end]).split(b"\r\n")
    status = _STATUS.fullmatch(first)
    if status is None:
        return None
    headers: Headers = []
    lengths = 0
    for line in lines:
        field = _FIELD.fullmatch(line)
        if field is None:
            return None
        name, value = field[1].lower(), field[2] or b""
        if name == b"content-length":
            lengths += 1
            if not _LENGTH.fullmatch(value):
                return None
        elif name in _UNUSUAL:
            return None
        headers.append((name, value))
    return Head(int(status[1]), headers, end + 4) if lengths == 1 else None


_UNUSUAL = (b"transfer-encoding", b"upgrade")
