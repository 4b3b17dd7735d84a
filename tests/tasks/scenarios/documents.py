"""Metadata and logs."""

from __future__ import annotations

import json
from functools import partial
from io import BytesIO
from typing import Any

from tests.tasks.candidate import Candidate
from tests.tasks.scenarios.registry import differing, scenario


@scenario
def metadata_is_kept_by_name(it: Candidate) -> Any:
    flow = it.flow()
    store = it.written(flow, {}, done=False)
    store.save_metadata({"a": {"x": [1, None, "ü"]}, "b": (1, 2), "c": {1: 2}, "nan": float("inf"), "big": 1 << 100})
    store.save_metadata({"a": 2}, allow_overwrite=False)
    store.save_metadata({"b": 3})
    store.save_metadata({"plain": 4}, add_attempt=False)
    store.save_metadata({"surrogate": {"path": "\udcff"}, "order": {"b": {"z": 1, "y": 2}, "a": [1.5, -0.0]}})
    store.save_metadata({"deep": _nested(300), "twice": {1: "a", "1": "b"}})
    bad = it.outcome(lambda: store.save_metadata({"ok": 1, "bad": {1}}))
    has = [store.has_metadata(name) for name in ("a", "ok", "plain")]
    store.done()
    task = flow.get_task_datastore("1", "step", "1")
    return (
        bad,
        has,
        task.load_metadata(["a", "b", "c", "nan", "big", "zz", "ok", "surrogate", "deep", "twice"]),
        json.dumps(task.load_metadata(["order"])),
        task.load_metadata(["plain", "0.b"], add_attempt=False),
        task.has_metadata("plain", add_attempt=False),
        task.has_metadata("0.a", add_attempt=False),
        task.load_metadata([]),
    )


def _nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


@scenario
def state_and_record_can_be_asked_for_as_metadata(it: Candidate) -> Any:
    flow = it.flow()
    store = it.written(flow, {"a": 1}, done=False)
    before = [store.has_metadata(name) for name in ("attempt.json", "data.json", "DONE.lock")]
    store.done()
    task = flow.get_task_datastore("1", "step", "1")
    data = task.load_metadata(["attempt.json", "data.json", "DONE.lock"])
    return (
        before,
        [task.has_metadata(name) for name in ("attempt.json", "data.json", "DONE.lock")],
        task.has_metadata("0.DONE.lock", add_attempt=False),
        list(data["attempt.json"]),
        data["DONE.lock"],
        data["data.json"]["attempt"],
        data["data.json"]["version"],
        list(data["data.json"]["objects"]),
        task.METADATA_DATA_SUFFIX,
        task.METADATA_ATTEMPT_SUFFIX,
        task.METADATA_DONE_SUFFIX,
    )


@differing(ours=(1, 2))
def names_of_metadata_are_opaque(it: Candidate) -> Any:
    flow = it.flow()
    store = it.written(flow, {}, done=False)
    it.outcome(lambda: store.save_metadata({"a/b": 1}))
    it.outcome(lambda: store.save_metadata({"../x": 2}))
    store.done()
    task = flow.get_task_datastore("1", "step", "1")
    return (
        it.outcome(lambda: task.load_metadata(["a/b"])["a/b"]),
        it.outcome(lambda: task.load_metadata(["../x"])["../x"]),
    )


@differing(ours=["<wrong value>"] * 9)
def metadata_cannot_make_a_task_done(it: Candidate) -> Any:
    store = it.written(it.flow(), {}, done=False)
    names = ("DONE.lock", "data.json", "attempt.json")
    save, late = store.save_metadata, store._dangerous_save_metadata_post_done
    return [
        *(it.outcome(partial(save, {name: ""})) for name in names),
        *(it.outcome(partial(save, {f"0.{name}": ""}, add_attempt=False)) for name in names),
        *(it.outcome(partial(late, {f"0.{name}": ""}, add_attempt=False)) for name in names),
    ]


@scenario
def metadata_can_be_saved_after_done_by_its_dangerous_name(it: Candidate) -> Any:
    flow = it.flow()
    store = it.written(flow, {})
    store._dangerous_save_metadata_post_done({"_resume_done": True}, add_attempt=False)
    return flow.get_task_datastore("1", "step", "1").load_metadata(["_resume_done"], add_attempt=False)


@scenario
def logs_are_saved_whole_and_replaced(it: Candidate) -> Any:
    flow = it.flow()
    store = it.written(flow, {}, done=False)
    file = it.root.parent / f"{it.name}.log"
    file.write_bytes(b"from a file\n")
    store.save_logs("task", {"stdout": b"first", "stderr": "tüxt"})
    store.save_logs("task", {"stdout": BytesIO(b"second")})
    store.save_logs("runtime", {"stdout": file, "other": b""})
    odd = it.outcome(lambda: store.save_logs("task", {"x": 5})) is None
    store.done()
    task = flow.get_task_datastore("1", "step", "1")
    return (
        odd,
        sorted(task.load_logs(["task", "runtime", "zz"], "stdout")),
        task.load_logs(["task"], "stderr"),
        task.get_log_size(["task", "runtime", "zz"], "stdout"),
        task.get_log_size(["zz"], "stdout"),
        task.load_logs(["runtime"], "other"),
        task.get_legacy_log_size("stdout"),
        task.load_log_legacy("stdout"),
        task.load_logs(["task"], "stdout", attempt_override=3),
    )


@scenario
def scrubbed_logs_say_so(it: Candidate) -> Any:
    flow = it.flow()
    store = it.written(flow, {}, done=False)
    store.save_logs("task", {"stdout": b"secret", "stderr": b"secret"})
    store.done()
    flow.get_task_datastore("1", "step", "1", mode="d").scrub_logs(["task", "runtime"], "stdout")
    task = flow.get_task_datastore("1", "step", "1")
    return sorted(task.load_logs(["task", "runtime"], "stdout")), task.load_logs(["task"], "stderr")


@scenario
def the_location_of_a_log_tells_which_it_is(it: Candidate) -> Any:
    flow = it.flow()
    store = it.written(flow, {}, done=False)
    store.save_logs("task", {"stdout": b"said"})
    store.done()
    task = flow.get_task_datastore("1", "step", "1")
    places = [task.get_log_location("task", stream) for stream in ("stdout", "stderr")]
    return [isinstance(place, str) and place.startswith(str(it.root)) for place in places], places[0] != places[1]


@scenario
def a_log_from_before_there_were_sources_is_read_and_scrubbed(it: Candidate) -> Any:
    flow = it.flow()
    store = it.written(flow, {}, done=False)
    it.written_legacy_log(store, "stdout", b"said long ago")
    store.done()
    task = flow.get_task_datastore("1", "step", "1")
    before = task.load_log_legacy("stdout"), task.get_legacy_log_size("stdout"), task.load_logs(["task"], "stdout")
    flow.get_task_datastore("1", "step", "1", mode="d").scrub_logs(["task"], "stdout")
    return before, task.load_log_legacy("stdout"), task.load_log_legacy("stdout", attempt_override=1)
