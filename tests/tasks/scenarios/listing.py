"""Which tasks there are."""

from __future__ import annotations

from typing import Any

from tests.tasks.candidate import Candidate
from tests.tasks.scenarios.registry import differing, scenario


@scenario
def the_latest_attempts_of_a_run(it: Candidate) -> Any:
    flow = it.flow()
    for task, attempt, done in (
        ("1", 0, True),
        ("2", 0, True),
        ("2", 1, True),
        ("3", 0, True),
        ("3", 1, False),
        ("4", 0, False),
    ):
        it.written(flow, {"a": f"{task}.{attempt}"}, task, attempt=attempt, done=done)
    it.written(flow, {"a": "other"}, run="2")

    def seen(**kwargs: Any) -> Any:
        return sorted((ds.pathspec, ds.attempt) for ds in it.latest(flow, **kwargs))

    return (
        seen(run_id="1"),
        seen(run_id="1", steps=["step"]),
        seen(run_id="1", steps=[]),
        seen(run_id="1", steps=["zz"]),
        seen(run_id="zz"),
        seen(run_id="1", allow_not_done=True),
        [ds.get("a") for ds in it.latest(flow, run_id="2")],
    )


@scenario
def pathspecs_give_the_order_and_leave_out_what_is_not_there(it: Candidate) -> Any:
    flow = it.flow()
    for task in ("1", "2", "3"):
        it.written(flow, {"a": task}, task)
    it.written(flow, {"a": "x"}, "4", done=False)
    paths = ["1/step/3", "1/step/1", "1/step/9", "1/step/2", "1/step/4", "1/step/1"]
    return (
        [ds.task_id for ds in it.latest(flow, pathspecs=paths[:-1])],
        sorted(ds.task_id for ds in it.latest(flow, pathspecs=paths)),
        [ds.task_id for ds in it.latest(flow, run_id="zz", pathspecs=["1/step/2"])],
        [ds.get("a") for ds in it.latest(flow, pathspecs=["1/step/3", "1/step/2"])],
    )


@scenario
def attempts_can_be_chosen(it: Candidate) -> Any:
    flow = it.flow()
    for attempt, done in ((0, True), (1, False), (2, True), (3, False)):
        it.written(flow, {"a": attempt}, attempt=attempt, done=done)

    def seen(**kwargs: Any) -> Any:
        return sorted(ds.attempt for ds in flow.get_task_datastores("1", **kwargs))

    return [
        seen(attempt=number, include_prior=prior, allow_not_done=allow)
        for number in (None, 0, 1, 2, 3, 5, 6)
        for prior in (False, True)
        for allow in (False, True)
    ]


@differing(ours=[0])
def a_pathspec_may_name_an_attempt(it: Candidate) -> Any:
    flow = it.flow()
    it.written(flow, {"a": 1})
    it.written(flow, {"a": 2}, attempt=1)
    return it.outcome(lambda: [ds.attempt for ds in it.latest(flow, pathspecs=["1/step/1/0"])])


@differing(ours=[["5", "4", "3", "2", "1"], ["1", "2", "3", "4", "5"]])
def the_order_of_pathspecs_counts_across_runs(it: Candidate) -> Any:
    flow = it.flow()
    runs = ["1", "2", "3", "4", "5"]
    for run in runs:
        it.written(flow, {}, run=run)
    # Stock sorts by step and task alone: which run is first is left to a set, and is the same both times.
    return [
        [ds.run_id for ds in it.latest(flow, pathspecs=[f"{run}/step/1" for run in order])]
        for order in (runs[::-1], runs)
    ]


@differing(ours="<wrong value>")
def neither_run_nor_pathspecs_is_refused(it: Candidate) -> Any:
    return it.outcome(lambda: it.latest(it.flow()))
