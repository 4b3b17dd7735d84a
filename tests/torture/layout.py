"""Just enough of the format, read without the engine, to tell which packs the index lists (`docs/format.md`)."""

from __future__ import annotations

from pathlib import Path

BLOCK, CRC = 4096, 4
ENTRY, BLOB, PACK_ROW = 64, 96, 32


def _rows(count: int, size: int) -> int:
    """Bytes of a section of `count` rows."""
    per_block = (BLOCK - CRC) // size
    full, rest = divmod(count, per_block)
    if count and not rest:
        full, rest = full - 1, per_block
    return full * BLOCK + (rest * size + CRC if count else 0)


def _filter(keys: int) -> int:
    if not keys:
        return 0
    lines = max(1, -(-keys * 12 // 512))
    blocks = -(-lines // 63)
    return lines * 64 + CRC if blocks == 1 else blocks * BLOCK


def _fanout(count: int) -> int:
    """Blocks of up to 1022 buckets, each with one value more than buckets."""
    buckets = -(-count // 32)
    if not buckets:
        return 0
    full, rest = divmod(buckets, 1022)
    if not rest:
        full, rest = full - 1, 1022
    return full * BLOCK + (rest + 1) * 4 + CRC


def listed_packs(segment: Path) -> set[str]:
    """The ids in a segment's pack table, its own when it holds an embedded pack."""
    name, *counts = segment.name.split("-")
    entries, blobs, packs, _pins, _records, pack_len = (int(count, 16) for count in counts)
    start = pack_len + _filter(entries + blobs) + _fanout(entries) + _rows(entries, ENTRY)
    start += _fanout(blobs) + _rows(blobs, BLOB)
    found = set()
    with segment.open("rb") as file:
        for number in range(packs):
            block, row = divmod(number, (BLOCK - CRC) // PACK_ROW)
            file.seek(start + block * BLOCK + row * PACK_ROW)
            found.add(file.read(16).hex())
    if pack_len and name not in found:
        raise ValueError(f"{segment.name}: its pack table does not list its own pack: wrong place")
    return found
