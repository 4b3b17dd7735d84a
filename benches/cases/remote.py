"""What the cases about buckets share: the way to a server, a rehearsal, and what is measured of a save and a load."""

from __future__ import annotations

import time
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import anyio
import trustme

from benches import data
from benches.cases.contract import Column, Metrics
from benches.delaying import Counted, delayed
from benches.gaps import Gaps, aside
from benches.idle import idling
from benches.measure import MemoryPeak, lap, megabytes_a_second
from benches.peers.bucket_packhouse import options_for
from benches.peers.buckets import BucketPeer, Place, key_of
from packhouse.objects import open_objects
from tests.servers.nginx import nginx_before
from tests.servers.running import ServerMissing

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from typing_extensions import Buffer

    from benches.scale import Shape

LATENCY = 0.02
_PUTS = 16

T = TypeVar("T")


def save_columns(*, again: bool) -> tuple[Column, ...]:
    """Return what is printed of a save."""
    more = (Column("again_mbs", "again MB/s", 1), Column("again_requests", "requests")) if again else ()
    return (*_columns("save"), *more)


def load_columns(*, part: bool) -> tuple[Column, ...]:
    """Return what is printed of a load."""
    more = (Column("part_blobs", "1 % blobs/s"), Column("part_requests", "requests")) if part else ()
    return (*_columns("load"), *more)


def _columns(name: str) -> tuple[Column, ...]:
    return (
        Column(f"{name}_mbs", f"{name} MB/s", 1),
        Column(f"{name}_blobs", "blobs/s"),
        Column(f"{name}_requests", "requests"),
        Column(f"{name}_cpu_seconds", "CPU s", 2),
        Column(f"{name}_mib", "MiB"),
        Column(f"{name}_gap_ms", "gap ms", 1),
        Column(f"{name}_idle_ms", "idle", 1),
    )


def certificates(folder: Path) -> tuple[Path, Path]:
    """Make an authority and a certificate for 127.0.0.1: the file that clients trust, the file that a server has."""
    authority = trustme.CA()
    trusted, own = folder / "ca.pem", folder / "server.pem"
    authority.cert_pem.write_to_path(str(trusted))
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(str(own))
    return trusted, own


@contextmanager
def serving() -> Iterator[None]:
    """Start a server within: one that cannot be had makes the case one that is not offered."""
    try:
        yield
    except ServerMissing as missing:
        raise NotImplementedError(str(missing)) from missing


@contextmanager
def reached(
    where: str, start: Callable[[], AbstractContextManager[Place]], folder: Path
) -> Iterator[tuple[Place, Counted | None]]:
    """Start a server and what stands before it: nothing (`near`), a delay that counts (`20ms`), TLS (`tls`)."""
    with serving(), ExitStack() as stack:
        place = stack.enter_context(start())
        counted = None
        if where == "20ms":
            port = urlsplit(place.endpoint).port or 0
            counted = stack.enter_context(delayed(port, LATENCY))
            place = replace(place, endpoint=place.endpoint.replace(f":{port}", f":{counted.port}"))
        elif where == "tls":
            trusted, own = certificates(folder)
            endpoint = stack.enter_context(nginx_before(place.endpoint, own, folder / "requests"))
            place = replace(place, endpoint=endpoint, ca=str(trusted))
        yield place, counted


async def put_aside(place: Place, blobs: Sequence[bytes]) -> list[str]:
    """Put each blob as `OnePerBlob` does, for a peer that can read there and not write; return their keys."""
    keys = [key_of(blob) for blob in blobs]
    left = iter(zip(keys, blobs, strict=True))
    root = f"{place.service}://{place.bucket}/theirs"
    async with open_objects(root, options=options_for(place)) as objects, anyio.create_task_group() as tasks:

        async def put() -> None:
            for key, blob in left:
                await objects.put(key, blob)

        for _ in range(_PUTS):
            tasks.start_soon(put)
    return keys


async def tune(peer: BucketPeer, shape: Shape) -> None:
    """Go through all calls once; where concurrency is the user's to choose, choose what saves fastest."""
    count = min(256, max(4, shape.count // 10))
    best = 0.0
    worth_trying = [in_flight for in_flight in peer.tried if in_flight <= count] or peer.tried[:1]
    for number, in_flight in enumerate(worth_trying):
        blobs = data.blobs("random", count=count, size=shape.size, seed=100 + number)
        before, peer.in_flight = peer.in_flight, in_flight
        await peer.open()
        start = time.perf_counter()
        keys = await peer.save(blobs)
        speed = count / (time.perf_counter() - start)
        await peer.load(keys, lambda _blob: None)
        await peer.close()
        if speed > best or not number:
            best = speed
        else:
            peer.in_flight = before


async def tune_loads(peer: BucketPeer, keys: Sequence[str]) -> None:
    """Load some of what is there once for each concurrency that its user may choose, and keep what loads fastest."""
    few = keys[: min(256, max(4, len(keys) // 10))]
    spent: dict[int, float] = {}
    for in_flight in [tried for tried in peer.tried if tried <= len(few)] or peer.tried[:1]:
        peer.in_flight = in_flight
        await peer.open()
        with lap() as loading:
            await aside(peer, peer.load(few, lambda _blob: None))
        await peer.close()
        spent[in_flight] = loading.seconds
    peer.in_flight = min(spent, key=spent.__getitem__)


class Meter:
    """Measures an open peer's calls: speed, requests, CPU, memory, and how long the event loop is held up.

    Beside that, how long a process is held up that does nothing: the server takes its share of the same cores.

    Args:
        peer: whose calls.
        counted: what counts its requests, where something does.
    """

    def __init__(self, peer: BucketPeer, counted: Counted | None = None) -> None:
        self._peer = peer
        self._counted = counted
        self.metrics: Metrics = {}

    async def save(self, name: str, blobs: Sequence[bytes]) -> list[str]:
        """Save a batch."""
        size = sum(map(len, blobs))
        return await self._measure(name, len(blobs), size, lambda _gaps: self._peer.save(blobs))

    async def load(self, name: str, keys: Sequence[str], size: int) -> None:
        """Load blobs of so many bytes together.

        Raises:
            RuntimeError: they have another size.
        """
        loaded = 0

        def load(gaps: Gaps) -> Coroutine[Any, Any, None]:
            def take(blob: Buffer) -> None:
                nonlocal loaded
                loaded += len(memoryview(blob))
                gaps.take(blob)

            return self._peer.load(keys, take)

        await self._measure(name, len(keys), size, load)
        if loaded != size:
            raise RuntimeError(f"{self._peer.label} loaded {loaded} bytes of {size}")

    async def _measure(self, name: str, count: int, size: int, work: Callable[[Gaps], Coroutine[Any, Any, T]]) -> T:
        gaps = Gaps()
        if self._counted is not None:
            self._counted.requests()
        memory = MemoryPeak()
        with idling() as idle:
            async with gaps.watching():
                with lap() as spent:
                    done = await aside(self._peer, work(gaps))
        if self._counted is not None:
            self.metrics[f"{name}_requests"] = self._counted.requests()
        if not self._peer.outside:
            self.metrics[f"{name}_mib"] = memory.rise() / 2**20
        self.metrics |= {
            f"{name}_mbs": megabytes_a_second(size, spent.seconds),
            f"{name}_blobs": count / spent.seconds,
            f"{name}_cpu_seconds": spent.cpu_seconds,
            f"{name}_gap_ms": gaps.p99_ms,
            f"{name}_idle_ms": idle.p99_ms,
        }
        return done
