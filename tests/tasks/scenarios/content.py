"""Data of a flow, caches, providers, spin."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar

from tests.tasks.candidate import Candidate
from tests.tasks.scenarios.registry import differing, scenario


@scenario
def data_keeps_its_order_and_duplicates(it: Candidate) -> Any:
    flow = it.flow()
    blobs = [b"one", b"", b"two", b"one", bytearray(b"three"), memoryview(b"four")]
    saved = flow.save_data(iter(blobs), len_hint=6)
    keys = [key for _, key in saved]
    loaded = list(flow.load_data([*keys, keys[0]]))
    return (
        [keys.index(key) for key in keys],
        sorted(bytes(blob) for _, blob in loaded),
        all(isinstance(uri, str) for uri, _ in saved),
        flow.save_data(iter([])),
        list(flow.load_data([])),
        dict(flow.load_data(iter(keys[:1]), force_raw=True))[keys[0]],
    )


@scenario
def the_content_addressed_store_tells_raw_from_packed(it: Candidate) -> Any:
    flow = it.flow()
    packed = flow.ca_store.save_blobs(iter([b"a", b"b", b"a"]))
    raw = flow.ca_store.save_blobs([b"c"], raw=True, len_hint=1)
    bad = [it.outcome(partial(flow.ca_store.save_blobs, [bad])) for bad in ("text", None)]
    loaded = dict(flow.ca_store.load_blobs([each.key for each in packed + raw]))
    return (
        [each.uri for each in packed],
        [type(each.uri).__name__ for each in raw],
        packed[0] == packed[2],
        bad,
        [loaded[each.key] for each in packed + raw],
        type(packed[0]).__name__,
        packed[0]._fields,
    )


@scenario
def a_blob_cache_is_asked_first_and_fed(it: Candidate) -> Any:
    flow = it.flow()
    ((_, key),) = flow.save_data([b"content"])
    calls: list[str] = []

    class Cache:
        kept: ClassVar[dict[str, bytes]] = {}

        def load_key(self, key: str) -> bytes | None:
            calls.append("load")
            return self.kept.get(key)

        def store_key(self, key: str, blob: bytes) -> None:
            calls.append("store")
            self.kept[key] = bytes(blob)

    flow.ca_store.set_blob_cache(Cache())
    first = list(flow.load_data([key]))
    Cache.kept[key] = b"from the cache"
    it.written(flow, {"a": 1})
    task = flow.get_task_datastore("1", "step", "1")
    artifacts = dict(task.load_artifacts(["a"])), dict(task.load_artifacts(["a"]))
    return [blob for _, blob in first], [blob for _, blob in flow.load_data([key])], artifacts, calls


_ATTEMPT = ("1", "step", "1", 0)
_KEPT = ["added", "info", "objects", "places"]


@differing(ours=([1, 1], [("load", _ATTEMPT), ("store", _ATTEMPT, _KEPT), ("load", _ATTEMPT)]))
def the_metadata_cache_keeps_done_attempts(it: Candidate) -> Any:
    flow = it.flow()
    it.written(flow, {"a": 1})
    calls: list[Any] = []

    class Cache:
        kept: ClassVar[dict[Any, Any]] = {}

        def load_metadata(self, *ids: Any) -> Any:
            calls.append(("load", ids))
            return self.kept.get(ids)

        def store_metadata(self, run: str, step: str, task: str, attempt: int, metadata: Any) -> None:
            calls.append(("store", (run, step, task, attempt), sorted(metadata)))
            self.kept[run, step, task, attempt] = metadata

    flow.set_metadata_cache(Cache())
    values = [flow.get_task_datastore("1", "step", "1", attempt=0).get("a") for _ in range(2)]
    flow.get_task_datastore("1", "step", "1")
    flow.get_task_datastore("1", "step", "1", attempt=0, allow_not_done=True)
    return values, calls


@differing(ours=[])
def an_attempt_that_is_asked_too_early_is_not_cached_as_empty(it: Candidate) -> Any:
    flow = it.flow()
    kept: list[Any] = []

    class Cache:
        def load_metadata(self, *ids: Any) -> Any:
            return None

        def store_metadata(self, *ids: Any) -> None:
            kept.append(ids[:4])

    flow.set_metadata_cache(Cache())
    flow.get_task_datastore("1", "step", "1", attempt=0, mode="w")
    it.outcome(lambda: flow.get_task_datastore("1", "step", "1", attempt=0))
    return kept


@scenario
def a_metadata_provider_hears_of_what_is_done(it: Candidate) -> Any:
    heard: list[Any] = []

    class Provider:
        def register_metadata(self, run: str, step: str, task: str, data: Any) -> None:
            heard.append((run, step, task, [tuple(each) for each in data]))

        def register_data_artifacts(self, run: str, step: str, task: str, attempt: int, artifacts: Any) -> None:
            heard.append((run, step, task, attempt, [(a.name, a.url, a.type, a._fields) for a in artifacts]))

    flow = it.flow(metadata=Provider(), **it.as_upstream)
    it.written(flow, {"a": 1, "b": "x"}, attempt=1)
    return heard


@scenario
def a_failing_provider_comes_after_the_mark(it: Candidate) -> Any:
    class Provider:
        def register_metadata(self, *_: Any) -> None:
            raise ZeroDivisionError

    flow = it.flow(metadata=Provider())
    store = it.written(flow, {"a": 1}, done=False)
    return it.outcome(store.done), it.flow().get_task_datastore("1", "step", "1").to_dict(), it.outcome(store.done)


@scenario
def ids_and_paths_are_told(it: Candidate) -> Any:
    flow = it.flow("Other")

    it.written(flow, {"a": 1}, "7")
    store = flow.get_task_datastore("1", "step", "8", attempt=0, mode="w")
    return (
        store.run_id,
        store.step_name,
        store.task_id,
        store.attempt,
        store.pathspec,
        store.parent_datastore == flow,
        store.ds_metadata,
        it.outcome(lambda: flow.get_task_datastore("1", "step", "7").pathspec_index),
        flow.flow_name,
    )


class Frame:
    """What Metaflow's foreach keeps of each level, as far as datastores look at it."""

    def __init__(self, index: int) -> None:
        self.index = index


@scenario
def the_place_in_a_foreach_is_told(it: Candidate) -> Any:
    flow = it.flow()
    it.written(flow, {"_foreach_stack": [Frame(3), Frame(0)]})
    it.written(flow, {"_foreach_stack": [Frame(1)], "_iteration_stack": [2, 5]}, "2")
    it.written(flow, {"_foreach_stack": []}, "3")
    return [flow.get_task_datastore("1", "step", task).pathspec_index for task in ("1", "2", "3")]


@differing(ours=["<wrong value>"] * 4)
def ids_that_would_leave_the_folder_are_refused(it: Candidate) -> Any:
    flow = it.flow()
    return [
        it.outcome(partial(flow.get_task_datastore, one, "step", "1", attempt=0, mode="w"))
        for one in ("a/b", "", "../x", "/x")
    ]


@scenario
def spin_overrides_what_an_earlier_execution_left(it: Candidate) -> Any:
    origin, flow = it.flow(), it.flow()
    it.written(origin, {"a": 1, "b": 2, "_transition": "t"})
    spun = flow.get_task_datastore(
        "1", "step", "1", orig_flow_datastore=origin, spin_artifacts={"b": "mine", "c": None}
    )
    joined = flow.get_task_datastores(
        pathspecs=["1/step/1"], join_type="foreach", orig_flow_datastore=origin, spin_artifacts={"1/step/1": {"a": 9}}
    )
    return (
        spun["a"],
        spun["b"],
        spun.is_none("c"),
        "a" in spun,
        "zz" in spun,
        it.outcome(lambda: spun["zz"]),
        sorted(dict(spun.items())),
        [each["a"] for each in joined],
        type(spun).__name__,
    )


@scenario
def artifacts_are_transferred_to_another_root(it: Candidate) -> Any:
    other, flow = it.flow(root="other"), it.flow()
    it.written(other, {"a": b"x" * 100_000, "b": (2,), "c": 3})
    origin = other.get_task_datastore("1", "step", "1")
    store = flow.get_task_datastore("2", "step", "1", attempt=0, mode="w")
    store.init_task()
    store.transfer_artifacts(origin, ["a", "b", "zz"])
    recorded = dict(store.items())
    store.passdown_partial(origin, ["a", "b"])
    store.done()
    keys = [key for _, key in origin.items()]
    return recorded, flow.get_task_datastore("2", "step", "1").to_dict(), len(keys)


@scenario
def what_a_spun_step_inherits_is_copied_when_it_is_persisted(it: Candidate) -> Any:
    origin, flow = it.flow(root="other"), it.flow()
    it.written(origin, {"kept": b"k" * 1000, "changed": 1, "_transition": "t"})

    class Flow:
        _EPHEMERAL = frozenset({"_EPHEMERAL", "_datastore", "__annotations__"})

    made: Any = Flow()
    made.changed = 2
    made._datastore = flow.get_task_datastore("1", "step", "1", orig_flow_datastore=origin)
    store = flow.get_task_datastore("2", "step", "1", attempt=0, mode="w")
    store.init_task()
    flow.orig_datastore = origin  # what makes stock copy
    store.persist(made)
    store.done()
    return flow.get_task_datastore("2", "step", "1").to_dict(show_private=True)


@scenario
def blobs_are_transferred_under_their_keys(it: Candidate) -> Any:
    other, flow = it.flow(root="other"), it.flow()
    blobs = [b"one", b"", b"two" * 1000]
    keys = [saved.key for saved in other.ca_store.save_blobs(iter(blobs))]
    taken = list(other.ca_store.load_blobs(keys, is_transfer=True))
    again = flow.ca_store.save_blobs(iter(taken), is_transfer=True)
    return (
        sorted(bytes(blob) for _, blob, _ in taken),
        [type(meta).__name__ for _, _, meta in taken],
        {saved.key for saved in again} == set(keys),
        sorted(bytes(blob) for _, blob in flow.ca_store.load_blobs(keys)),
    )


@differing(ours=("<wrong value>", "<no blob>"))
def a_transferred_blob_is_what_its_key_says(it: Candidate) -> Any:
    flow = it.flow()
    [saved] = it.flow(root="other").ca_store.save_blobs([b"one"])
    [(key, _, meta)] = it.flow(root="other").ca_store.load_blobs([saved.key], is_transfer=True)
    items = [(saved.key, b"another", meta)]
    seen = it.outcome(lambda: [each.key == key for each in flow.ca_store.save_blobs(iter(items), is_transfer=True)])
    return seen, it.outcome(lambda: [bytes(blob) for _, blob in flow.ca_store.load_blobs([key])])


@scenario
def a_missing_blob_comes_after_those_that_are_there(it: Candidate) -> Any:
    flow = it.flow()
    keys = [saved.key for saved in flow.ca_store.save_blobs([b"one", b"two"])]
    absent = "0" * len(keys[0])
    seen: list[bytes] = []

    def load() -> None:
        seen.extend(bytes(blob) for _, blob in flow.ca_store.load_blobs([keys[0], keys[1], absent]))

    failed = isinstance(it.outcome(load), str)
    return failed, sorted(seen)


@scenario
def loads_begin_when_they_are_iterated(it: Candidate) -> Any:
    flow = it.flow()
    absent = "0" * len(flow.ca_store.save_blobs([b"one"])[0].key)
    asked: list[str] = []

    class Cache:
        def load_key(self, key: str) -> bytes | None:
            asked.append(key)
            return None

        def store_key(self, key: str, blob: bytes) -> None:
            """Keep nothing."""

    flow.ca_store.set_blob_cache(Cache())
    made = flow.load_data([absent]), flow.ca_store.load_blobs([absent])
    before = len(asked)
    failed = [isinstance(it.outcome(partial(list, each)), str) for each in made]
    return before, failed, len(asked)
