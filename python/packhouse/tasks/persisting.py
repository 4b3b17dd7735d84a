"""The artifacts of a flow object: what `persist` saves."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import FunctionType, MethodType
from typing import Any

__all__ = ["flow_artifacts"]


def flow_artifacts(flow: Any) -> list[tuple[str, Any]]:
    """Look for the artifacts of a flow: its attributes without methods, functions, properties and Parameters."""
    parameter = getattr(sys.modules.get("metaflow.parameters"), "Parameter", None)
    unwanted: tuple[type, ...] = (MethodType, FunctionType) + (() if parameter is None else (parameter,))
    ephemeral = getattr(flow, "_EPHEMERAL", ())
    found = []
    for name in dir(flow):
        if name.startswith("__") or name in ephemeral or isinstance(getattr(type(flow), name, None), property):
            continue
        value = getattr(flow, name)
        if not isinstance(value, unwanted):
            found.append((name, value))
    return found


def consume(flow: Any, artifacts: list[tuple[str, Any]]) -> Iterator[tuple[str, Any]]:
    """Give the artifacts out and take them from the flow, so that none is held beside its serialised form.

    `name` and what begins with `_` stay, the runtime needs them; what stands in the class cannot be taken.
    """
    while artifacts:
        name, value = artifacts.pop()
        if not name.startswith("_") and name != "name" and name in getattr(flow, "__dict__", {}):
            delattr(flow, name)
        yield name, value
        del value
