"""How much a run measures: tiny (does it work at all), quick (minutes), full (the figures to quote)."""

from __future__ import annotations

from dataclasses import dataclass

from benches.data import KINDS

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30


@dataclass(frozen=True)
class Shape:
    """So many blobs of such a size."""

    name: str
    count: int
    size: int

    @property
    def total(self) -> int:
        return self.count * self.size


@dataclass(frozen=True)
class Scale:
    """The sizes of every case in one run."""

    name: str
    rounds: int
    builds_rust: bool  # so that the engine can be measured from inside
    peer_seconds: float  # a peer that needed longer for one variant is not sent into another round
    timeout_seconds: float
    warm_bytes: int  # of the disk
    warm_memory: int  # at most; three quarters of what is unused
    settle_seconds: float  # how long to wait at most for the disk to come to rest
    batches: tuple[str, ...]  # kind/shape
    memory_batches: tuple[str, ...]
    gap_batches: tuple[str, ...]
    shapes: tuple[Shape, ...]
    single_saves: int
    single_seconds: float
    reopenings: int
    insert_bytes: int
    insert_positions: int
    range_reads: int
    versioned_bytes: int
    versions: int
    changes_per_version: int
    aged_commits: int
    lookup_chunks: int
    bucket_chunks: int
    hedged_reads: int
    names: int
    name_prefixes: int
    flat_names: int

    def shape(self, name: str) -> Shape:
        """Find a shape by its name."""
        return next(shape for shape in self.shapes if shape.name == name)


_EVERYTHING = tuple(f"{kind}/{shape}" for shape in ("10KiB", "4MiB", "256MiB") for kind in KINDS)

FULL = Scale(
    name="full",
    rounds=3,
    builds_rust=True,
    peer_seconds=45.0,
    timeout_seconds=900.0,
    warm_bytes=4 * GIB,
    warm_memory=1 << 50,
    settle_seconds=5.0,
    batches=_EVERYTHING,
    memory_batches=("random/10KiB", "json/10KiB", "random/4MiB", "json/4MiB", "random/256MiB", "json/256MiB"),
    gap_batches=("random/10KiB", "random/4MiB", "random/256MiB"),
    shapes=(Shape("10KiB", 10_000, 10 * KIB), Shape("4MiB", 256, 4 * MIB), Shape("256MiB", 4, 256 * MIB)),
    single_saves=1_000,
    single_seconds=30.0,
    reopenings=11,
    insert_bytes=256 * MIB,
    insert_positions=8,
    range_reads=400,
    versioned_bytes=GIB,
    versions=50,
    changes_per_version=20,
    aged_commits=100_000,
    lookup_chunks=10_000_000,
    bucket_chunks=100_000_000,
    hedged_reads=4_000,
    names=10_000,
    name_prefixes=100,
    flat_names=1_000_000,
)

QUICK = Scale(
    name="quick",
    rounds=1,
    builds_rust=True,
    peer_seconds=5.0,
    timeout_seconds=60.0,
    warm_bytes=GIB,
    warm_memory=4 * GIB,
    settle_seconds=0.5,
    batches=("random/10KiB", "random/4MiB", "json/4MiB", "ramp/4MiB", "random/256MiB"),
    memory_batches=("random/256MiB",),
    gap_batches=("random/4MiB",),
    shapes=(Shape("10KiB", 1_000, 10 * KIB), Shape("4MiB", 16, 4 * MIB), Shape("256MiB", 1, 64 * MIB)),
    single_saves=100,
    single_seconds=1.0,
    reopenings=2,
    insert_bytes=64 * MIB,
    insert_positions=2,
    range_reads=25,
    versioned_bytes=64 * MIB,
    versions=10,
    changes_per_version=20,
    aged_commits=2_000,
    lookup_chunks=1_000_000,
    bucket_chunks=1_000_000,
    hedged_reads=1_000,
    names=10_000,
    name_prefixes=2,
    flat_names=100_000,
)

TINY = Scale(
    name="tiny",
    rounds=1,
    builds_rust=False,
    peer_seconds=5.0,
    timeout_seconds=60.0,
    warm_bytes=MIB,
    warm_memory=MIB,
    settle_seconds=0.0,
    batches=_EVERYTHING,
    memory_batches=("random/10KiB", "random/256MiB"),
    gap_batches=("random/4MiB",),
    shapes=(Shape("10KiB", 20, 10 * KIB), Shape("4MiB", 2, MIB), Shape("256MiB", 1, 4 * MIB)),
    single_saves=5,
    single_seconds=2.0,
    reopenings=2,
    insert_bytes=4 * MIB,
    insert_positions=2,
    range_reads=5,
    versioned_bytes=4 * MIB,
    versions=3,
    changes_per_version=5,
    aged_commits=16,
    lookup_chunks=10_000,
    bucket_chunks=10_000,
    hedged_reads=50,
    names=200,
    name_prefixes=2,
    flat_names=1_000,
)

SCALES = {scale.name: scale for scale in (FULL, QUICK, TINY)}
