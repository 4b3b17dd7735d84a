"""What the operations of one open store share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import anyio

from packhouse import _engine

if TYPE_CHECKING:
    from packhouse.blobs.commits import Committer
    from packhouse.blobs.jobs import Jobs
    from packhouse.blobs.session import Session

__all__ = ["Core"]

_CHANGES = 32


@dataclass(slots=True)
class Core:
    """An open store from the inside: the engine, the ways to it, and what is on its way."""

    engine: _engine.Store
    jobs: Jobs
    committer: Committer
    budget: int
    fetches: int
    """Groups of blobs that one load fetches at once, within the budget."""
    sessions: set[Session] = field(default_factory=set)
    documents: _engine.Names | None = None
    changing: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(_CHANGES))
    """The threads in which names are changed: they wait for other processes' locks, which nothing else waits behind."""

    def names(self) -> _engine.Names:
        """Return the engine's named documents, made at the first use; in a worker thread."""
        documents = self.documents
        if documents is None:
            documents = self.documents = _engine.Names(self.engine)
        return documents
