"""Row 8: a state machine over several handles and processes, held against an in-memory model."""

from __future__ import annotations

import random
import shutil
import tempfile
import time
import traceback
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, ClassVar

from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from tests.torture.contract import Store, Subject, subject
from tests.torture.damage import DAMAGES
from tests.torture.model import POOL, Model, pooled
from tests.torture.nest import Nest
from tests.torture.outcome import Outcome
from tests.torture.places import MEMORY
from tests.torture.workload import key_of, pieces

HANDLES = 3
STEPS = 50
some = st.lists(st.integers(0, POOL - 1), min_size=1, max_size=6)
which = st.integers(0, HANDLES - 1)
any_name = st.sampled_from(["a", "a/b", "A", "ä", "a b", "..", "a/b/c"])
any_number = st.integers(0, 1 << 20)


def _oldest_first(files: list[Path]) -> list[Path]:
    """In an order that is the same when the steps are: names are random. A merge may take files away meanwhile."""
    there = [(file.stat().st_mtime_ns, file) for file in files if file.exists()]
    return [file for _, file in sorted(there)]


class StoreMachine(RuleBasedStateMachine):
    """Several handles on one folder, other processes beside them, damage and a collector's work done by hand."""

    name: ClassVar[str]
    portal: ClassVar[BlockingPortal]
    nest: ClassVar[Nest]

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="packhouse-machine-", dir=MEMORY if MEMORY.is_dir() else None))
        self.path = self.folder / "store"
        self.kind: Subject = subject(self.name)
        self.model = Model()
        self.open: dict[int, tuple[AbstractContextManager[Store], Store]] = {}

    def handle(self, number: int) -> Store:
        """An open handle, opened when first asked for."""
        if number not in self.open:
            context = self.portal.wrap_async_context_manager(self.kind.open(self.path))
            self.open[number] = (context, context.__enter__())
        return self.open[number][1]

    def shut(self, number: int) -> None:
        """Close a handle if it is open."""
        if number in self.open:
            self.open.pop(number)[0].__exit__(None, None, None)

    def fresh(self, work: Any, *arguments: Any) -> Any:
        """Call `work(store, *arguments)` with a handle of its own."""

        async def run() -> Any:
            async with self.kind.open(self.path) as store:
                return await work(store, *arguments)

        return self.portal.call(run)

    def sure(self, save: Any) -> Any:
        """Save; once more where it leaned on what is condemned and, being damaged, cannot be copied: that heals it."""
        try:
            return self.portal.call(save)
        except self.kind.complaints.uncertain:
            if not (self.model.damaged and self.model.condemned):
                raise
            return self.portal.call(save)

    # Saving and loading

    @rule(number=which, chosen=some, check=st.booleans())
    def save(self, number: int, chosen: list[int], check: bool) -> None:
        blobs = [pooled(one) for one in chosen]
        store = self.handle(number)
        saved = self.sure(lambda: store.save_blobs(blobs, check=check))
        assert [one.key for one in saved] == [key_of(blob) for blob in blobs]
        self.model.acknowledge(blobs)

    @rule(number=which, one=st.integers(0, POOL - 1))
    def save_stream(self, number: int, one: int) -> None:
        store = self.handle(number)
        saved = self.sure(lambda: store.save_stream(pieces(pooled(one), 1 + len(pooled(one)) // 5)))
        assert saved.key == key_of(pooled(one))
        self.model.acknowledge([pooled(one)])

    @rule(number=which, one=st.integers(0, POOL - 1), start=any_number, length=any_number)
    def load_range(self, number: int, one: int, start: int, length: int) -> None:
        blob = pooled(one)
        if key_of(blob) not in self.model.blobs:
            return
        start %= len(blob) + 1
        stop = start + length % (len(blob) - start + 1)
        data = self.portal.call(self.handle(number).load_range, key_of(blob), start, stop)
        assert bytes(data) == blob[start:stop]

    @rule(number=which)
    def load_all(self, number: int) -> None:
        self.portal.call(self.model.check, self.handle(number), self.kind.complaints)

    @rule(number=which, one=st.integers(0, POOL - 1))
    def load_unknown(self, number: int, one: int) -> None:
        key = key_of(pooled(one))
        if key in self.model.blobs or key in self.model.doubtful or self.model.damaged:
            return
        store = self.handle(number)
        assert not self.portal.call(store.contains, key), "a blob nobody saved is said to be there"
        try:
            self.portal.call(store.load, key)
        except self.kind.complaints.missing:
            return
        raise AssertionError("a blob nobody saved was loaded")

    # Names

    @rule(number=which, name=any_name, doc=st.integers(0, 99))
    def put(self, number: int, name: str, doc: int) -> None:
        self.portal.call(self.handle(number).names.put, name, {"n": doc})
        self.model.names[name] = {"n": doc}

    @rule(number=which, name=any_name, doc=st.integers(0, 99))
    def put_if_absent(self, number: int, name: str, doc: int) -> None:
        try:
            self.portal.call(self.handle(number).names.put_if_absent, name, {"n": doc})
        except self.kind.complaints.conflict:
            assert name in self.model.names, "a name that nobody put is in the way"
            return
        assert name not in self.model.names, "put_if_absent replaced a document"
        self.model.names[name] = {"n": doc}

    @rule(number=which, other=which, name=any_name, doc=st.integers(0, 99), between=st.booleans())
    def replace(self, number: int, other: int, name: str, doc: int, between: bool) -> None:
        if name not in self.model.names:
            return
        old = self.portal.call(self.handle(number).names.get, name)
        assert old.doc == self.model.names[name], "a name has a stale document"
        if between:
            self.put(other, name, doc + 100)
        try:
            self.portal.call(self.handle(number).names.replace, name, {"n": doc}, old.version)
        except self.kind.complaints.conflict:
            assert between, "replace refused the version it had given"
            return
        assert not between, "replace overwrote what came between"
        self.model.names[name] = {"n": doc}

    @rule(number=which, name=any_name)
    def delete_name(self, number: int, name: str) -> None:
        if name in self.model.names:
            self.portal.call(self.handle(number).names.delete, name)
            del self.model.names[name]

    @rule(number=which, prefix=st.sampled_from(["", "a", "a/"]))
    def list_names(self, number: int, prefix: str) -> None:
        found = self.portal.call(self.kind.listed, self.handle(number), prefix)
        assert found == sorted((one for one in self.model.names if one.startswith(prefix)), key=str.encode)

    # Trouble

    @rule(number=which)
    def reopen(self, number: int) -> None:
        self.shut(number)
        self.handle(number)

    @rule(chosen=some)
    def save_elsewhere(self, chosen: list[int]) -> None:
        self.nest.call("tests.torture.machine_jobs:save", self.name, str(self.path), chosen)
        self.model.acknowledge([pooled(one) for one in chosen])

    @rule(chosen=some, after=st.integers(0, 3_000))
    def crash_elsewhere(self, chosen: list[int], after: int) -> None:
        with self.nest.job("tests.torture.machine_jobs:save", self.name, str(self.path), chosen) as job:
            job.wait_for("begin")
            time.sleep(after / 1e6)
            job.kill()
            acknowledged = any("result" in line for line in job.lines)
        blobs = [pooled(one) for one in chosen]
        self.settle(blobs, acknowledged=acknowledged)

    @rule(chosen=some, limit=st.integers(0, 400_000))
    def fault_elsewhere(self, chosen: list[int], limit: int) -> None:
        acknowledged = self.nest.call("tests.torture.machine_jobs:save", self.name, str(self.path), chosen, limit)
        self.settle([pooled(one) for one in chosen], acknowledged=acknowledged)

    def settle(self, blobs: list[bytes], *, acknowledged: bool) -> None:
        """After a save whose end is known only in part: all of its new blobs are there or none."""
        if acknowledged:
            self.model.acknowledge(blobs)
            return
        known = self.model.blobs.keys() | self.model.doubtful.keys()
        new = {key_of(blob): blob for blob in blobs if key_of(blob) not in known}
        there = self.fresh(self._which_there, list(new))
        if not self.model.damaged:
            assert len(there) in (0, len(new)), f"a batch is visible in part: {len(there)} of {len(new)}"
        self.model.doubt([blob for key, blob in new.items() if key in there])

    async def _which_there(self, store: Store, keys: list[str]) -> list[str]:
        there = []
        for key in keys:
            try:
                found = await store.contains(key)
            except self.kind.complaints.corrupt:
                assert self.model.damaged, "an undamaged index is called damaged"
                found = True  # nobody can tell
            there += [key] if found else []
        return there

    @rule(pick=any_number, how=st.sampled_from(sorted(DAMAGES)))
    def damage(self, pick: int, how: str) -> None:
        files = _oldest_first(self.kind.precious(self.path)) if self.path.exists() else []
        files = [file for file in files if file.relative_to(self.path).parts[0] in ("packs", "index", "blobs")]
        if not files or not (file := files[pick % len(files)]).stat().st_size:
            return
        self.model.damaged = True
        self.model.endanger()
        DAMAGES[how](file)
        # A look by another process, which writes down what it notices.
        everything = self.model.blobs.keys() | self.model.doubtful.keys()
        self.model.fear(self.fresh(self.model.look, self.kind.complaints, set(everything)))

    @rule(pick=any_number)
    def condemn(self, pick: int) -> None:
        packs = _oldest_first(self.kind.packs(self.path)) if self.path.exists() else []
        packs = [pack for pack in packs if pack.name not in self.model.condemned]
        if packs:
            pack = packs[pick % len(packs)]
            (self.path / "marks" / pack.name).touch()
            self.model.condemned[pack.name] = set()
            self.model.endanger()

    @rule(pick=any_number)
    def collect(self, pick: int) -> None:
        if not self.model.condemned:
            return
        name = list(self.model.condemned)[pick % len(self.model.condemned)]
        harmed = self.model.condemned[name]
        for pack in self.kind.packs(self.path):
            if pack.name == name:
                pack.unlink()
                self.model.fear(self.fresh(self.model.look, self.kind.complaints, set(harmed)))

    def teardown(self) -> None:
        """Everything acknowledged is there for a fresh handle, and nothing is left over."""
        try:
            for number in list(self.open):
                self.shut(number)
            if self.path.exists():
                self.fresh(self._final)
                if not self.model.damaged and not self.model.condemned:
                    left = self.kind.leftovers(self.path)
                    assert not left, f"left over: {left}"
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    async def _final(self, store: Store) -> None:
        await store.save_blobs([b"the last"])
        await self.model.check(store, self.kind.complaints)
        for name, doc in self.model.names.items():
            assert (await store.names.get(name)).doc == doc, f"{name!r} lost its document"


def run(name: str, *, rounds: int, seed: int = 8, steps: int = STEPS, shrink: bool = False) -> Outcome:
    """`rounds` examples in all, half on asyncio, half on trio.

    Shrinking is left to who looks for the cause: other processes and random file names make it slow.
    """
    random.seed(seed)
    outcome = Outcome(8)
    chosen = settings(
        max_examples=max(1, rounds // 2),
        stateful_step_count=steps,
        deadline=None,
        database=None,
        print_blob=False,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink) if shrink else (Phase.generate,),
        report_multiple_bugs=False,
    )
    with outcome.timed(), Nest() as nest:
        for backend in ("asyncio", "trio"):
            with start_blocking_portal(backend) as portal:
                machine = type("Machine", (StoreMachine,), {"name": name, "portal": portal, "nest": nest})
                try:
                    run_state_machine_as_test(machine, settings=chosen)
                except BaseException as error:
                    if isinstance(error, KeyboardInterrupt):
                        raise
                    story = "".join(traceback.format_exception(error))
                    outcome.violations.append(f"on {backend}: {story}")
                outcome.rounds += chosen.max_examples
    return outcome
