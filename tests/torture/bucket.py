"""packhouse in a bucket as a subject, and the state machine over it: each example under a prefix of its own."""

from __future__ import annotations

import secrets
import shutil
import traceback
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, ClassVar, TypeVar, cast

from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule, run_state_machine_as_test

import packhouse
from packhouse.objects import ObjectStore, open_objects
from tests.torture.contract import Store, subject
from tests.torture.machine import StoreMachine, any_number
from tests.torture.nest import Nest
from tests.torture.outcome import Outcome
from tests.torture.real import Real

T = TypeVar("T")


class LikeLarge(packhouse.BlobStore):
    """Reads no segment whole, as if it were a large one: block by block, and with the footers of packs."""

    _whole = 0


class Bucket(Real):
    """Opens one URL, whatever the path; credentials are in the environment.

    Args:
        url: of the bucket; with a `#` behind it, to read small segments as large ones are, and behind that the folder
            of a cache, if any.
    """

    def __init__(self, url: str) -> None:
        self.url, self.like_large, self.cache = url.partition("#")

    def open(self, path: Path, *, mode: str = "a") -> AbstractAsyncContextManager[Store]:
        """See the contract."""
        del path
        kind = LikeLarge if self.like_large else packhouse.BlobStore
        opened = kind(self.url, mode="r" if mode == "r" else "a", cache_dir=self.cache or None)
        return cast("AbstractAsyncContextManager[Store]", opened)


class BucketMachine(StoreMachine):
    """The same rules; damage and a collector's work are done to objects."""

    root: ClassVar[str]

    def __init__(self) -> None:
        self.url = f"{self.root}/machine-{secrets.token_hex(6)}"
        self.name = f"bucket:{self.url}"  # type: ignore[misc] # each example has its own
        super().__init__()
        self.cache = self.folder / "cache"

    @initialize(reading=st.sampled_from(["", "#", "#cache"]))
    def begin(self, reading: str) -> None:
        """Handles and other processes read small segments whole or like large ones, and keep what they read or not."""
        self.name = f"bucket:{self.url}{reading.replace('cache', str(self.cache))}"  # type: ignore[misc] # as above
        self.kind = subject(self.name)

    def fresh(self, work: Any, *arguments: Any) -> Any:
        """Call it with a handle on another machine: what is kept on this one may be what the bucket has lost."""

        async def run() -> Any:
            async with Bucket(f"{self.url}#").open(self.path) as store:
                return await work(store, *arguments)

        return self.portal.call(run)

    @rule()
    def forget_cache(self) -> None:
        shutil.rmtree(self.cache, ignore_errors=True)

    @rule(pick=any_number)
    def harm_cache(self, pick: int) -> None:
        files = sorted(file for file in self.cache.rglob("*") if file.is_file() and file.stat().st_size)
        if files:
            file = files[pick % len(files)]
            kept = bytearray(file.read_bytes())
            kept[pick % len(kept)] ^= 1 << pick % 8
            file.write_bytes(kept)

    def objects(self, work: Callable[[ObjectStore], Awaitable[T]]) -> T:
        """Do something with the store's objects."""

        async def run() -> T:
            async with open_objects(self.url) as opened:
                return await work(opened)

        return self.portal.call(run)

    def _named(self, *prefixes: str) -> list[str]:
        async def names(store: ObjectStore) -> list[str]:
            return [info.name for prefix in prefixes for info in [info async for info in store.list(prefix)]]

        return self.objects(names)

    def sure(self, save: Any) -> Any:
        """Save; once more where the first found in step 3 that a pack it leaned on was cut or gone: it heals it.

        In a bucket a writer looks at a pack that it has seen before only then: a look before costs a request each.
        """
        try:
            return self.portal.call(save)
        except self.kind.complaints.uncertain:
            if not self.model.damaged:
                raise
            return self.portal.call(save)

    def fault_elsewhere(self) -> None:  # no rule: a disk's limits touch no bucket
        """Nothing."""

    @rule(pick=any_number, how=st.sampled_from(["flip", "cut", "remove"]))
    def damage(self, pick: int, how: str) -> None:
        names = self._named("packs/", "index/")
        if not names:
            return
        name = names[pick % len(names)]
        self.model.damaged = True
        self.model.endanger()

        async def harm(store: ObjectStore) -> None:
            body = bytearray((await store.get(name)).data)
            if how == "remove":
                await store.delete([name])
            elif how == "cut":
                await store.put(name, bytes(body[: len(body) // 2]))
            elif body:
                body[pick % len(body)] ^= 1 << pick % 8
                await store.put(name, bytes(body))

        self.objects(harm)
        everything = self.model.blobs.keys() | self.model.doubtful.keys()
        self.model.fear(self.fresh(self.model.look, self.kind.complaints, set(everything)))

    @rule(pick=any_number)
    def condemn(self, pick: int) -> None:
        packs = [name.partition("/")[2] for name in self._named("packs/")]
        packs = [pack for pack in packs if pack not in self.model.condemned]
        if packs:
            pack = packs[pick % len(packs)]
            self.objects(lambda store: store.put(f"marks/{pack}", b""))
            self.model.condemned[pack] = set()
            self.model.endanger()

    @rule(pick=any_number)
    def collect(self, pick: int) -> None:
        if not self.model.condemned:
            return
        pack = list(self.model.condemned)[pick % len(self.model.condemned)]
        harmed = self.model.condemned[pack]
        if f"packs/{pack}" in self._named("packs/"):
            self.objects(lambda store: store.delete([f"packs/{pack}"]))
            self.model.fear(self.fresh(self.model.look, self.kind.complaints, set(harmed)))

    def teardown(self) -> None:
        """Everything acknowledged is there for a fresh handle."""
        for number in list(self.open):
            self.shut(number)
        if self._named("store.json"):
            self.fresh(self._final)
        for rooms in ("packs/", "index/", "names/", "documents/"):
            names = self._named(rooms)
            if names:
                self.objects(lambda store, gone=names: store.delete(gone))  # type: ignore[misc] # bound now
        shutil.rmtree(self.folder)


def run_on(root: str, *, backend: str, rounds: int, steps: int, nest: Nest) -> Outcome:
    """`rounds` examples under a bucket's URL."""
    outcome = Outcome(8)
    chosen = settings(
        max_examples=rounds,
        stateful_step_count=steps,
        deadline=None,
        database=None,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate,),
        report_multiple_bugs=False,
    )
    with outcome.timed(), start_blocking_portal(backend) as portal:
        machine = type("Machine", (BucketMachine,), {"root": root, "portal": portal, "nest": nest})
        try:
            run_state_machine_as_test(machine, settings=chosen)
        except Exception as error:  # noqa: BLE001 - that is the finding
            outcome.violations.append("".join(traceback.format_exception(error)))
        outcome.rounds += rounds
    return outcome
