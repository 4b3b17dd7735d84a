"""Modes, attempts and the done rule; sizes and text."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from tests.tasks.candidate import Candidate
from tests.tasks.scenarios.registry import differing, scenario


@scenario
def every_method_keeps_to_its_mode(it: Candidate) -> Any:
    flow = it.flow()
    writer = it.written(flow, {"a": 1})
    reader = flow.get_task_datastore("1", "step", "1")
    remover = flow.get_task_datastore("1", "step", "1", mode="d")
    other = flow.get_task_datastore("1", "step", "2", attempt=0, mode="w")
    calls: dict[str, Callable[[Any], Any]] = {
        "init_task": lambda ds: ds.init_task(),
        "save_artifacts": lambda ds: ds.save_artifacts(iter([])),
        "save_metadata": lambda ds: ds.save_metadata({}),
        "_dangerous": lambda ds: ds._dangerous_save_metadata_post_done({}),
        "clone": lambda ds: ds.clone(reader),
        "passdown_partial": lambda ds: ds.passdown_partial(reader, []),
        "transfer_artifacts": lambda ds: ds.transfer_artifacts(reader),
        "persist": lambda ds: ds.persist(None) if ds is not other else None,
        "save_logs": lambda ds: ds.save_logs("task", {}),
        "load_metadata": lambda ds: len(ds.load_metadata([])),
        "get_artifact_sizes": lambda ds: ds.get_artifact_sizes([]) and None,
        "get_log_size": lambda ds: ds.get_log_size(["task"], "stdout"),
        "get_legacy_log_size": lambda ds: ds.get_legacy_log_size("stdout"),
        "load_logs": lambda ds: ds.load_logs(["task"], "stdout"),
        "load_log_legacy": lambda ds: ds.load_log_legacy("stdout"),
        "keys_for_artifacts": lambda ds: ds.keys_for_artifacts([]),
        "is_none": lambda ds: ds.is_none("zz"),
        "format": lambda ds: ds.format() and None,
        "iter": lambda ds: iter(ds) and None,
        "str": lambda ds: str(ds) and None,
        "scrub_logs": lambda ds: ds.scrub_logs(["task"], "stdout"),
        "get": lambda ds: ds.get("zz"),
        "contains": lambda ds: "zz" in ds,
        "to_dict": lambda ds: ds.to_dict(include=["zz"]),
        "has_metadata": lambda ds: ds.has_metadata("zz"),
        "get_log_location": lambda ds: ds.get_log_location("task", "stdout") and None,
    }
    stores = (writer, reader, remover, other)
    return {name: [it.outcome(partial(call, ds)) for ds in stores] for name, call in calls.items()}


@scenario
def what_is_done_does_not_change_but_a_second_object_writes_on(it: Candidate) -> Any:
    flow = it.flow()
    first = it.written(flow, {"a": 1})
    second = flow.get_task_datastore("1", "step", "1", attempt=0, mode="w")
    second.save_artifacts(iter([("b", 2)]))
    second.done()
    return it.outcome(first.done), flow.get_task_datastore("1", "step", "1").to_dict()


@scenario
def a_task_is_read_only_when_its_latest_attempt_is_done(it: Candidate) -> Any:
    flow = it.flow()
    seen = [it.outcome(lambda: flow.get_task_datastore("1", "step", "1"))]
    it.written(flow, {"a": 1}, done=False)
    seen.append(it.outcome(lambda: flow.get_task_datastore("1", "step", "1")))
    it.written(flow, {"a": 2})
    seen.append(flow.get_task_datastore("1", "step", "1").get("a"))
    it.written(flow, {"a": 3}, attempt=1, done=False)
    seen.append(it.outcome(lambda: flow.get_task_datastore("1", "step", "1")))
    seen.append(flow.get_task_datastore("1", "step", "1", attempt=0).get("a"))
    seen.append(flow.get_task_datastore("1", "step", "1", attempt=5).to_dict())
    it.written(flow, {"a": 4}, attempt=1)
    task = flow.get_task_datastore("1", "step", "1")
    return [*seen, task.get("a"), task.attempt]


@differing(ours="<misuse>")
def a_mode_that_there_is_not_is_refused(it: Candidate) -> Any:
    flow = it.flow()
    it.written(flow, {"a": 1})
    return it.outcome(lambda: flow.get_task_datastore("1", "step", "1", mode="x"))


@differing(ours=(0, {}, False, True))
def an_attempt_that_is_not_done_has_no_artifacts(it: Candidate) -> Any:
    flow = it.flow()
    it.written(flow, {"a": 1}, done=False)
    task = flow.get_task_datastore("1", "step", "1", allow_not_done=True)
    return (
        task.attempt,
        it.outcome(task.to_dict),
        it.outcome(lambda: "a" in task),
        it.outcome(lambda: task.is_none("a")),
    )


@differing(ours=2)
def an_attempt_after_a_gap_is_found(it: Candidate) -> Any:
    flow = it.flow()
    it.written(flow, {"a": 1})
    it.written(flow, {"a": 2}, attempt=2)
    return flow.get_task_datastore("1", "step", "1").attempt


@differing(ours="<wrong value>")
def an_attempt_that_would_never_be_found_is_refused(it: Candidate) -> Any:
    flow = it.flow()
    it.outcome(lambda: it.written(flow, {"a": 1}, attempt=6)) and None
    return it.outcome(lambda: flow.get_task_datastore("1", "step", "1", attempt=6, mode="w") and None)


@scenario
def believed_metadata_is_not_checked(it: Candidate) -> Any:
    flow = it.flow()
    known = flow.get_task_datastore("9", "step", "9", attempt=0, data_metadata={"objects": {"a": "k"}, "info": {}})
    return known.keys_for_artifacts(["a"]), "a" in known, known.attempt


@scenario
def mode_d_needs_a_done_attempt_unless_allowed(it: Candidate) -> Any:
    flow = it.flow()
    it.written(flow, {"a": 1}, done=False)
    first = it.outcome(lambda: flow.get_task_datastore("1", "step", "1", mode="d"))
    allowed = flow.get_task_datastore("1", "step", "1", mode="d", allow_not_done=True)
    return first, allowed.attempt, "a" in allowed


@scenario
def sizes_and_types_are_known_without_loading(it: Candidate) -> Any:
    flow = it.flow(**it.as_upstream)
    it.written(flow, {"a": [1] * 100, "b": "x" * 5000, "c": None})
    task = flow.get_task_datastore("1", "step", "1")
    return dict(task.get_artifact_sizes(["a", "b", "c"])), task.ds_metadata["info"], task.format(max_value_size=1000)


@differing(ours="<no artifact>")
def the_size_of_an_unknown_artifact_is_a_key_error(it: Candidate) -> Any:
    flow = it.flow()
    it.written(flow, {"a": 1})
    return it.outcome(lambda: dict(flow.get_task_datastore("1", "step", "1").get_artifact_sizes(["zz"])))


@scenario
def dicts_and_text_show_what_was_asked_for(it: Candidate) -> Any:
    flow = it.flow(**it.as_upstream)
    it.written(flow, {"a": 1, "_b": 2, "c": "x" * 2000})
    task = flow.get_task_datastore("1", "step", "1")
    shown = {name: str(value) for name, value in task.to_dict(max_value_size=100).items()}
    return (
        shown,
        task.to_dict(show_private=True, include=["a", "_b"]),
        task.to_dict(include=["_b"]),
        task.to_dict(include=[]) == task.to_dict(),
        str(task),
        task.format(show_private=True, include=["_b"]),
    )


@scenario
def values_are_shown_whatever_form_they_are_kept_in(it: Candidate) -> Any:
    flow = it.flow()
    it.written(
        flow, {"a": 1, "_b": 2, "c": "x" * 2000, "text": "", "bytes": b"", "list": [], "none": None, "set": set()}
    )
    task = flow.get_task_datastore("1", "step", "1")
    shown = {name: str(value) for name, value in task.to_dict(max_value_size=100).items()}
    sizes = dict(task.get_artifact_sizes(["c"]))["c"] >= 2000
    lines = [(line.split()[0], line.partition(" = ")[2]) for line in str(task).splitlines()]
    return shown, task.to_dict(show_private=True), task.to_dict(include=["text", "_b"]), sizes, lines
