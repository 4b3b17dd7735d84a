"""Every object store keeps the one contract, on every loop."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from packhouse.errors import InvalidInput, NameNotFound
from packhouse.objects import LocalObjects, MemoryObjects, ObjectStore, conformance
from packhouse.objects.contract import Fetched, ObjectInfo, Stream


@pytest.mark.parametrize("check", conformance.CHECKS, ids=conformance.name_of)
@pytest.mark.parametrize("kind", ["local", "memory"])
async def test_the_contract_holds(check: conformance.Check, kind: str, tmp_path: Path) -> None:
    store: ObjectStore = LocalObjects(tmp_path / "objects") if kind == "local" else MemoryObjects()
    async with store:
        await check(conformance.Subject(store))
    if kind == "local":
        assert list((tmp_path / "objects/+local/staged").iterdir()) == []


class _Cutting(MemoryObjects):
    """Cuts ranges silently, as servers do."""

    async def get(
        self, name: str, *, start: int = 0, length: int | None = None, into: memoryview | None = None
    ) -> Fetched:
        size = (await self.head(name)).size
        if start <= size and length is not None:
            length = min(length, size - start)
        return await super().get(name, start=start, length=length, into=into)


class _Heedless(MemoryObjects):
    """Takes conditions and does not look at them."""

    async def put_if(self, name: str, body: object, *, version: str | None) -> ObjectInfo:
        return await self.put(name, body)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("store", "check"),
    [(_Cutting, conformance.ranges_are_exact), (_Heedless, conformance.conditions_hold),
     (_Heedless, conformance.one_of_many_wins)],
)  # fmt: skip
async def test_the_kit_finds_a_store_that_breaks_the_contract(
    store: type[MemoryObjects], check: conformance.Check
) -> None:
    with pytest.raises(conformance.Violation):
        await check(conformance.Subject(store()))


async def test_a_link_in_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_text("not yours")
    async with LocalObjects(tmp_path / "objects") as store:
        (tmp_path / "objects/planted").symlink_to(tmp_path / "outside")
        (tmp_path / "objects/file").symlink_to(tmp_path / "outside/secret")
        for name in ("planted/secret", "file"):
            with pytest.raises((NameNotFound, InvalidInput)):
                await store.get(name)
        assert [info.name async for info in store.list()] == []
        with pytest.raises((NameNotFound, InvalidInput)):
            await store.put("planted/new", b"x")
    assert [entry.name for entry in (tmp_path / "outside").iterdir()] == ["secret"]


_KILLED = """
import os, signal, sys
import anyio
from packhouse.objects import LocalObjects
from packhouse.objects.contract import Stream

async def pieces():
    yield b"half of it"
    os.kill(os.getpid(), signal.SIGKILL)

async def main():
    async with LocalObjects(sys.argv[1]) as store:
        await store.put("name", Stream(pieces()))

anyio.run(main)
"""


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_half_a_file_that_a_killed_process_left_goes_when_the_folder_is_opened_again(tmp_path: Path) -> None:
    staged = tmp_path / "+local/staged"
    assert (await anyio.run_process([sys.executable, "-c", _KILLED, tmp_path], check=False)).returncode < 0
    assert len(list(staged.iterdir())) == 1

    async def pieces() -> AsyncIterator[bytes]:
        yield b"first "
        async with LocalObjects(tmp_path):
            assert len(list(staged.iterdir())) == 1, "a writer that lives keeps its file, the dead one's is gone"
        yield b"second"

    async with LocalObjects(tmp_path) as store:
        assert list(staged.iterdir()) == []
        await store.put("name", Stream(pieces()))
        assert bytes((await store.get("name")).data) == b"first second"
    assert list(staged.iterdir()) == []
