"""Clones, artifacts that are passed down, flows that are persisted."""

from __future__ import annotations

from typing import Any

from tests.tasks.candidate import Candidate
from tests.tasks.scenarios.registry import differing, scenario


@scenario
def a_clone_has_everything_and_can_be_done(it: Candidate) -> Any:
    flow = it.flow()
    it.written(flow, {"a": 1, "b": [2]})
    origin = flow.get_task_datastore("1", "step", "1")
    clone = flow.get_task_datastore("2", "step", "1", attempt=0, mode="w")
    clone.init_task()
    clone.clone(origin)
    loaded = dict(clone.load_artifacts(["a"]))
    clone.done()
    return loaded, flow.get_task_datastore("2", "step", "1").to_dict()


@differing(ours=["a"])
def a_clone_shares_nothing_with_its_origin(it: Candidate) -> Any:
    flow = it.flow()
    it.written(flow, {"a": 1})
    origin = flow.get_task_datastore("1", "step", "1")
    clone = flow.get_task_datastore("2", "step", "1", attempt=0, mode="w")
    clone.clone(origin)
    clone.save_artifacts(iter([("new", 2)]))
    return list(origin)


@scenario
def some_artifacts_are_passed_down(it: Candidate) -> Any:
    flow = it.flow()
    it.written(flow, {"a": 1, "b": 2, "c": 3})
    origin = flow.get_task_datastore("1", "step", "1")
    store = flow.get_task_datastore("2", "step", "1", attempt=0, mode="w")
    store.init_task()
    store.save_artifacts(iter([("b", "mine"), ("d", 4)]))
    store.passdown_partial(origin, ["a", "b", "zz"])
    store.done()
    task = flow.get_task_datastore("2", "step", "1")
    return task.to_dict(), task.keys_for_artifacts(["a"]) == origin.keys_for_artifacts(["a"])


class Base:
    """A flow as far as `persist` looks at it."""

    _EPHEMERAL = frozenset({"ephemeral"})
    _datastore: Any = None

    @property
    def derived(self) -> int:
        return 1

    def method(self) -> None:
        """Not an artifact."""


@scenario
def persist_takes_the_attributes_of_a_flow(it: Candidate) -> Any:
    flow = it.flow()
    it.written(flow, {"inherited": "before", "x": "old"})
    made = Base()
    made.x, made._hidden, made.name, made.ephemeral = 1, 2, "n", 3  # type: ignore[attr-defined]
    made._datastore = flow.get_task_datastore("1", "step", "1")
    Base._EPHEMERAL = frozenset({"ephemeral", "_EPHEMERAL", "_datastore"})
    store = flow.get_task_datastore("2", "step", "1", attempt=0, mode="w")
    store.init_task()
    store.persist(made)
    store.done()
    idle = flow.get_task_datastore("3", "step", "1", attempt=0, mode="w", persist=False)
    idle.persist(made)
    return flow.get_task_datastore("2", "step", "1").to_dict(show_private=True), sorted(vars(made)), dict(idle.items())


@differing(ours={"shared": 1})
def a_class_variable_is_saved_and_stays(it: Candidate) -> Any:
    class WithVariable(Base):
        _EPHEMERAL = frozenset({"_EPHEMERAL", "_datastore"})
        shared = 1

    flow = it.flow()
    store = flow.get_task_datastore("2", "step", "1", attempt=0, mode="w")
    store.init_task()
    result = it.outcome(lambda: store.persist(WithVariable()))
    store.done()
    return result or flow.get_task_datastore("2", "step", "1").to_dict(show_private=True)
