"""Saving and loading artifacts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.tasks.candidate import Candidate
from tests.tasks.scenarios.registry import differing, scenario


class Opaque:
    """A value that only pickle can say."""

    def __init__(self, value: int) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Opaque) and other.value == self.value

    def __hash__(self) -> int:
        return hash(self.value)


class Unpicklable:
    """A value that refuses."""

    def __reduce__(self) -> Any:
        raise TypeError("not this one")


VALUES: dict[str, Any] = {
    "none": None,
    "true": True,
    "int": 3,
    "big": 1 << 200,
    "float": 1.5,
    "text": "grüße",
    "empty": "",
    "bytes": b"\0\xff",
    "list": [1, [2, "x"], None],
    "dict": {"b": 1, "a": [2]},
    "tuple": (1, 2),
    "set": {1, 2},
    "keys": {1: "x", (2,): 3},
    "opaque": Opaque(7),
    "surrogate": "\udc80",
    "nan": [float("inf")],
    "": "empty name",
    "../x": 1,
    "x" * 1000: 2,
    "_private": 4,
    "name": 5,
}


@scenario
def artifacts_come_back_equal_and_of_their_types(it: Candidate) -> Any:
    flow = it.flow()
    it.written(flow, VALUES)
    loaded = dict(flow.get_task_datastore("1", "step", "1").load_artifacts(list(VALUES)))
    return {
        name: (type(value).__name__, repr(value) if name != "opaque" else value.value) for name, value in loaded.items()
    }


@scenario
def an_attempt_without_artifacts_can_be_done(it: Candidate) -> Any:
    flow = it.flow()
    it.written(flow)
    task = flow.get_task_datastore("1", "step", "1")
    return (
        it.outcome(lambda: list(task.load_artifacts([]))) == it.outcome(lambda: list(task.load_artifacts(["x"]))),
        task.get("x", 5),
        task.is_none("x"),
        "x" in task,
        list(task),
        dict(task.items()),
        task.to_dict(),
    )


@scenario
def unknown_names_are_key_errors_when_iterated(it: Candidate) -> Any:
    flow = it.flow()
    it.written(flow, {"a": 1})
    task = flow.get_task_datastore("1", "step", "1")
    iterator = task.load_artifacts(["nope"])
    return (
        it.outcome(lambda: next(iter(iterator))),
        it.outcome(lambda: task["nope"]),
        task.get("nope", 9),
        task.is_none("nope"),
        task.keys_for_artifacts(["nope", "a"])[0],
        dict(task.load_artifacts([])),
    )


@scenario
def a_stored_none_is_none_and_not_the_default(it: Candidate) -> Any:
    flow = it.flow()
    it.written(flow, {"a": None, "b": 0})
    task = flow.get_task_datastore("1", "step", "1")
    return task.get("a", 7), task.is_none("a"), task.is_none("b"), task.get("c")


@scenario
def equal_contents_are_distinct_objects(it: Candidate) -> Any:
    flow = it.flow()
    it.written(flow, {"a": [1, 2], "b": [1, 2], "c": (3, [4])})
    task = flow.get_task_datastore("1", "step", "1")
    loaded = dict(task.load_artifacts(["a", "b"]))
    same_key = len(set(task.keys_for_artifacts(["a", "b"])))
    twice = [value for _, value in task.load_artifacts(["c", "c"])]
    return loaded["a"] is loaded["b"], same_key, len(twice), twice[0] is twice[1]


@scenario
def the_last_of_equal_names_counts(it: Candidate) -> Any:
    flow = it.flow()
    store = flow.get_task_datastore("1", "step", "1", attempt=0, mode="w")
    store.init_task()
    store.save_artifacts(iter([("a", 1), ("b", 2), ("a", 3)]))
    store.save_artifacts(iter([("b", 4)]), len_hint=1)
    store.done()
    return flow.get_task_datastore("1", "step", "1").to_dict()


@scenario
def the_iterable_is_consumed_lazily_and_once(it: Candidate) -> Any:
    flow = it.flow()
    seen: list[str] = []

    def pairs() -> Iterator[tuple[str, Any]]:
        for name in ("a", "b"):
            seen.append(name)
            yield name, name
        seen.append("end")

    store = flow.get_task_datastore("1", "step", "1", attempt=0, mode="w")
    store.init_task()
    source = pairs()
    before = list(seen)
    store.save_artifacts(source)
    store.save_artifacts(iter([]))
    return before, seen, list(source)


@scenario
def what_the_producer_raises_passes_through(it: Candidate) -> Any:
    flow = it.flow()

    def pairs() -> Iterator[tuple[str, Any]]:
        yield "a", 1
        raise ZeroDivisionError

    store = flow.get_task_datastore("1", "step", "1", attempt=0, mode="w")
    store.init_task()
    first = it.outcome(lambda: store.save_artifacts(pairs()))
    store.save_artifacts(iter([("b", 2)]))
    store.done()
    return first, flow.get_task_datastore("1", "step", "1").to_dict()


@scenario
def an_unpicklable_value_is_named_and_nothing_of_its_batch_is_recorded(it: Candidate) -> Any:
    flow = it.flow()
    store = flow.get_task_datastore("1", "step", "1", attempt=0, mode="w")
    store.init_task()
    named = ""
    try:
        store.save_artifacts(iter([("good", 1), ("the-bad-one", Unpicklable())]))
    except Exception as error:  # noqa: BLE001 - each implementation's own
        named = f"{it.meaning(error)} {'the-bad-one' in str(error)}"
    return named, "good" in store, dict(store.items())


@differing(ours="<unpicklable>")
def a_lambda_is_as_unpicklable_as_anything(it: Candidate) -> Any:
    store = it.flow().get_task_datastore("1", "step", "1", attempt=0, mode="w")
    return it.outcome(lambda: store.save_artifacts(iter([("f", lambda: 1)])))


@differing(ours=([], []))
def a_failed_batch_leaves_nothing_in_the_record(it: Candidate) -> Any:
    store = it.flow().get_task_datastore("1", "step", "1", attempt=0, mode="w")
    it.outcome(lambda: store.save_artifacts(iter([("good", 1), ("bad", Unpicklable())])))
    return list(store.ds_metadata["objects"]), list(store.ds_metadata["info"])


@differing(ours=("<wrong value>", "<wrong value>", "<wrong value>"))
def names_of_artifacts_are_text(it: Candidate) -> Any:
    def save(name: Any) -> Any:
        store = it.flow().get_task_datastore("1", "step", "1", attempt=0, mode="w")
        store.init_task()
        store.save_artifacts(iter([(name, 1)]))
        store.done()
        return list(it.flow().get_task_datastore("1", "step", "1"))

    return it.outcome(lambda: save(7)), it.outcome(lambda: save(None)), it.outcome(lambda: save((1, 2)))


@scenario
def a_huge_artifact_comes_back(it: Candidate) -> Any:
    flow = it.flow()
    huge = bytes(range(256)) * (64 << 12)
    it.written(flow, {"huge": huge, "beside": 1})
    task = flow.get_task_datastore("1", "step", "1")
    return task["huge"] == huge, task["beside"], dict(task.get_artifact_sizes(["huge"]))["huge"] >= len(huge)


@scenario
def artifacts_are_listed_in_the_order_in_which_they_were_saved(it: Candidate) -> Any:
    flow = it.flow(**it.as_upstream)
    it.written(flow, {"b": 1, "a": 2, "_c": 3})
    task = flow.get_task_datastore("1", "step", "1")
    shown = list(task.to_dict(show_private=True))
    return list(task), [name for name, _ in task.items()], shown, list(task.ds_metadata["info"])
