"""Folders as blobs: a manifest, and a blob for each file."""

from __future__ import annotations

from packhouse.trees.manifest import HEADER, Entry, decode_entry, encode_entry
from packhouse.trees.restoring import restore_tree
from packhouse.trees.saving import COMMIT_EVERY, save_tree, walk

__all__ = ["COMMIT_EVERY", "HEADER", "Entry", "decode_entry", "encode_entry", "restore_tree", "save_tree", "walk"]
