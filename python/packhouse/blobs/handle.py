"""The handle of a store: what it is opened with, opening and closing."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, ClassVar, Self

import anyio

from packhouse import _engine
from packhouse.blobs.caching import CACHE_AUTO, CACHE_BYTES, CacheDir, choose_cache, find_cache
from packhouse.blobs.commits import Committer
from packhouse.blobs.core import Core
from packhouse.blobs.jobs import Jobs
from packhouse.blobs.options import Mode, StoreOptions, choose_options, locate_store
from packhouse.errors import InvalidInput, ReadOnlyStore, StoreClosed, StoreNotFound

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from anyio.abc import TaskGroup

    from packhouse.blobs.carrier import Carrier
    from packhouse.blobs.remote import Remote
    from packhouse.objects.bucket import BucketOptions

__all__ = ["Handle", "reopened"]

_REQUESTS = 32
"""Threads over a bucket: each of them waits for a request of its own."""
_FETCHES, _FAR_FETCHES = 2, 6
"""Groups that a load fetches at once: here one is read while one is handed out, of a bucket most are on their way."""


class Handle:
    """A store that is opened and closed as a context manager; what it can do is the matter of its subclass.

    Pickles as its URL and options: the copy is a handle that is not open yet.
    """

    _whole: ClassVar[int | None] = None
    """A bucket's segments of so many bytes are read whole, larger ones block by block; None for the engine's own bound.
    Tests lower it, to have small stores read as large ones are."""

    def __init__(
        self,
        url: str | os.PathLike[str],
        *,
        mode: Mode = "a",
        create: bool = True,
        options: StoreOptions | BucketOptions | None = None,
        client: Any = None,
        cache_dir: CacheDir = CACHE_AUTO,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        if mode not in ("a", "r"):
            raise InvalidInput(f"mode is 'a' or 'r', not {mode!r}", kind="option")
        self._location = locate_store(url)
        self._mode: Mode = mode
        self._create = create
        self._options = choose_options(options, self.url, remote=self._location.remote)
        if client is not None and not self._location.remote:
            raise InvalidInput(f"a client is for a bucket; {self.url} is none", kind="option")
        self._client = client
        self._cache = choose_cache(cache_dir, cache_bytes)
        self._memory: _engine.Disk | None = None
        self._core: Core | None = None
        self._remote: Remote | None = None
        self._tasks: TaskGroup | None = None

    @property
    def url(self) -> str:
        """The URL it was opened with."""
        return self._location.url

    @property
    def mode(self) -> Mode:
        """`"a"` or `"r"`."""
        return self._mode

    @property
    def options(self) -> StoreOptions:
        """The options it was opened with; a bucket's that were given for them are its `bucket`."""
        return self._options

    def __repr__(self) -> str:
        state = "open" if self._core is not None else "closed"
        return f"<packhouse.{type(self).__name__} {self.url!r} mode={self._mode!r} {state}>"

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[type, str, dict[str, Any]]]:
        if self._location.path is None and not self._location.remote:
            raise InvalidInput("a store in memory cannot be pickled: it lives in its process alone", kind="option")
        if self._client is not None:
            raise InvalidInput("a store with a client of yours cannot be pickled: the client lives here", kind="option")
        given = {
            "mode": self._mode,
            "create": self._create,
            "options": self._options,
            "cache_dir": self._cache.folder,
            "cache_bytes": self._cache.size,
        }
        return reopened, (type(self), self.url, given)

    async def __aenter__(self) -> Self:
        if self._core is not None:
            raise InvalidInput(f"{self.url} is open already: open another handle", kind="option")
        tasks = anyio.create_task_group()
        await tasks.__aenter__()
        try:
            jobs = Jobs(tasks, self.url)
            engine = await self._start(jobs, tasks)
            committer = Committer(engine, jobs)
            tasks.start_soon(committer.run)
        except BaseException:
            await self._leave()
            tasks.cancel_scope.cancel()
            await tasks.__aexit__(None, None, None)
            raise
        self._tasks = tasks
        fetches = _FAR_FETCHES if self._location.remote else _FETCHES
        self._core = Core(engine, jobs, committer, self._options.budget, fetches)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._core is not None and not self._core.jobs.inherited:
            self._core.jobs.check_loop()
        core, self._core = self._core, None
        tasks, self._tasks = self._tasks, None
        if core is None or tasks is None or core.jobs.inherited:
            return
        interruption: BaseException | None = None
        try:
            core.committer.close()
            interruption = await core.jobs.close(lambda: _close(core))
        finally:
            await self._leave()
            tasks.cancel_scope.cancel()
            await tasks.__aexit__(None, None, None)
        if interruption is not None:
            raise interruption

    def _opened(self) -> Core:
        core = self._core
        if core is None:
            raise StoreClosed(f"{self.url} is not open: use it within `async with packhouse.open(...)`")
        core.jobs.check()
        return core

    def _writable(self, operation: str) -> Core:
        core = self._opened()
        if self._mode == "r":
            raise ReadOnlyStore(f"{operation}: {self.url} was opened for reading only", kind="mode")
        return core

    def _reader(self) -> Self:
        """Return another handle of the same store, for reading and for any event loop; it is not open.

        Raises:
            InvalidInput: it has a client of its user's, which belongs to one event loop.
        """
        if self._client is not None:
            raise InvalidInput(f"{self.url} has a client of yours, which belongs to one event loop", kind="option")
        folder, size = self._cache.folder, self._cache.size
        reader = type(self)(self.url, mode="r", options=self._options, cache_dir=folder, cache_bytes=size)
        reader._memory = self._memory  # noqa: SLF001 - its own kind
        return reader

    async def _start(self, jobs: Jobs, tasks: TaskGroup) -> _engine.Store:
        """Open what is there, or make a store where there is none."""
        create = self._create and self._mode == "a"
        remote = self._reach()
        if remote is None:
            return await jobs.call(lambda: self._open_engine(None, create=create, seen={}))
        carrier = await remote.start(tasks)
        self._remote = remote
        try:
            engine = await jobs.call(lambda: self._open_engine(carrier, create=False, seen={}))
        except StoreNotFound as missing:
            if not create or missing.kind != "no-store":
                raise
            seen = await remote.probe()
            engine = await jobs.call(lambda: self._open_engine(carrier, create=True, seen=seen))
        remote.settle(quoted=engine.quoted_etags())
        return engine

    def _reach(self) -> Remote | None:
        """Return the way to a bucket, not opened yet; None where there is none to open."""
        if not self._location.remote:
            return None
        from packhouse.blobs.remote import Remote  # noqa: PLC0415 - imports httpx
        from packhouse.objects.opening import open_bucket  # noqa: PLC0415 - as above

        bucket = self._options.bucket
        objects = open_bucket(self._location.url, options=bucket, client=self._client)
        return None if objects is None else Remote(objects, bucket)

    async def _leave(self) -> None:
        """Close the way to a bucket."""
        remote, self._remote = self._remote, None
        if remote is not None:
            await remote.close()

    def _open_engine(self, carrier: Carrier | None, *, create: bool, seen: dict[str, int]) -> _engine.Store:
        options, path, write = self._options, self._location.path, self._mode == "a"
        if carrier is not None:
            disk = _engine.Disk.objects(carrier, self.url, find_cache(self._cache), self._whole)
        elif path is None:
            disk = self._memory = self._memory or _engine.Disk.memory()
        else:
            disk = _engine.Disk.folder(path, create)
        cores = _cores()
        threads = options.threads or (cores if carrier is None else max(cores, _REQUESTS))
        return _engine.Store.open(disk, write, create, options.shared, threads, options.settings() | seen)


def _cores() -> int:
    """Return how many processors this process may use; all there are where the system does not tell, as on macOS."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:
        return os.cpu_count() or 1


def _close(core: Core) -> None:
    for session in list(core.sessions):
        session.drop()
    core.sessions.clear()
    if core.documents is not None:
        core.documents.close()
    core.engine.close()


def reopened(kind: Callable[..., Any], url: str, given: dict[str, Any]) -> Any:
    """Make a handle again from what it was pickled as."""
    return kind(url, **given)
