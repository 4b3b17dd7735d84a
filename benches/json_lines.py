"""JSON-like text, made fast: a template line repeated, its fields filled in for all lines at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.random import Generator

_LINES = 40_000
_STEPS = ("load", "clean", "split", "train", "evaluate", "export", "report", "notify")
_METRICS = ("accuracy", "loss", "recall", "precision", "latency", "memory")

Bytes = np.ndarray[Any, np.dtype[np.uint8]]


def _table(words: tuple[str, ...]) -> Bytes:
    """Quote the words and fill them up to one width, so that one index writes one of them."""
    width = max(map(len, words)) + 3
    text = "".join(f'"{word}",'.ljust(width) for word in words)
    return np.frombuffer(text.encode(), np.uint8).reshape(len(words), width)


_STEP_TABLE = _table(_STEPS)
_METRIC_TABLE = _table(_METRICS)
_THREE_DIGITS = np.frombuffer(b"".join(b"%03d" % n for n in range(1000)), np.uint8).reshape(1000, 3)
_THREE_HEX = np.frombuffer(b"".join(b"%03x" % n for n in range(4096)), np.uint8).reshape(4096, 3)

_TEMPLATE = (
    b'{"id": 20000000, "step": %s "metric": %s "value": 0.000000, "previous": 0.111111, '
    b'"trace": "------------------------", "host": "worker-000", "tags": ["nightly", "gpu"], "ok": true}\n'
) % (b"S" * _STEP_TABLE.shape[1], b"M" * _METRIC_TABLE.shape[1])


def json_lines(generator: Generator, number: int) -> bytes:
    """Make block `number` of the endless text."""
    lines = np.tile(np.frombuffer(_TEMPLATE, np.uint8), (_LINES, 1))
    picks = generator.integers(0, 12_288, (14, _LINES), dtype=np.uint16)
    ids = np.arange(number * _LINES, (number + 1) * _LINES)

    def fill(marker: bytes, skip: int, table: Bytes, rows: Any) -> None:
        at = _TEMPLATE.index(marker) + skip
        lines[:, at : at + table.shape[1]] = table[rows]

    fill(b"20000000", 2, _THREE_DIGITS, ids // 1000 % 1000)
    fill(b"20000000", 5, _THREE_DIGITS, ids % 1000)
    fill(b"SSSS", 0, _STEP_TABLE, picks[0] % len(_STEPS))
    fill(b"MMMM", 0, _METRIC_TABLE, picks[1] % len(_METRICS))
    fill(b"0.000000", 2, _THREE_DIGITS, picks[2] % 1000)
    fill(b"0.000000", 5, _THREE_DIGITS, picks[3] % 1000)
    fill(b"0.111111", 2, _THREE_DIGITS, picks[4] % 1000)
    fill(b"0.111111", 5, _THREE_DIGITS, picks[2] % 1000)
    for part in range(8):
        fill(b"--------", part * 3, _THREE_HEX, picks[6 + part] % 4096)
    fill(b"worker-000", 7, _THREE_DIGITS, picks[5] % 32)
    return lines.tobytes()
