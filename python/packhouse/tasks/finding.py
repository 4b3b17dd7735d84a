"""Which attempts of which tasks are meant: listings for runs and steps, direct looks for pathspecs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from packhouse.errors import InvalidInput
from packhouse.tasks.files import Attempts, find_attempts
from packhouse.tasks.layout import MAX_ATTEMPTS, TaskId, flow_prefix, read_step, unpart

if TYPE_CHECKING:
    from packhouse.blobs.store import BlobStore

__all__ = ["Found", "all_attempts", "find_tasks"]

_PAGE = 10_000
_DEPTH = 4  # tasks/state/FLOW/RUN/STEP
_DIGITS = 19
_LOOKED_AT = 16  # so many tasks of one step are looked at one by one before the step is listed


class Found(NamedTuple):
    """One attempt."""

    task: TaskId
    attempt: int
    is_done: bool


class _Wanted(NamedTuple):
    task: TaskId
    attempt: int | None


async def find_tasks(
    store: BlobStore,
    flow: str,
    run_id: str | None,
    steps: Iterable[str] | None,
    pathspecs: Iterable[str] | None,
    *,
    allow_not_done: bool,
    attempt: int | None,
    include_prior: bool,
) -> list[Found]:
    """Apply Metaflow's rule: the latest attempt that has begun counts, and only when it is done.

    A newer attempt that is not done hides an older one that is.
    """
    if attempt is not None and attempt >= MAX_ATTEMPTS:
        attempt = None
    wanted = [_Wanted(*_read(flow, pathspec)) for pathspec in pathspecs or ()]
    asked: Sequence[tuple[TaskId, int | None]]
    if wanted:
        known = await _look(store, list(dict.fromkeys(task for task, _ in wanted)))
        asked = list(dict.fromkeys(wanted))
    else:
        known = await _list(store, flow, run_id, steps)
        asked = [(task, None) for task in known]
    found = [
        Found(task, *one)
        for task, number in asked
        for one in _choose(
            known[task],
            attempt if number is None else number,
            allow_not_done=allow_not_done,
            include_prior=include_prior and number is None,
        )
    ]
    return list(dict.fromkeys(found)) if wanted else found


@lru_cache(maxsize=1024)  # most tasks of a run are alike
def _choose(
    attempts: Attempts, attempt: int | None, *, allow_not_done: bool, include_prior: bool
) -> tuple[tuple[int, bool], ...]:
    last = MAX_ATTEMPTS - 1 if attempt is None else attempt
    exact = attempt is not None and not include_prior
    begun = {number for number in attempts.started if (number == attempt if exact else number <= last)}
    done = {number for number in attempts.done if (number == attempt if exact else number <= last)}
    latest = {max(begun)} if begun else set()
    if include_prior:
        chosen = done | latest if allow_not_done else done
    else:
        chosen = latest if allow_not_done else latest & done
    return tuple((number, number in done) for number in sorted(chosen))


async def all_attempts(store: BlobStore, *parts: str) -> dict[TaskId, Attempts]:
    """List a flow, a run or a step, or all flows: every task with its attempts, in order."""
    states: dict[str, str] = {}
    listing = store.names.list(flow_prefix(*parts))
    while names := await listing.page(_PAGE):
        for name in names:
            dot = name.rfind(".", 0, name.rfind("."))
            task = name[:dot]
            states[task] = states.get(task, "") + name[dot:]  # `.0.done.0.started`: most tasks of a run are alike
    steps: dict[str, dict[str, str]] = {}
    for name, state in states.items():
        step, _, task = name.rpartition("/")
        steps.setdefault(step, {})[task] = state
    found: dict[TaskId, Attempts] = {}
    for where, name in sorted((read_step(name), name) for name in steps if name.count("/") == _DEPTH):
        tasks = steps[name]
        for task in _in_order(tasks):
            attempts = _attempts(tasks[task])
            if attempts is not None:
                found[TaskId(*where, unpart(task))] = attempts
    return found


@lru_cache(maxsize=1024)
def _attempts(states: str) -> Attempts | None:
    """Read the states of one task, put together; None where they are something else."""
    parts = states.split(".")[1:]
    known: dict[str, set[int]] = {"started": set(), "done": set()}
    for number, state in zip(parts[::2], parts[1::2], strict=False):
        if state in known and number.isascii() and number.isdigit():
            known[state].add(int(number))
    return Attempts(frozenset(known["started"]), frozenset(known["done"])) if any(known.values()) else None


async def _list(store: BlobStore, flow: str, run_id: str | None, steps: Iterable[str] | None) -> dict[TaskId, Attempts]:
    if run_id is None:
        raise InvalidInput("to find tasks a run_id or pathspecs are needed", kind="task")
    wanted = list(dict.fromkeys(steps or ()))
    for step in wanted or ["step"]:
        TaskId.checked(flow, run_id, step, "task")
    found: dict[TaskId, Attempts] = {}
    for step in wanted:
        found |= await all_attempts(store, flow, run_id, step)
    if not wanted:
        found = await all_attempts(store, flow, run_id)
    return found


async def _look(store: BlobStore, tasks: list[TaskId]) -> dict[TaskId, Attempts]:
    steps: dict[tuple[str, ...], list[TaskId]] = {}
    for task in tasks:
        steps.setdefault(task[:3], []).append(task)
    found: dict[TaskId, Attempts] = {}
    few = [task for members in steps.values() if len(members) <= _LOOKED_AT for task in members]
    for parts, members in steps.items():
        if len(members) > _LOOKED_AT:
            listed = await all_attempts(store, *parts)
            found |= {task: listed.get(task, Attempts(frozenset(), frozenset())) for task in members}
    return found | await find_attempts(store, few)


def _read(flow: str, pathspec: object) -> tuple[TaskId, int | None]:
    parts = pathspec.strip("/").split("/") if isinstance(pathspec, str) else []
    if len(parts) not in (3, 4) or (len(parts) == 4 and not (parts[3].isascii() and parts[3].isdigit())):
        raise InvalidInput(f"a pathspec is run/step/task or run/step/task/attempt, not {pathspec!r}", kind="task")
    return TaskId.checked(flow, *parts[:3]), int(parts[3]) if len(parts) == 4 else None


def _in_order(task_ids: Collection[str]) -> list[str]:
    together = "".join(task_ids)
    if together.isascii() and together.isdigit() and max(map(len, task_ids)) < _DIGITS:
        return sorted(task_ids, key=int)
    return sorted(task_ids, key=_natural)


def _natural(task_id: str) -> tuple[int, int, str]:
    number = task_id.isascii() and task_id.isdigit() and len(task_id) < _DIGITS
    return (0, int(task_id), "") if number else (1, 0, task_id)
