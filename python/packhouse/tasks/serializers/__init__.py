"""Serializers of artifacts: a registry with a stable tag per artifact; see `Serializers`."""

from __future__ import annotations

from packhouse.tasks.serializers.contract import Dumped, Serializer, Trust
from packhouse.tasks.serializers.registry import Packed, Serializers

__all__ = ["Dumped", "Packed", "Serializer", "Serializers", "Trust"]
