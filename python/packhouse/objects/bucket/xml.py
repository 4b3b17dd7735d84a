"""What a service answers, as a tree: no document type, no entities, bounded depth and size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat
from xml.sax.saxutils import escape

from packhouse.errors import StorageError

__all__ = ["Element", "escape", "parse"]

_DEEPEST = 12
_MOST = 200_000


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
    parser = expat.ParserCreate(namespace_separator="}")
    root = Element("")
    open_elements = [root]
    count = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        del attributes
        nonlocal count
        count += 1
        if count > _MOST or len(open_elements) > _DEEPEST:
            raise ValueError("too large")
        element = Element(name.rpartition("}")[2])
        open_elements[-1].children.append(element)
        open_elements.append(element)

    def end(name: str) -> None:
        del name
        open_elements.pop()

    def text(data: str) -> None:
        open_elements[-1].text += data

    def refuse(*arguments: object) -> None:
        del arguments
        raise ValueError("a document type")

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = refuse
    parser.EntityDeclHandler = refuse
    parser.buffer_text = True
    try:
        parser.Parse(bytes(document).strip(), True)
    except (expat.ExpatError, ValueError) as error:
        message = f"cannot {what}: the answer is no XML that can be used"
        raise StorageError(message, kind="bad-answer") from error
    return root.children[0]
