"""What every peer can do, in the words of the benchmarks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from importlib import metadata
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

from benches import disk

if TYPE_CHECKING:
    from pathlib import Path

    from typing_extensions import Buffer

Take = Callable[["Buffer"], None]


def let_go(_blob: Buffer) -> None:
    """Take a loaded blob and keep nothing of it."""


class Peer(ABC):
    """A store in a folder, used the way its own documentation tells to use it for a batch of blobs.

    Every method is a coroutine; where the library blocks, so does the coroutine (`blocks`).
    """

    label: ClassVar[str]
    distributions: ClassVar[tuple[str, ...]]
    """The packages whose versions the results name."""
    syncs: ClassVar[bool]
    """Whether a save is durable when it returns; where it is not, the file system's sync is charged to it."""
    verifies: ClassVar[str]
    """What a load checks: "nothing", or the name of the check."""
    blocks: ClassVar[bool] = True
    splits: ClassVar[bool] = False
    """Whether it deduplicates parts of blobs; where it does not, a second version is a whole new blob."""
    outside: ClassVar[bool] = False
    """Whether the work is done in another process, whose memory is not measured."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    async def prepare(self, blobs: Sequence[bytes]) -> None:  # noqa: ARG002 - most have nothing to lay out
        """Lay out the blobs as the peer wants to be given them; not timed."""
        return

    @abstractmethod
    async def open(self) -> None:
        """Open the store, made if it is not there."""

    async def close(self) -> None:
        """Let go of the store."""
        return

    @abstractmethod
    async def save(self, blobs: Sequence[bytes]) -> list[str]:
        """Save a batch; the keys come in the blobs' order."""

    @abstractmethod
    async def load(self, keys: Sequence[str], take: Take) -> None:
        """Load blobs in any order, hand each to `take` and let go of it before the next."""

    @abstractmethod
    async def load_range(self, key: str, start: int, stop: int) -> Buffer:
        """Load part of a blob."""

    async def save_durably(self, blobs: Sequence[bytes]) -> list[str]:
        """Save a batch and do what is missing to survive a power cut."""
        keys = await self.save(blobs)
        if not self.syncs:
            disk.sync_file_system(self.folder)
        return keys

    @classmethod
    def version(cls) -> str:
        """Tell the versions of the packages measured."""
        return ", ".join(f"{name} {metadata.version(name)}" for name in cls.distributions)

    @classmethod
    def durability(cls) -> str:
        """Tell where the durability comes from."""
        return "its own syncs" if cls.syncs else "syncfs after it, charged"


@runtime_checkable
class KeepsNames(Protocol):
    """A peer that also keeps small JSON documents under names."""

    async def put_names(self, documents: Mapping[str, object]) -> None:
        """Put all documents in one durable batch."""

    def list_names(self, prefix: str, *, page: int) -> AsyncIterator[list[str]]:
        """List the names under a prefix, in order, so many at a time."""
