"""Small JSON documents under names: `store.names`."""

from __future__ import annotations

from packhouse.names.documents import Document, NamedDocument
from packhouse.names.facade import Names

__all__ = ["Document", "NamedDocument", "Names"]
