"""What is asked of the client, and what comes of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from packhouse.errors import PackhouseError
from packhouse.objects.contract import Bytes

__all__ = ["Call", "Doubt", "Fault", "Judge", "Reply", "Sign", "Signed"]


@dataclass(slots=True)
class Doubt:
    """What a write may have done although whoever asked for it is told of an error.

    Attributes:
        any: a try may have had its effect although nothing said so.
        answered: a try was answered well; whatever is wrong afterwards, it has had its effect.
    """

    any: bool = False
    answered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, before it is signed.

    Attributes:
        method: the verb of HTTP.
        url: absolute; in no `repr`: the address of an upload is a secret.
        what: the operation and the name, for messages.
        headers: besides those of the signature; lower-case names.
        body: buffers of known length.
        again: whether it may be sent twice.
        into: where the body of a good answer goes; it must be as long.
        limit: bytes of a body beyond which an answer is refused.
        size: bytes that are expected, or that the service moves before it answers, for the deadline.
        doubt: told when a try may have had its effect.
        check: looks at a good answer's headers and length (None: not told) before its body is read, and raises when it
            is not what was asked for.
        renew: asked before every try but the first: for what is sent then, or for the answer, where that is known now.
    """

    method: str
    url: str = field(repr=False)
    what: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Sequence[Bytes] = field(default=(), repr=False)
    again: bool = True
    into: memoryview | None = field(default=None, repr=False)
    limit: int = 8 << 20
    size: int = 0
    doubt: Doubt = field(default_factory=Doubt)
    check: Callable[[int, Mapping[str, str], int | None], None] | None = None
    renew: Callable[[], Awaitable[Call | Reply]] | None = None


class Reply(NamedTuple):
    """An answer, read to its end."""

    status: int
    headers: Mapping[str, str]
    """Lower-case names."""
    body: memoryview
    """All of it; `into`, where the answer was good and went there."""


class Fault(NamedTuple):
    """What is wrong with a reply."""

    error: PackhouseError
    again: bool = False
    """Whether another try may help."""
    throttled: bool = False
    """Whether the service asks for less."""
    undone: bool = False
    """Whether the service says that it did not even begin, by whatever status."""


Judge = Callable[[Reply], Fault | None]
"""The service's view of a reply: None when it is an answer that the caller wants to see."""


class Signed(NamedTuple):
    """One try, as it is sent."""

    url: str
    """With what signs it, where that stands in the URL."""
    headers: Mapping[str, str]


Sign = Callable[[Call], Awaitable[Signed]]
"""Signs one try: signatures carry the time, so each is signed anew."""
