"""What is known of a task's artifacts: the record that `done` writes and every reader begins with."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from packhouse.blobs.records import KeyWithLocator, SavedBlob
from packhouse.errors import NameNotFound

__all__ = ["INCLUDED_FILE", "Record", "StoredArtifact"]

INCLUDED_FILE = "<class 'metaflow.includefile.IncludedFile'>"
"""The recorded type of Metaflow's included files, whose size is the file's own."""

_VERSION = "1.0"


class StoredArtifact(NamedTuple):
    """One artifact of a task, without its content."""

    name: str
    key: str
    size: int
    """Bytes of its serialised form."""
    type: str
    """`str(type(value))` when it was saved."""
    encoding: str
    """Tag of the serializer that wrote it."""
    added: int
    """Bytes that saving it added to the store; 0 when all of it was there before."""


@dataclass(slots=True)
class Record:
    """The artifacts of one attempt: Metaflow's two dictionaries, and where the blobs stand.

    Attributes:
        objects: name → key.
        info: name → `{"size", "type", "encoding"[, "serializer_info"]}`.
        places: name → locator, a hint; not for every name.
        added: name → bytes that saving it added to the store.
    """

    objects: dict[str, str] = field(default_factory=dict)
    info: dict[str, dict[str, Any]] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)
    added: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Record:
        """Read a document, Metaflow's or ours; it is copied as deep as it is changed."""
        return cls(*(dict(document.get(part) or {}) for part in ("objects", "info", "places", "added")))

    def document(self, kind: str, attempt: int | None) -> dict[str, Any]:
        """Return what `done` writes: Metaflow's document with two parts more."""
        return {
            "datastore": kind,
            "version": _VERSION,
            "attempt": attempt,
            "python_version": sys.version,
            "objects": self.objects,
            "info": self.info,
            "places": self.places,
            "added": self.added,
        }

    def put_all(self, infos: Iterable[tuple[str, dict[str, Any]]], saved: Iterable[SavedBlob]) -> None:
        """Note saved artifacts; the last of equal names counts."""
        for (name, info), (key, _, added, _, locator) in zip(infos, saved, strict=True):
            self.objects[name] = key
            self.info[name] = info
            self.added[name] = added
            if locator is not None:
                self.places[name] = locator
            else:
                self.places.pop(name, None)

    def take(self, origin: Record, names: Iterable[str]) -> None:
        """Take artifacts over from another record; names that it lacks are left out. Nothing is shared with it."""
        for name in names:
            if name in origin.objects:
                self.objects[name] = origin.objects[name]
                self.info[name] = dict(origin.info.get(name) or {})
                self.added[name] = 0
                self.places.pop(name, None)
                if name in origin.places:
                    self.places[name] = origin.places[name]

    def located(self, name: str) -> KeyWithLocator:
        """Return an artifact's key with its locator.

        Raises:
            NameNotFound: there is no such artifact; also a KeyError.
        """
        key = self.objects.get(name)
        if key is None:
            raise NameNotFound(f"the task has no artifact {name!r}", kind="no-artifact")
        return KeyWithLocator(key, self.places.get(name))

    def artifacts(self) -> list[StoredArtifact]:
        """Return all artifacts in the order in which they were saved."""
        found = []
        for name, key in self.objects.items():
            info = self.info.get(name) or {}
            size, kind, encoding = info.get("size", 0), info.get("type", "object"), info.get("encoding", "")
            found.append(StoredArtifact(name, key, size, kind, encoding, self.added.get(name, 0)))
        return found
