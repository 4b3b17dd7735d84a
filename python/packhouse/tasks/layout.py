"""Where the facts of a task stand among a store's names.

| name | document |
| --- | --- |
| `tasks/state/FLOW/RUN/STEP/TASK.N.started` | when attempt N began |
| `tasks/state/FLOW/RUN/STEP/TASK.N.done` | that it is done |
| `tasks/record/FLOW/RUN/STEP/TASK/N` | its artifacts: keys, sizes, types, locators; refers to their blobs |
| `tasks/meta/FLOW/RUN/STEP/TASK/FILE` | metadata, by the file's name that Metaflow would give it |
| `tasks/log/FLOW/RUN/STEP/TASK/N/SOURCE/STREAM` | a log as it was saved; `…/GENERATION.NUMBER`: what was appended |

The state of a task is in names alone, all tasks of a step in one folder: one listing tells it for all of them. In each
part `%`, `/` and what would be no name are written as `%` and two hex digits.
"""

from __future__ import annotations

from typing import NamedTuple

from packhouse.errors import InvalidInput

__all__ = [
    "ATTEMPT",
    "DATA",
    "DONE",
    "MAX_ATTEMPTS",
    "META",
    "TaskId",
    "flow_prefix",
    "part",
    "read_step",
    "unpart",
]

ATTEMPT, DONE, DATA = "attempt.json", "DONE.lock", "data.json"
"""The names under which Metaflow keeps state and record of an attempt among its metadata."""

MAX_ATTEMPTS = 6
"""Attempts are numbered 0 to 5, as Metaflow's."""

STATE = "tasks/state"
META = "tasks/meta/"
"""What the names of metadata begin with, and of nothing else."""


class TaskId(NamedTuple):
    """A task, and the names of what belongs to it."""

    flow: str
    run_id: str
    step_name: str
    task_id: str

    @classmethod
    def checked(cls, flow: object, run_id: object, step_name: object, task_id: object) -> TaskId:
        """Make one of what a caller gave.

        Raises:
            InvalidInput: one of them is empty, no `str`, or has a `/`: it could not stand in a pathspec.
        """
        names = ("flow_name", "run_id", "step_name", "task_id")
        values = (flow, run_id, step_name, task_id)
        return cls(*(_checked(value, name) for value, name in zip(values, names, strict=True)))

    @property
    def pathspec(self) -> str:
        """`run/step/task`."""
        return f"{self.run_id}/{self.step_name}/{self.task_id}"

    def __str__(self) -> str:
        return "/".join(self)

    def file(self, name: str, attempt: int | None) -> str:
        """Return the name of the document for one of Metaflow's files; `attempt` None for one without attempt."""
        number, dot, rest = name.partition(".")
        if attempt is None and dot and number.isascii() and number.isdigit() and rest in (ATTEMPT, DONE, DATA):
            return self.file(rest, int(number))
        if attempt is None or name not in (ATTEMPT, DONE, DATA):
            return self._under("meta", name if attempt is None else f"{attempt}.{name}")
        if name == DATA:
            return self._under("record", str(attempt))
        suffix = "started" if name == ATTEMPT else "done"
        return f"{flow_prefix(self.flow, self.run_id, self.step_name)}{part(self.task_id)}.{attempt}.{suffix}"

    def log(self, source: str, stream: str, attempt: int | None) -> str:
        """Return the name of a log."""
        number = "-" if attempt is None else str(attempt)
        return f"{self._under('log', number)}/{part(source)}/{part(stream)}"

    def logs(self, attempt: int | None) -> str:
        """Return what the names of all logs of an attempt begin with."""
        return f"{self._under('log', '-' if attempt is None else str(attempt))}/"

    def _under(self, kind: str, last: str) -> str:
        return "/".join((f"tasks/{kind}", *map(part, self), part(last)))


def flow_prefix(*parts: str) -> str:
    """Return what the states of a flow, a run or a step begin with; of all flows without any."""
    return "/".join((STATE, *map(part, parts), ""))


def read_step(name: str) -> tuple[str, str, str]:
    """Read flow, run and step out of what stands before the last `/` of a state's name."""
    flow, run_id, step_name = map(unpart, name.removeprefix(f"{STATE}/").split("/"))
    return flow, run_id, step_name


def part(text: str) -> str:
    """Write any text as one part of a name."""
    if text in ("", ".", ".."):
        return f"%{''.join(f'{ord(char):02x}' for char in text)}"
    return text.replace("%", "%25").replace("/", "%2f")


def unpart(text: str) -> str:
    """Read what `part` wrote."""
    if "%" not in text:
        return text
    if text in ("%", "%2e", "%2e2e"):
        return {"%": "", "%2e": ".", "%2e2e": ".."}[text]
    return text.replace("%2f", "/").replace("%25", "%")


def _checked(value: object, name: str) -> str:
    if isinstance(value, str) and value and "/" not in value:
        return value
    raise InvalidInput(f"{name} is text without '/', not {value!r}", kind="task")
