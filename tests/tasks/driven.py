"""The async datastores behind the sync calls of the conformance suite's scenarios."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any

from packhouse.tasks import ContentAddressedStore, FlowDataStore, SpinTaskDatastore, TaskDataStore

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal

__all__ = ["driven"]

_KINDS = (ContentAddressedStore, FlowDataStore, SpinTaskDatastore, TaskDataStore)


def driven(portal: BlockingPortal, value: Any) -> Any:
    """Wait for what is awaited, hand out what an async iterator gives, and wrap datastores so that they do the same."""
    if inspect.isawaitable(value):
        return driven(portal, portal.call(_await, value))
    if isinstance(value, AsyncIterator):
        return _iterate(portal, value)
    if isinstance(value, list):
        return [driven(portal, each) for each in value]
    if isinstance(value, _KINDS):
        if isinstance(value, TaskDataStore):
            portal.call(value.ready)
        return type(type(value).__name__, (_Driven,), {})(portal, value)
    return value


class _Driven:
    """A datastore whose methods do not have to be awaited."""

    def __init__(self, portal: BlockingPortal, inner: Any) -> None:
        vars(self).update(_portal=portal, _inner=inner)

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._inner, name)
        return self._called(value) if callable(value) and not isinstance(value, type) else driven(self._portal, value)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self._inner, name, _bare(value))

    def __eq__(self, other: object) -> bool:
        return self._inner is _bare(other)

    def __hash__(self) -> int:
        return hash(self._inner)

    def __getitem__(self, name: str) -> Any:
        return driven(self._portal, self._inner[name])

    def __contains__(self, name: object) -> bool:
        return name in self._inner

    def __iter__(self) -> Iterator[str]:
        return iter(self._inner)

    def __str__(self) -> str:
        return str(self.format(show_private=True, max_value_size=1000))

    def persist(self, flow: Any) -> None:
        """Save a flow, which holds one of these."""
        if isinstance(getattr(flow, "_datastore", None), _Driven):
            flow._datastore = flow._datastore._inner
        self._called(self._inner.persist)(flow)

    def _called(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            bare = [_bare(each) for each in args]
            made = function(*bare, **{name: _bare(each) for name, each in kwargs.items()})
            return driven(self._portal, made)

        return call


def _bare(value: Any) -> Any:
    return value._inner if isinstance(value, _Driven) else value


async def _await(value: Any) -> Any:
    return await value


def _iterate(portal: BlockingPortal, made: AsyncIterator[Any]) -> Iterator[Any]:
    end = object()

    async def following() -> Any:
        return await anext(made, end)

    while (item := portal.call(following)) is not end:
        yield item
