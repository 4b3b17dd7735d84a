"""What a case is: something measured on every peer, and the machine's limit of the same work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from benches import disk

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from benches.peers.contract import Peer
    from benches.scale import Scale

Metrics = dict[str, float]


@dataclass(frozen=True)
class Setting:
    """Where and on what a worker measures."""

    scale: Scale
    variant: str
    folder: Path
    round: int

    @property
    def scratch(self) -> Path:
        """The run's folder, in which `folder` lies."""
        return self.folder.parent

    def settle(self) -> None:
        """Write out what is dirty and let the disk come to rest before the clock runs."""
        disk.settle(self.folder, patience_seconds=self.scale.settle_seconds)


@dataclass(frozen=True)
class Column:
    """One measured figure in the printed table."""

    metric: str
    title: str
    digits: int = 0
    limit: str | None = None
    """The machine's metric that this one is set in relation to."""


@dataclass(frozen=True)
class Case:
    """A measurement; `run` and `limit` are called in a process of their own."""

    name: str
    title: str
    columns: tuple[Column, ...]
    run: Callable[[type[Peer], Setting], Awaitable[Metrics]]
    limit: Callable[[Setting], Awaitable[Metrics]] | None = None
    variants: Callable[[Scale], tuple[str, ...]] = lambda _scale: ("",)
    many_files: Callable[[str], bool] = lambda _variant: False
    """Whether a variant makes many small files: then nothing is deleted between its workers, because deleting slows
    the making of files for a while."""
    ours_alone: bool = False
    """Measured on ours unless other peers are asked for by name."""
    inside: bool = False
    """Means something only for peers that work in this process."""
    only: tuple[str, ...] | None = None
    """The peers that can do it at all; None for all."""
    rounds: int | None = None
    """How many rounds at most, where one already repeats itself."""
