"""Ways to damage a stored file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def flip(file: Path, bit: int) -> None:
    """Turn one bit of a file."""
    with file.open("r+b") as stream:
        stream.seek(bit // 8)
        byte = stream.read(1)[0]
        stream.seek(bit // 8)
        stream.write(bytes([byte ^ (1 << bit % 8)]))


def cut(file: Path, length: int) -> None:
    """Shorten a file."""
    with file.open("r+b") as stream:
        stream.truncate(length)


def _flip_in_the_middle(file: Path) -> None:
    flip(file, file.stat().st_size * 4 + 3)


DAMAGES: dict[str, Callable[[Path], None]] = {
    "empty": lambda file: cut(file, 0),
    "half": lambda file: cut(file, file.stat().st_size // 2),
    "a byte short": lambda file: cut(file, file.stat().st_size - 1),
    "missing": lambda file: file.unlink(),
    "flipped at the start": lambda file: flip(file, 8 * min(100, file.stat().st_size - 1)),
    "flipped in the middle": _flip_in_the_middle,
    "flipped at the end": lambda file: flip(file, 8 * (file.stat().st_size - 1)),
}
"""By name; those that begin with `flipped` keep the file's length, so somebody has to look before it can be noticed."""


@contextmanager
def restored(file: Path) -> Iterator[None]:
    """Put the file's bytes back afterwards."""
    before = file.read_bytes()
    try:
        yield
    finally:
        file.write_bytes(before)
