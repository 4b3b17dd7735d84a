"""A reader of the format, written from `docs/format.md` alone: standard library, blake3 and zstandard.

It is slow and reads whole files. It checks what it uses and raises `ValueError` where the bytes are not what the page
says.
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, NamedTuple

import zstandard
from blake3 import blake3

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NODE_CONTEXT = "packhouse 2026-11 recipe node v1"
CHUNK, NODE = 1, 2


def _table() -> list[int]:
    row = list(range(256))
    for _ in range(8):
        row = [n >> 1 ^ (0x82F63B78 if n & 1 else 0) for n in row]
    return row


_CRC = _table()


def crc32c(data: bytes) -> int:
    """CRC-32C of `data`."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def need(truth: object, what: str) -> None:
    """Raise `ValueError` unless `truth`."""
    if not truth:
        raise ValueError(what)


def sealed(data: bytes, magic: bytes) -> bytes:
    """A structure without its crc, once magic and crc are right."""
    need(data[:4] == magic, f"no {magic!r} here")
    need(crc32c(data[:-4]) == int.from_bytes(data[-4:], "little"), f"wrong crc of {magic!r}")
    return data[:-4]


def digest_of(kind: int, raw: bytes) -> bytes:
    """The digest of a chunk or a node."""
    return blake3(raw, derive_key_context=NODE_CONTEXT).digest() if kind == NODE else blake3(raw).digest()


class Entry(NamedTuple):
    """Where one frame lies."""

    digest: bytes
    pack: bytes
    offset: int
    stored: int
    raw: int
    kind: int
    root: bool
    batch: int | None

    @classmethod
    def read(cls, row: bytes) -> Entry:
        """Read the 64 bytes."""
        offset, stored, raw = (int.from_bytes(row[a:b], "little") for a, b in ((48, 54), (54, 57), (57, 60)))
        need(row[60] < 8, "unknown entry flags")
        batch = int.from_bytes(row[61:64], "little")
        own = None if batch == 0xFFFFFF else batch
        return cls(row[:32], row[32:48], offset, stored, raw, row[60] & 3, bool(row[60] & 4), own)


class Blob(NamedTuple):
    """A large blob's recipe."""

    key: bytes
    root: bytes
    size: int
    chunks: int
    batch: int
    height: int

    @classmethod
    def read(cls, row: bytes) -> Blob:
        """Read the 96 bytes."""
        need(row[85] == 1 and not any(row[86:]), "unknown blob flags")
        return cls(row[:32], row[32:64], *struct.unpack_from("<QQIB", row, 64))


class Record(NamedTuple):
    """That a batch was committed."""

    batch: bytes
    time_ms: int
    pinned: bool
    leaned: list[bytes]


def read_records(data: bytes) -> list[Record]:
    """Records one behind the other."""
    records, at = [], 0
    while at < len(data):
        batch, time_ms, flags, count = struct.unpack_from("<16sqB3xI", data, at)
        keys = rows(data[at + 32 : at + 32 + 32 * count], 32)
        need(len(keys) == count and keys == sorted(set(keys)), "a record's keys are cut short or out of order")
        records.append(Record(batch, time_ms, bool(flags & 1), keys))
        at += 32 + 32 * count
    return records


def rows(data: bytes, size: int) -> list[bytes]:
    """Cut into rows of `size` bytes."""
    return [data[at : at + size] for at in range(0, len(data), size)]


def unzstd(data: bytes) -> Iterator[bytes]:
    """The contents of zstd frames that stand back to back."""
    while data:
        one = zstandard.ZstdDecompressor().decompressobj()
        yield one.decompress(data)
        need(one.eof, "a zstd frame is cut short")
        data = one.unused_data


def read_frame(pack: bytes, entry: Entry) -> bytes:
    """The chunk or node that an entry points at, verified."""
    head = sealed(pack[entry.offset : entry.offset + 64], b"PHfr")
    kind, codec, group, cipher, stored, raw, digest, key, lexicon, total = struct.unpack_from("<4xBBBBII32sIII", head)
    need((cipher, key, lexicon) == (0, 0, 0), "needs a newer reader")
    need((kind, stored, raw, digest) == (entry.kind, entry.stored, entry.raw, entry.digest), "entry and frame differ")
    data = pack[entry.offset + 64 : entry.offset + 64 + stored]
    need(total == (crc32c(data) if codec == 1 else 0), "wrong crc of a payload")
    if codec == 1:
        data = b"".join(unzstd(data))
    if group:
        words = raw // group  # whole words of the chunk
        chunk = bytearray(data)
        for lane in range(group):
            chunk[lane : words * group : group] = data[lane * words : (lane + 1) * words]
        data = bytes(chunk)
    need(len(data) == raw and digest_of(kind, data) == digest, "the payload does not verify")
    return data


class Pack(NamedTuple):
    """What a pack's footer says."""

    pack: bytes
    entries: list[Entry]
    blobs: list[Blob]
    records: list[Record]
    packs: dict[bytes, int]


def read_pack(data: bytes) -> Pack:
    """Read and check a pack's header, trailer and footer."""
    pack = sealed(data[:32], b"PHpk")[8:24]
    tail = sealed(data[-64:], b"PHpe")
    need(data[4:6] == tail[4:6] == b"\1\0" and tail[8:24] == pack, "header and trailer differ, or are newer")
    size, frames, blobs, records, packs, total = struct.unpack_from("<QIIII12s", tail, 24)
    body = data[len(data) - 64 - size : len(data) - 64]
    need(size == frames * 64 + blobs * 96 + records + packs * 32 and blake3(body).digest()[:12] == total, "bad footer")
    entries = [Entry.read(row) for row in rows(body[: frames * 64], 64)]
    at = 32
    for entry in entries:
        need((entry.pack, entry.offset) == (pack, at), "frames are not back to back")
        at += 64 + entry.stored
    need(at == len(data) - 64 - size, "frames do not end where the footer begins")
    body = body[frames * 64 :]
    table = {row[:16]: int.from_bytes(row[16:24], "little") for row in rows(body[blobs * 96 + records :], 32)}
    need(not table or table[pack] == len(data), "the pack does not list itself")
    parts = [Blob.read(row) for row in rows(body[: blobs * 96], 96)]
    return Pack(pack, entries, parts, read_records(body[blobs * 96 : blobs * 96 + records]), table)


class Segment:
    """A segment file; sections are found by its name alone."""

    def __init__(self, name: str, data: bytes) -> None:
        counts = name.split("-")
        self.id, self.data = bytes.fromhex(counts[0]), data
        self.counts = [int(part, 16) for part in counts[1:]]
        entries, blobs, packs, pins, records, self.pack_len = self.counts
        self.at, self.sums = self.pack_len, b""
        lines = -(-(entries + blobs) * 12 // 512)
        self.filter = self._section(lines if lines <= 63 else -(-lines // 63) * 63, 64, 63, full=True)
        self.chunk_ranks = self._section(-(-entries // 32), 4, 1022, extra=4)
        self.chunks = self._section(entries, 64, 63)
        self.blob_ranks = self._section(-(-blobs // 32), 4, 1022, extra=4)
        self.blobs = self._section(blobs, 96, 42)
        self.packs = self._section(packs, 32, 127)
        self.pins = self._section(pins, 48, 85)
        self.records = read_records(b"".join(self._section(records, 1, 4092)))
        tail = sealed(data[self.at :], b"PHsg")
        need(len(tail) == 124 and tail[8:24] == self.id, "not this segment's trailer")
        need(list(struct.unpack_from("<6Q", tail, 24)) == self.counts, "name and trailer differ")
        need(tail[80:96] == blake3(self.sums).digest()[:16], "blocks that do not belong together")

    def _section(self, count: int, size: int, per: int, *, extra: int = 0, full: bool = False) -> list[bytes]:
        bodies = []
        for first in range(0, count, per):
            used = min(per, count - first) * size + extra
            block = 4096 if first + per < count or (full and count > per) else used + 4
            data = self.data[self.at : self.at + block]
            need(crc32c(data[:-4]) == int.from_bytes(data[-4:], "little"), f"wrong crc of the block at {self.at}")
            bodies.append(data[:used])
            self.sums += data[-4:]
            self.at += block
        return bodies

    def may_hold(self, key: bytes) -> bool:
        """Ask the filter."""
        if not self.filter:
            return False
        block = self.filter[int.from_bytes(key[:8], "big") * len(self.filter) >> 64]
        start = (int.from_bytes(key[8:16], "little") * (len(block) // 64) >> 64) * 64
        line = int.from_bytes(block[start : start + 64], "little")
        bits = int.from_bytes(key[16:24], "little")
        return all(line >> (bits >> 9 * n & 511) & 1 for n in range(7))

    def find(self, key: bytes, ranks: list[bytes], slices: list[bytes], size: int) -> list[bytes]:
        """The rows of `key`: one fan-out block, then the slices of those ranks."""
        count = sum(len(block) // size for block in slices)
        if not count or not self.may_hold(key):
            return []
        bucket = int.from_bytes(key[:8], "big") * -(-count // 32) >> 64
        start, end = struct.unpack_from("<II", ranks[bucket // 1022], bucket % 1022 * 4)
        every = b"".join(slices)
        return [row for row in rows(every[start * size : end * size], size) if row[:32] == key]


class Store:
    """A store's folder."""

    def __init__(self, root: Path) -> None:
        self.root = root
        head, document = (root / "store.json").read_bytes().split(b"\n", 1)
        need(head == b"packhouse-store 1 " + blake3(document).hexdigest().encode(), "damaged settings")
        self.settings = json.loads(document)
        need(not self.settings["reader_features"], f"needs {self.settings['reader_features']}")
        self.segments: list[Segment] = []
        for level in range(8):
            for path in sorted((root / "index" / str(level)).iterdir()):
                self.segments.append(Segment(path.name, path.read_bytes()))

    def pack(self, pack: bytes) -> bytes:
        """A pack's bytes, wherever it stands."""
        path = self.root / "packs" / pack.hex()
        if path.exists():
            return path.read_bytes()
        return next(one.data[: one.pack_len] for one in self.segments if one.id == pack and one.pack_len)

    def part(self, kind: int, digest: bytes) -> bytes:
        """A chunk or node by its digest; `KeyError` when no segment has it."""
        for segment in self.segments:
            for row in segment.find(digest, segment.chunk_ranks, segment.chunks, 64):
                entry = Entry.read(row)
                if entry.kind == kind:
                    return read_frame(self.pack(entry.pack), entry)
        raise KeyError(digest.hex())

    def load(self, key: str) -> bytes:
        """A blob, verified."""
        digest = bytes.fromhex(key)
        large = [row for one in self.segments for row in one.find(digest, one.blob_ranks, one.blobs, 96)]
        if not large:
            return self.part(CHUNK, digest)
        blob = Blob.read(large[0])
        data = b"".join(self.chunks(blob.root, blob.height))
        need(len(data) == blob.size and blake3(data).digest() == digest, "the blob does not verify")
        return data

    def chunks(self, root: bytes, height: int) -> list[bytes]:
        """The chunks under a node, in order."""
        node = self.part(NODE, root)
        need(node[:6] == b"PHrn" + bytes([1, height]), "not a node of this height")
        parts: list[bytes] = []
        for row in rows(node[16:], 40):
            below = [self.part(CHUNK, row[:32])] if height == 0 else self.chunks(row[:32], height - 1)
            need(sum(map(len, below)) == int.from_bytes(row[32:], "little"), "wrong length")
            parts += below
        return parts
