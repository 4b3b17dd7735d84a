"""packhouse itself as a subject."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, cast

import packhouse
from tests.torture.contract import Complaints, Store
from tests.torture.layout import listed_packs

ROOMS = ("packs", "index", "documents")
"""The folders whose files hold bytes. Marks, damage notes and locks are empty files."""
OPEN = packhouse.open
"""Asked for now: its modules are imported then, and not amid the faults that a harness plants."""


if planted := os.environ.get("PACKHOUSE_MUTANT"):
    from tests.mutants.python import PLANTS

    if planted in PLANTS:
        PLANTS[planted]()


class Real:
    """Opens real stores, and knows their layout."""

    complaints = Complaints(
        any=packhouse.PackhouseError,
        missing=packhouse.BlobNotFound,
        corrupt=packhouse.CorruptBlob,
        conflict=packhouse.NameConflict,
        uncertain=packhouse.CommitUncertain,
        no_name=packhouse.NameNotFound,
    )

    def open(self, path: Path, *, mode: str = "a") -> AbstractAsyncContextManager[Store]:
        """See the contract."""
        opened = OPEN(path, mode="r" if mode == "r" else "a")
        return cast("AbstractAsyncContextManager[Store]", opened)

    def leftovers(self, path: Path) -> list[str]:
        """Staged files, files of dead writers, packs that no segment lists, names of temporary documents."""
        left = [f"{room}/{file.name}" for room in ("tmp", "writers") for file in sorted((path / room).glob("*"))]
        listed = {pack for file in (path / "index").rglob("*") if file.is_file() for pack in listed_packs(file)}
        return left + [f"packs/{file.name}" for file in sorted((path / "packs").glob("*")) if file.name not in listed]

    def precious(self, path: Path) -> list[Path]:
        """Every file with bytes, the settings among them."""
        files = (file for room in ROOMS for file in (path / room).rglob("*") if file.is_file())
        return sorted([*files, path / "store.json"])

    def packs(self, path: Path) -> list[Path]:
        """Packs with files of their own."""
        return sorted((path / "packs").glob("*"))

    async def verify(self, store: Store) -> list[str]:
        """What `verify` finds."""
        report = await cast("packhouse.BlobStore", store).verify()
        return [str(finding) for finding in report.findings]

    async def listed(self, store: Store, prefix: str) -> list[str]:
        """All names with a prefix."""
        return [name async for name in cast("packhouse.BlobStore", store).names.list(prefix)]

    async def put_many(self, store: Store, documents: Sequence[tuple[str, Any]]) -> None:
        """One batch; of a name that comes twice the last counts."""
        names = cast("packhouse.BlobStore", store).names
        await names.put_many([packhouse.Document(name, doc) for name, doc in dict(documents).items()])

    @asynccontextmanager
    async def open_read(self, store: Store, key: str) -> AsyncIterator[Any]:
        """The blob as a file."""
        async with await cast("packhouse.BlobStore", store).open_read(key) as file:
            yield file
