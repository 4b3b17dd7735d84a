"""The naive store itself: one file per blob, one JSON file per commit, one per name."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast
from urllib.parse import quote

import blake3

from tests.torture.contract import Complaints, Names, Store
from tests.torture.naive import bugs as said
from tests.torture.naive.disk import Disk, in_thread

T = TypeVar("T")
FOLDERS = ("blobs", "index", "names", "tmp", "writers", "locks")


@dataclass(frozen=True)
class Saved:
    key: str
    size: int
    existed: bool


@dataclass(frozen=True)
class Loaded:
    key: str
    data: bytes


@dataclass(frozen=True)
class Document:
    doc: Any
    version: str


def seal(value: Any) -> bytes:
    """JSON with a checksum in front."""
    text = json.dumps(value).encode()
    return hashlib.sha256(text).hexdigest().encode() + b"\n" + text


def unseal(data: bytes) -> Any:
    """The JSON again, or `Corrupt`."""
    checksum, _, text = data.partition(b"\n")
    if hashlib.sha256(text).hexdigest().encode() != checksum:
        raise said.Corrupt("damaged file")
    return json.loads(text)


class NaiveNames:
    """Names, one file each."""

    def __init__(self, store: NaiveStore) -> None:
        self._store = store

    def file(self, name: str) -> str:
        if not 0 < len(name.encode()) <= 700:
            raise ValueError("a name has 1 to 700 bytes")
        if "raw_names" in self._store.bugs:
            return name
        text = quote(name, safe="").replace(".", "%2E").replace("~", "%7E")
        return text if len(text) <= 200 else text[:130] + "~" + hashlib.sha256(name.encode()).hexdigest()

    def _read(self, name: str) -> Document:
        try:
            content = unseal((self._store.path / "names" / self.file(name)).read_bytes())
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise said.NoName(name) from None
        return Document(content["doc"], content["version"])

    def _change(self, name: str, doc: Any, allowed: Callable[[Document | None], bool]) -> Document:
        disk = self._store.disk
        disk.begin()
        lock = os.open(self._store.path / "locks" / "0", os.O_CREAT | os.O_RDWR)
        try:
            if "no_lock" not in self._store.bugs:
                fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                old: Document | None = self._read(name)
            except said.NoName:
                old = None
            if not allowed(old):
                raise said.Conflict(name)
            if "no_lock" in self._store.bugs:
                time.sleep(0.002)
            new = Document(doc, secrets.token_hex(16))
            disk.write("names", self.file(name), [seal({"name": name, "doc": doc, "version": new.version})])
            return new
        finally:
            os.close(lock)

    async def get(self, name: str) -> Document:
        return await self._store.run(lambda _: self._read(name))

    async def put(self, name: str, doc: Any) -> Document:
        return await self._store.run(lambda _: self._change(name, doc, lambda _old: True))

    async def put_if_absent(self, name: str, doc: Any) -> Document:
        return await self._store.run(lambda _: self._change(name, doc, lambda old: old is None))

    async def replace(self, name: str, doc: Any, version: str) -> Document:
        def same(old: Document | None) -> bool:
            return old is not None and old.version == version

        return await self._store.run(lambda _: self._change(name, doc, same))

    async def delete(self, name: str, *, version: str | None = None) -> None:
        del version
        (self._store.path / "names" / self.file(name)).unlink()
        self._store.disk.sync_folder("names")

    async def list(self, prefix: str) -> list[str]:
        names = [unseal(file.read_bytes())["name"] for file in (self._store.path / "names").iterdir()]
        return sorted((name for name in names if name.startswith(prefix)), key=str.encode)


class NaiveStore:
    """The store object."""

    def __init__(self, path: Path, bugs: frozenset[str]) -> None:
        self.path, self.bugs = path, bugs
        self.disk = Disk(path, bugs)
        self.names = NaiveNames(self)
        self._state: Any = None
        self._index_damaged = False
        self._entries: dict[str, tuple[str, int]] = {}

    async def run(self, work: Callable[[threading.Event], T]) -> T:
        if "blocking" in self.bugs:
            return work(threading.Event())
        return await in_thread(work, abandon="abandon" in self.bugs)

    def index(self) -> dict[str, tuple[str, int]]:
        files = list(os.scandir(self.path / "index"))
        state = tuple(sorted((file.name, file.stat().st_mtime_ns) for file in files))
        if state == self._state:
            return self._entries
        entries: dict[str, tuple[str, int]] = {}
        self._index_damaged = False
        for file in sorted(files, key=lambda file: file.stat().st_mtime_ns):
            try:
                entries |= {key: (name, size) for key, name, size in unseal(Path(file.path).read_bytes())}
            except (said.Corrupt, ValueError):
                self._index_damaged = True
        self._state, self._entries = state, entries
        return entries

    def _known(self, key: str, entries: dict[str, tuple[str, int]], *, check: bool) -> bool:
        if key not in entries:
            return False
        if "existence" in self.bugs:
            return True
        name, size = entries[key]
        file = self.path / "blobs" / name
        if not file.exists() or file.stat().st_size != size or (self.path / "damage" / name).exists():
            return False
        return not check or blake3.blake3(file.read_bytes()).hexdigest() == key

    def _commit(self, blobs: list[Any], check: bool, withdrawn: threading.Event) -> list[Saved]:
        self.disk.begin()
        entries, new, results = dict(self.index()), [], []
        written: list[Path] = []
        committed = False
        try:
            for blob in blobs:
                parts: list[bytes] = list(blob) if isinstance(blob, list | Iterator) else [bytes(blob)]
                key = blake3.blake3(b"".join(parts)).hexdigest()
                size = sum(map(len, parts))
                existed = self._known(key, entries, check=check)
                if not existed:
                    name = f"{self.disk.writer}-{secrets.token_hex(8)}"
                    written.append(self.path / "blobs" / name)
                    self.disk.write("blobs", name, parts, withdrawn)
                    entries[key] = (name, size)
                    new.append((key, name, size))
                results.append(Saved(key, size, existed))
                if "each_alone" in self.bugs:
                    self.disk.write("index", secrets.token_hex(8), [seal(new)])
            self.disk.write("index", secrets.token_hex(8), [seal(new)], withdrawn)
            committed = True
        except said.Uncertain:
            committed = True
            raise
        except OSError:
            if "swallow" not in self.bugs:
                raise
        finally:
            if not committed and "abandon" not in self.bugs:
                for file in written:
                    file.unlink(missing_ok=True)
        return results

    async def save_blobs(self, blobs: Any, *, check: bool = False) -> Sequence[Saved]:
        items = [blob async for blob in blobs] if hasattr(blobs, "__aiter__") else list(blobs)
        if "early_ack" in self.bugs:
            threading.Thread(target=self._commit, args=(items, check, threading.Event())).start()
            return [Saved(blake3.blake3(item).hexdigest(), len(item), existed=False) for item in items]
        return await self.run(lambda withdrawn: self._commit(items, check, withdrawn))

    async def save_stream(self, source: Any) -> Saved:
        if "slurp" in self.bugs:
            return (await self.save_blobs([b"".join(source)]))[0]
        # Two passes over a scratch file: the naive way to stay within memory.
        return await self.run(lambda withdrawn: self._stream(source, withdrawn))

    def _stream(self, source: Iterable[bytes], withdrawn: threading.Event) -> Saved:
        self.disk.begin()
        name = f"{self.disk.writer}-{secrets.token_hex(8)}"
        hasher = blake3.blake3()

        def hashed() -> Iterator[bytes]:
            for piece in source:
                hasher.update(piece)
                yield piece

        file = self.path / "blobs" / name
        try:
            size = self.disk.write("blobs", name, hashed(), withdrawn).stat().st_size
            self.disk.write("index", secrets.token_hex(8), [seal([(hasher.hexdigest(), name, size)])], withdrawn)
        except said.Uncertain:
            raise
        except BaseException:
            file.unlink(missing_ok=True)
            raise
        return Saved(hasher.hexdigest(), size, existed=False)

    async def load(self, key: str) -> bytes:
        return await self.run(lambda _: self._load(key))

    async def load_range(self, key: str, start: int, stop: int) -> bytes:
        return (await self.load(key))[start:stop]

    def _load(self, key: str) -> bytes:
        entries = self.index()
        if key not in entries:
            raise said.Corrupt("an index file is damaged") if self._index_damaged else said.Missing(key)
        try:
            data = (self.path / "blobs" / entries[key][0]).read_bytes()
        except FileNotFoundError:
            raise said.Corrupt(f"{key}: file is gone") from None
        if "no_read_check" not in self.bugs and blake3.blake3(data).hexdigest() != key:
            self._note(entries[key][0])
            raise said.Corrupt(key)
        return data

    def _note(self, name: str) -> None:
        (self.path / "damage").mkdir(exist_ok=True)
        (self.path / "damage" / name).touch()

    async def load_blobs(self, keys: Iterable[str], *, ordered: bool = True) -> AsyncIterator[Loaded]:
        del ordered
        for key in keys:
            yield Loaded(key, await self.load(key))

    async def contains(self, key: str) -> bool:
        return key in self.index()

    def verify(self) -> list[str]:
        found = []
        for file in (self.path / "index").iterdir():
            try:
                unseal(file.read_bytes())
            except (said.Corrupt, ValueError):
                found.append(f"index/{file.name}")
        for key, (name, size) in self.index().items():
            file = self.path / "blobs" / name
            good = file.exists() and file.stat().st_size == size
            if good and "shallow_verify" not in self.bugs:
                good = blake3.blake3(file.read_bytes()).hexdigest() == key
            if not good:
                self._note(name)
                found.append(f"blobs/{name}")
        for file in (self.path / "names").iterdir():
            try:
                unseal(file.read_bytes())
            except (said.Corrupt, ValueError):
                found.append(f"names/{file.name}")
        return found


class Naive:
    """The subject that opens naive stores."""

    complaints = Complaints(said.NaiveError, said.Missing, said.Corrupt, said.Conflict, said.Uncertain, said.NoName)

    def __init__(self, bugs: frozenset[str]) -> None:
        if unknown := bugs - said.BUGS.keys():
            raise ValueError(f"no such bugs: {sorted(unknown)}")
        self.bugs = bugs

    @asynccontextmanager
    async def _open(self, path: Path) -> AsyncIterator[Store]:
        for folder in FOLDERS:
            (path / folder).mkdir(parents=True, exist_ok=True)
        fd = os.open(path, os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
        store = NaiveStore(path, self.bugs)
        try:
            yield cast("Store", store)
        finally:
            store.disk.end()

    def open(self, path: Path, *, mode: str = "a") -> AbstractAsyncContextManager[Store]:
        del mode
        return self._open(path)

    def leftovers(self, path: Path) -> list[str]:
        left = [f"{folder}/{file.name}" for folder in ("tmp", "writers") for file in (path / folder).iterdir()]
        used = " ".join(file.read_text(errors="replace") for file in (path / "index").iterdir())
        return left + [f"blobs/{file.name}" for file in (path / "blobs").iterdir() if file.name not in used]

    def precious(self, path: Path) -> list[Path]:
        return sorted(file for folder in ("blobs", "index", "names") for file in (path / folder).iterdir())

    def packs(self, path: Path) -> list[Path]:
        del path
        return []

    async def verify(self, store: Store) -> list[str]:
        return cast("NaiveStore", store).verify()

    async def listed(self, store: Store, prefix: str) -> list[str]:
        return await cast("NaiveStore", store).names.list(prefix)

    async def put_many(self, store: Store, documents: Sequence[tuple[str, Any]]) -> None:
        for name, doc in documents:
            await store.names.put(name, doc)

    @asynccontextmanager
    async def open_read(self, store: Store, key: str) -> AsyncIterator[Any]:
        class Reader:
            def __init__(self) -> None:
                entry = cast("NaiveStore", store).index()[key]
                self.file = (cast("NaiveStore", store).path / "blobs" / entry[0]).open("rb")

            async def read(self, size: int = -1) -> bytes:
                return self.file.read(size)

        reader = Reader()
        try:
            yield reader
        finally:
            reader.file.close()


_: type[Names] = NaiveNames
