"""The goals, as ratios within one run, and whether they were met."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benches import data
from benches.peers import BUCKET, DROP_IN, MACHINE, OURS, PACKED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from benches.results import Results

_BUDGET_MIB = 64
"""The default byte budget of a store."""
_LOAD_TO_LIMIT = 0.7
"""Of the slower of reading from the page cache and hashing on two threads."""
_IMPORT_MS = 80
"""Of `import packhouse`, beyond bare Python."""
_OPEN_MS, _LOOKUP_MIB = 10, 64
"""Of 10 million chunks, whose index is 700 MB: "opened in milliseconds, in bounded memory"."""
_LARGE, _LARGE_OVER_TLS = 0.9, 0.5
"""Of obstore's speed with large blobs in a bucket: its client is native."""


@dataclass(frozen=True)
class Verdict:
    """One goal on one variant."""

    goal: str
    variant: str
    value: float | None
    bound: float
    at_least: bool

    @property
    def met(self) -> bool | None:
        """Whether the goal was met; None where it was not measured."""
        if self.value is None:
            return None
        return self.value >= self.bound if self.at_least else self.value <= self.bound


def verdicts(results: Results) -> list[Verdict]:
    """Judge every goal whose case ran."""
    return [verdict for judge in _JUDGES for verdict in judge(results)]


def _kind(variant: str) -> str:
    return variant.partition("/")[0]


def _to_limit(results: Results, variant: str, metric: str, limit: str) -> float | None:
    return results.ratio("batch", variant, (OURS, metric), (MACHINE, limit))


def _to_peer(results: Results, variant: str, peer: str | None, metric: str) -> float | None:
    return None if peer is None else results.ratio("batch", variant, (OURS, metric), (peer, metric))


def _first_save(results: Results) -> Iterator[Verdict]:
    for variant in results.variants("batch"):
        limit = _to_limit(results, variant, "save_mbs", "save_limit_mbs")
        metaflow = _to_peer(results, variant, "metaflow", "save_mbs")
        if _kind(variant) == "random":
            best = results.best_peer("batch", variant, "save_mbs")
            yield Verdict("first save ÷ limit", variant, limit, 0.7, at_least=True)
            yield Verdict("first save ÷ Metaflow", variant, metaflow, 20, at_least=True)
            ahead = _to_peer(results, variant, best, "save_mbs")
            yield Verdict(f"first save ÷ best peer ({best or 'none'})", variant, ahead, 1, at_least=True)
        else:
            yield Verdict("first save ÷ stages on two threads", variant, limit, 0.85, at_least=True)
            yield Verdict("first save ÷ Metaflow", variant, metaflow, 6, at_least=True)
            size = results.ratio("batch", variant, (OURS, "stored_bytes"), ("metaflow", "stored_bytes"))
            yield Verdict("bytes on disk ÷ Metaflow's gzip", variant, size, 1, at_least=False)
        if _kind(variant) == "ramp":
            ratio = results.median("batch", variant, OURS, "stored_ratio")
            yield Verdict("float32 ramp, raw : stored", variant, ratio, 20, at_least=True)


def _save_again(results: Results) -> Iterator[Verdict]:
    for variant in results.variants("batch"):
        bound = 0.5 if variant.endswith("/10KiB") else 0.7
        value = _to_limit(results, variant, "again_mbs", "hash2_mbs")
        yield Verdict("save again ÷ BLAKE3 on two threads", variant, value, bound, at_least=True)


def _load(results: Results) -> Iterator[Verdict]:
    """Judge loads; to the limit only of data stored as it is, for what was compressed is also decompressed."""
    for variant in results.variants("batch"):
        if _kind(variant) not in data.COMPRESSIBLE:
            value = _to_limit(results, variant, "load_mbs", "load_limit_mbs")
            yield Verdict("verified load ÷ limit", variant, value, _LOAD_TO_LIMIT, at_least=True)
        if variant.endswith("/10KiB"):
            best = results.best_peer("batch", variant, "load_mbs")
            ahead = _to_peer(results, variant, best, "load_mbs")
            yield Verdict(f"verified load ÷ best peer ({best or 'none'})", variant, ahead, 2, at_least=True)


def _import(results: Results) -> Iterator[Verdict]:
    for variant in results.variants("reopen"):
        value = results.median("reopen", variant, OURS, "import_ms")
        yield Verdict("import packhouse, beyond bare Python (ms)", variant, value, _IMPORT_MS, at_least=False)


def _second_version(results: Results) -> Iterator[Verdict]:
    for variant in results.variants("insert"):
        value = results.median("insert", variant, OURS, "added_kb")
        yield Verdict("1 KiB inserted: kB added, mean", variant, value, 120, at_least=False)


def _aged(results: Results) -> Iterator[Verdict]:
    for variant in results.variants("aged"):
        for what in ("open", "save", "load", "single"):
            value = results.median("aged", variant, OURS, f"{what}_ratio")
            yield Verdict(f"aged ÷ fresh store: {what}", variant, value, 2, at_least=False)


def _memory(results: Results) -> Iterator[Verdict]:
    for variant in results.variants("memory"):
        for what in ("save", "load"):
            value = results.median("memory", variant, OURS, f"{what}_mib")
            yield Verdict(f"memory beyond the caller's, {what} (MiB)", variant, value, _BUDGET_MIB + 32, at_least=False)


def _loop_gap(results: Results) -> Iterator[Verdict]:
    for variant in results.variants("loop-gap"):
        for what in ("save", "load"):
            for quantile, bound in (("p99", 5), ("max", 20)):
                value = results.median("loop-gap", variant, OURS, f"{what}_{quantile}_ms")
                yield Verdict(f"event-loop gap, {what} {quantile} (ms)", variant, value, bound, at_least=False)


def _lookups(results: Results) -> Iterator[Verdict]:
    for variant in results.variants("lookups"):
        value = results.median("lookups", variant, OURS, "lookups_per_second")
        yield Verdict("look-ups a second", variant, value, 1e6, at_least=True)
        opened, memory = (results.median("lookups", variant, OURS, what) for what in ("open_seconds", "resident_kib"))
        milliseconds, mebibytes = (None if opened is None else opened * 1e3, None if memory is None else memory / 1024)
        yield Verdict("open that index (ms)", variant, milliseconds, _OPEN_MS, at_least=False)
        yield Verdict("memory of the look-ups (MiB)", variant, mebibytes, _LOOKUP_MIB, at_least=False)


def _names(results: Results) -> Iterator[Verdict]:
    for variant in results.variants("names"):
        puts = results.median("names", variant, OURS, "puts_per_second")
        page = results.median("names", variant, OURS, "page_max_ms")
        yield Verdict("names put a second, one batch", variant, puts, 15_000, at_least=True)
        yield Verdict("page of 1,000 names (ms, largest)", variant, page, 20, at_least=False)
    for variant in results.variants("names-flat"):
        scan = results.median("names-flat", variant, OURS, "scan_seconds")
        yield Verdict("one scan of a flat prefix of a million names (s)", variant, scan, 1, at_least=False)


def _tasks(results: Results) -> Iterator[Verdict]:
    """Judge ours, durable and verified, against Metaflow as it returns, which is neither."""
    case = "task-artifacts"
    for variant in results.variants(case):
        kind, _, shape = variant.partition("/")
        save = results.ratio(case, variant, (OURS, "save_mbs"), ("metaflow", "save_mbs"))
        load = results.ratio(case, variant, (OURS, "load_mbs"), ("metaflow", "load_mbs"))
        yield Verdict(
            "task artifacts, first save ÷ Metaflow", variant, save, 20 if kind == "random" else 6, at_least=True
        )
        if shape == "10KiB":
            yield Verdict("task artifacts, load ÷ Metaflow", variant, load, 4, at_least=True)
        elif kind not in data.COMPRESSIBLE:
            value = results.ratio(case, variant, (OURS, "load_mbs"), (MACHINE, "load_limit_mbs"))
            yield Verdict("task artifacts, load ÷ limit", variant, value, _LOAD_TO_LIMIT, at_least=True)
        if shape == "256MiB":
            added = results.median(case, variant, OURS, "version_percent")
            yield Verdict("second version, 1 % changed: % added", variant, added, 2, at_least=False)
    for variant in results.variants("task-listing"):
        listed = results.ratio("task-listing", variant, ("metaflow", "list_ms"), (OURS, "list_ms"))
        yield Verdict("listing 10,000 tasks: times faster than Metaflow", variant, listed, 20, at_least=True)


def _metaflow(results: Results) -> Iterator[Verdict]:
    for variant in results.variants("metaflow"):
        kind, _, shape = variant.partition("/")
        if kind == "flow":
            continue
        small = shape == "10KiB"
        save, load = (
            results.ratio("metaflow", variant, (DROP_IN, metric), ("metaflow", metric))
            for metric in ("save_mbs", "load_mbs")
        )
        goal = 4 if small else 12 if kind == "random" else 6
        yield Verdict("drop-in ÷ stock Metaflow: first save", variant, save, goal, at_least=True)
        goal_of_loads = 2 if small else 1 if kind == "random" else 1.8
        yield Verdict("drop-in ÷ stock Metaflow: load", variant, load, goal_of_loads, at_least=True)
        save, load = (
            results.ratio("metaflow", variant, (PACKED, metric), ("metaflow", metric))
            for metric in ("save_mbs", "load_mbs")
        )
        goal = 20 if kind == "random" else 6
        yield Verdict("--datastore packhouse ÷ stock Metaflow: first save", variant, save, goal, at_least=True)
        if small:
            yield Verdict("--datastore packhouse ÷ stock Metaflow: load", variant, load, 4, at_least=True)
        elif kind not in data.COMPRESSIBLE:
            value = results.ratio("metaflow", variant, (PACKED, "load_mbs"), (MACHINE, "load_limit_mbs"))
            yield Verdict("--datastore packhouse, load ÷ limit", variant, value, _LOAD_TO_LIMIT, at_least=True)
        for what in ("save", "load"):
            rise = results.median("metaflow", variant, DROP_IN, f"{what}_mib")
            yield Verdict(
                f"drop-in: memory beyond the artifacts, {what} (MiB)", variant, rise, _BUDGET_MIB, at_least=False
            )


def _bucket(results: Results) -> Iterator[Verdict]:
    def ahead(variant: str, metric: str) -> float | None:
        return results.ratio("bucket", variant, (BUCKET, metric), ("obstore-bucket", metric))

    for variant in results.variants("bucket"):
        where, _, shape = variant.partition("/")
        if variant == "20ms/10KiB":
            for what, metric, bound in (
                ("put", "save_blobs", 25.0),
                ("get", "load_blobs", 25.0),
                ("1 %", "part_blobs", 1.0),
            ):
                yield Verdict(f"bucket ÷ obstore: {what}", variant, ahead(variant, metric), bound, at_least=True)
        elif shape == "4MiB":
            for what, metric in (("put", "save_mbs"), ("get", "load_mbs")):
                bound = _LARGE_OVER_TLS if where == "tls" else _LARGE
                yield Verdict(f"bucket ÷ obstore: {what}", variant, ahead(variant, metric), bound, at_least=True)
        for what in ("save", "load", "part") if where == "20ms" else ():
            asked = results.ratio("bucket", variant, (BUCKET, f"{what}_requests"), (BUCKET, f"{what}_due"))
            yield Verdict(f"bucket: requests ÷ arithmetic, {what}", variant, asked, 1.1, at_least=False)
        for what in ("save", "load"):
            yield _loop_gap_in("bucket", results, variant, what)


def _static(results: Results) -> Iterator[Verdict]:
    for variant in results.variants("static"):
        where, _, shape = variant.partition("/")
        if shape == "4MiB":
            value = results.ratio("static", variant, (BUCKET, "load_mbs"), ("obstore-bucket", "load_mbs"))
            bound = _LARGE_OVER_TLS if where == "tls" else _LARGE
            yield Verdict("nginx ÷ obstore: get", variant, value, bound, at_least=True)
        yield _loop_gap_in("static", results, variant, "load")


def _loop_gap_in(case: str, results: Results, variant: str, what: str) -> Verdict:
    value = results.median(case, variant, BUCKET, f"{what}_gap_ms")
    return Verdict(f"{case}: event-loop gap, {what} p99 (ms)", variant, value, 5, at_least=False)


def _cold_bucket(results: Results) -> Iterator[Verdict]:
    for variant in results.variants("cold-bucket"):
        for what, metric, unit, bound in (
            ("look-up, KiB", "hit_bytes", 1024.0, 256),
            ("known GiB saved, requests", "known_requests", 1.0, 50),
            ("known GiB saved, MB", "known_bytes", 1e6, 64),
        ):
            counted = results.median("cold-bucket", variant, OURS, metric)
            value = None if counted is None else counted / unit
            yield Verdict(f"new handle, large bucket: {what}", variant, value, bound, at_least=False)


_JUDGES: tuple[Callable[[Results], Iterator[Verdict]], ...] = (
    _first_save,
    _save_again,
    _load,
    _import,
    _second_version,
    _aged,
    _memory,
    _loop_gap,
    _lookups,
    _names,
    _tasks,
    _metaflow,
    _bucket,
    _static,
    _cold_bucket,
)
