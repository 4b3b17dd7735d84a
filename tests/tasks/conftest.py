"""A flow in a store that is open."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

import packhouse
from packhouse.tasks import FlowDataStore


@pytest.fixture
async def flow(store: packhouse.BlobStore) -> AsyncIterator[FlowDataStore]:
    """The tasks of a flow in a store that is open."""
    async with FlowDataStore("Flow", ds_root=store) as opened:
        yield opened
