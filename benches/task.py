"""What a worker is told and what it tells, as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field


@dataclass(frozen=True)
class Task:
    """One case on one peer, once."""

    case: str
    variant: str
    peer: str
    round: int
    scale: str
    folder: str

    @property
    def what(self) -> tuple[str, str, str, int]:
        """Case, variant, peer and round: what tells it from the others of a run."""
        return self.case, self.variant, self.peer, self.round

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Task:
        return cls(**json.loads(text))


@dataclass(frozen=True)
class Outcome:
    """What came of a task: figures, or why there are none."""

    task: Task
    seconds: float
    metrics: dict[str, float] = field(default_factory=dict)
    error: str | None = None
    commit: str = ""
    """Of the repository, when it was measured; with a `+` where files were changed since."""

    @classmethod
    def from_answer(cls, task: Task, seconds: float, answer: str) -> Outcome:
        told = json.loads(answer)
        return cls(task, seconds, told.get("metrics", {}), told.get("error"))
