"""What a serializer is: a stable tag, what it takes, bytes out of it and back."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["Dumped", "Serializer", "Trust"]

Trust: TypeAlias = Literal["pickle"] | None
"""`"pickle"`: pickles may be read, which runs code of whoever wrote them; None: they are refused."""

Dumped: TypeAlias = "bytes | Sequence[Buffer]"
"""A serialised value: bytes, or buffers that follow each other, which are read before the value changes."""


class Serializer(ABC):
    """Turns values of some types into bytes and back. What it loads is equal to what was dumped, and of its type.

    Attributes:
        tag: recorded with each artifact, so that it is loaded by the same serializer for ever: never change one.
        trust: `"pickle"` when loading may run code of whoever wrote the bytes.
        wants_memory: `load` keeps views of what it is given and lets them be written to: it gets memory of its own.
    """

    tag: ClassVar[str]
    trust: ClassVar[Trust] = None
    wants_memory: ClassVar[bool] = False

    @abstractmethod
    def accepts(self, value: object) -> bool:
        """Tell whether this value comes back equal and of the same type. In doubt: False."""

    @abstractmethod
    def dump(self, value: object) -> Dumped:
        """Serialise a value that was accepted. Raising hands the value on to the next serializer."""

    @abstractmethod
    def load(self, data: Buffer) -> object:
        """Make the value again; called for each artifact anew, so that no two share it."""
