"""Asking twice: a read whose answer is slow to begin is sent a second time, and the first good answer counts.

The tail of a busy service is often one slow machine behind one connection: another request has another fate (Dean and
Barroso, *The Tail at Scale*, 2013).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import TypeAlias

import anyio

from packhouse.objects.contract import new_memory
from packhouse.objects.http.calls import Call, Fault, Reply

__all__ = ["Outcome", "hedged"]

Outcome: TypeAlias = Reply | tuple[Fault, float]
"""A reply, or what is wrong and how long the service wants to be left alone."""


async def hedged(
    attempt: Callable[[Call], Awaitable[Outcome]], call: Call, after: float, may: Callable[[], bool]
) -> Outcome:
    """Make an attempt, and a second beside it when after so many seconds the first has neither ended nor a good head.

    When this returns, nothing writes into the call's buffer any more.

    Args:
        attempt: makes one try.
        call: may be sent twice.
        after: seconds.
        may: asked once, before the second attempt is made.
    """
    begun = anyio.Event()
    first = replace(call, check=_noting(call, begun))
    second = call if call.into is None else replace(call, into=new_memory(call.into.nbytes))
    ended: list[tuple[Call, Outcome | Exception]] = []
    asked = [first]

    async with anyio.create_task_group() as group:

        async def make(one: Call) -> None:
            try:
                outcome: Outcome | Exception = await attempt(one)
            except Exception as error:  # noqa: BLE001 - raised below, outside of the group
                outcome = error
            ended.append((one, outcome))
            begun.set()
            if isinstance(outcome, Reply) or len(ended) == len(asked):
                group.cancel_scope.cancel()

        group.start_soon(make, first)
        with anyio.move_on_after(after):
            await begun.wait()
        if not begun.is_set() and may():
            asked.append(second)
            group.start_soon(make, second)
    winner, outcome = next((one for one in ended if isinstance(one[1], Reply)), ended[0])
    if isinstance(outcome, Exception):
        raise outcome
    if call.into is not None and winner is second and isinstance(outcome, Reply) and outcome.body is second.into:
        call.into[:] = outcome.body
        return outcome._replace(body=call.into)
    return outcome


def _noting(call: Call, begun: anyio.Event) -> Callable[[int, Mapping[str, str], int | None], None]:
    """Look at a good answer's head as the call would, and note that it has come."""

    def check(status: int, headers: Mapping[str, str], length: int | None) -> None:
        if call.check is not None:
            call.check(status, headers, length)
        begun.set()

    return check
