"""What the parent knows was acknowledged, and what that lets it demand of the store."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from tests.torture.contract import Store, Subject
from tests.torture.workload import batch, kind_of, shared_keys


@dataclass
class Claims:
    """The batches of one seed by their fate. `begun` were in flight when the writer died; `refused` failed."""

    seed: int
    acked: list[int] = field(default_factory=list)
    begun: list[int] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Claims:
        """From `to_json`."""
        return cls(**value)

    def to_json(self, since: int = 0) -> dict[str, Any]:
        """For the checking process; on request only the batches from `since` on, and all that change names."""
        value = asdict(self)
        for fate in ("acked", "begun", "refused"):
            value[fate] = [n for n in value[fate] if n >= since or self.kind(n) == "names"]
        return value

    def hear(self, lines: list[dict[str, Any]]) -> None:
        """Take in what a writer said before it ended; what it began and never finished stays `begun`."""
        for line in lines:
            if "begin" in line:
                self.begun.append(line["begin"])
            elif "ack" in line:
                self.begun.remove(line["ack"])
                self.acked.append(line["ack"])
            elif "refused" in line:
                self.begun.remove(line["refused"])
                self.refused.append(line["refused"])

    def kind(self, n: int) -> str:
        """The kind that was asked for."""
        return self.kinds[n % len(self.kinds)] if self.kinds else kind_of(self.seed, n)


async def check_claims(kind: Subject, store: Store, claims: Claims) -> list[str]:
    """Hold a freshly opened store against the claims."""
    wrong: list[str] = []
    for n in claims.acked:
        wrong += [f"acknowledged batch {n}: {what}" for what in await _whole(kind, store, claims, n)]
    for n in claims.begun + claims.refused:
        wrong += await _all_or_nothing(kind, store, claims, n)
    wrong += await _names(kind, store, claims)
    return wrong


async def _whole(kind: Subject, store: Store, claims: Claims, n: int) -> list[str]:
    work = batch(claims.seed, n, claims.kind(n))
    try:
        loaded = [one async for one in store.load_blobs(work.keys)]
    except kind.complaints.any as error:
        return [f"{work.kind} lost, {type(error).__name__}: {error}"]
    if [bytes(one.data) for one in loaded] != list(work.blobs):
        return [f"{work.kind} read back wrong bytes"]
    return []


def _certain(claims: Claims) -> set[str]:
    return {key for n in claims.acked for key in batch(claims.seed, n, claims.kind(n)).keys}


async def _all_or_nothing(kind: Subject, store: Store, claims: Claims, n: int) -> list[str]:
    work = batch(claims.seed, n, claims.kind(n))
    if not work.blobs:
        return []
    known = _certain(claims)
    new = [key for key in dict.fromkeys(work.keys) if key not in known]
    there = [await store.contains(key) for key in new]
    unique = [is_there for key, is_there in zip(new, there, strict=True) if not _of_another(claims, key, n)]
    wrong = []
    if any(unique) and not all(unique):
        wrong.append(f"batch {n} ({work.kind}) is visible in part: {sum(unique)} of {len(unique)}")
    if any(unique) and n in claims.refused:
        wrong.append(f"batch {n} ({work.kind}) failed but is visible")
    for key, is_there in zip(new, there, strict=True):
        if is_there:
            blob = work.blobs[work.keys.index(key)]
            try:
                same = bytes(await store.load(key)) == blob
            except kind.complaints.any as error:
                wrong.append(f"batch {n} ({work.kind}) is visible but unreadable, {type(error).__name__}: {error}")
            else:
                if not same:
                    wrong.append(f"batch {n} ({work.kind}) reads back wrong bytes")
    return wrong


def _of_another(claims: Claims, key: str, n: int) -> bool:
    if key in shared_keys():
        return True
    others = [*claims.begun, *claims.refused]
    return any(key in batch(claims.seed, other, claims.kind(other)).keys for other in others if other != n)


async def _names(kind: Subject, store: Store, claims: Claims) -> list[str]:
    """Each name holds its last acknowledged document, or one that was in flight later."""
    allowed: dict[str, list[Any]] = {}
    for n in sorted(claims.acked + claims.begun + claims.refused):
        work = batch(claims.seed, n, claims.kind(n))
        if work.kind != "names":
            continue
        if n in claims.acked:
            allowed[work.name] = [work.doc]
        elif n in claims.begun:
            allowed.setdefault(work.name, [None]).append(work.doc)
    wrong = []
    for name, docs in allowed.items():
        try:
            found = (await store.names.get(name)).doc
        except kind.complaints.no_name:
            found = None
        except kind.complaints.any as error:
            wrong.append(f"{name!r} unreadable, {type(error).__name__}: {error}")
            continue
        if found not in docs:
            wrong.append(f"{name!r} lost its acknowledged document: {str(found)[:60]}")
    return wrong
