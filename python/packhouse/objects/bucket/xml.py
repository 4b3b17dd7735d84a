"""What a service answers, as a tree: no document type, no entities, bounded depth and size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat
from xml.sax.saxutils import escape

from packhouse.errors import StorageError
from packhouse.turns import Turns

__all__ = ["Element", "escape", "name_of", "parse", "parse_long"]

_DEEPEST = 12
_MOST = 200_000
_PIECE = 8 << 10
"""Bytes of a long document that are read before it is asked whether the loop is due its turn: half a millisecond."""


@dataclass(slots=True)
class Element:
    """An element: its name without a namespace, its text, what is inside."""

    name: str
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def all(self, name: str) -> Iterator[Element]:
        """Tell the children of that name."""
        return (child for child in self.children if child.name == name)

    def get(self, name: str, default: str = "") -> str:
        """Return the text of the first child of that name."""
        return next((child.text for child in self.all(name)), default)


def parse(document: bytes | bytearray | memoryview, what: str) -> Element:
    """Read a document.

    Raises:
        StorageError: it is none, or one of the kind that only an attacker sends (`bad-answer`).
    """
    tree = _Tree(what)
    tree.feed(bytes(document).strip(), last=True)
    return tree.root


async def parse_long(document: bytes | bytearray | memoryview, what: str) -> Element:
    """Read a document that may be long, a list of a thousand names for instance, and leave the event loop its turns.

    Raises:
        StorageError: as `parse` says.
    """
    tree, turns = _Tree(what), Turns()
    whole = memoryview(bytes(document).strip())
    for start in range(0, len(whole), _PIECE):
        tree.feed(whole[start : start + _PIECE], last=False)
        if turns.due():
            await turns.give()
    tree.feed(b"", last=True)
    return tree.root


def name_of(document: bytes | bytearray | memoryview, what: str) -> str:
    """Return the name of what a document consists of, of a long one without reading all of it.

    Raises:
        StorageError: as `parse` says, as far as it was read.
    """
    if len(document) <= _PIECE:
        return parse(document, what).name
    tree = _Tree(what)
    tree.feed(bytes(document[:_PIECE]).lstrip(), last=False)
    return tree.name


class _Tree:
    """A document that is being read.

    Args:
        what: the operation, for messages.
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._outside = Element("")
        self._open = [self._outside]
        self._count = 0
        parser = self._parser = expat.ParserCreate(namespace_separator="}")
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.StartDoctypeDeclHandler = _refuse
        parser.EntityDeclHandler = _refuse
        parser.buffer_text = True

    @property
    def root(self) -> Element:
        """What the document consists of, once all of it is read."""
        return self._outside.children[0]

    @property
    def name(self) -> str:
        """The name of what it consists of; empty before that has begun."""
        return next((child.name for child in self._outside.children), "")

    def feed(self, piece: bytes | memoryview, *, last: bool) -> None:
        """Read on."""
        try:
            self._parser.Parse(piece, last)
        except (expat.ExpatError, ValueError) as error:
            message = f"cannot {self._what}: the answer is no XML that can be used"
            raise StorageError(message, kind="bad-answer") from error

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        del attributes
        self._count += 1
        if self._count > _MOST or len(self._open) > _DEEPEST:
            raise ValueError("too large")
        element = Element(name.rpartition("}")[2])
        self._open[-1].children.append(element)
        self._open.append(element)

    def _end(self, name: str) -> None:
        del name
        self._open.pop()

    def _text(self, data: str) -> None:
        self._open[-1].text += data


def _refuse(*arguments: object) -> None:
    del arguments
    raise ValueError("a document type")
