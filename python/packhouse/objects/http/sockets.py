"""What is done with a socket: by the loop while it does not block, by a thread while it does."""

from __future__ import annotations

import socket
import struct
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from typing import Literal, TypeAlias, TypeVar

__all__ = ["LOOK_UP", "Glance", "blocking", "first", "glance", "receive_all", "send_all", "take"]

_T = TypeVar("_T")
Glance: TypeAlias = Literal["silent", "speaks", "closed"]
LOOK_UP = 0.25
"""Seconds after which a sender that cannot go on looks whether the peer has answered already."""
_BUFFERS_AT_ONCE = 64
_AT_ONCE = 1 << 30


def glance(raw: socket.socket) -> Glance:
    """Look whether something can be read, without waiting and without taking it."""
    try:
        return "speaks" if raw.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) else "closed"
    except BlockingIOError:
        return "silent"


def blocking(raw: socket.socket, work: Callable[[], _T]) -> _T:
    """Work with the socket while its calls block; after an error only closing is left."""
    raw.setblocking(True)
    done = work()
    raw.setblocking(False)
    return done


def receive_all(raw: socket.socket, target: memoryview) -> int:
    """Fill the target by one system call, as a rule: the kernel copies what comes, and nobody is woken meanwhile."""
    done = 0
    while done < len(target):
        count = raw.recv_into(target[done:], 0, socket.MSG_WAITALL)
        if not count:
            break
        done += count
    return done


def send_all(raw: socket.socket, queue: deque[memoryview]) -> bool:
    """Send what is in the queue by as few system calls; `False` when the peer spoke before the end."""
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", 0, int(LOOK_UP * 1e6)))
    while queue:
        with suppress(BlockingIOError):  # in all that time nothing could be sent
            take(queue, raw.sendmsg(first(queue, _AT_ONCE)))
        if queue and glance(raw) == "speaks":
            return False
    return True


def first(queue: deque[memoryview], most: int) -> list[memoryview]:
    """Return the head of the queue, so many bytes at most."""
    some: list[memoryview] = []
    for view in islice(queue, _BUFFERS_AT_ONCE):
        some.append(view[:most])
        most -= some[-1].nbytes
        if not most:
            break
    return some


def take(queue: deque[memoryview], count: int) -> None:
    """Take bytes off the head of the queue."""
    while count:
        head = queue[0]
        if count < head.nbytes:
            queue[0] = head[count:]
            return
        count -= head.nbytes
        queue.popleft()
