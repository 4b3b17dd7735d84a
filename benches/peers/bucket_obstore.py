"""obstore in a bucket: its native client."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
from obstore.store import AzureStore, GCSStore, S3Store

from benches.peers.buckets import OnePerBlob, key_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from benches.peers.contract import Take

_HASH_IN_THREAD = 1 << 20


class ObstoreBucket(OnePerBlob):
    """`put_async` and `get_async`, so many at a time as is fastest; large blobs are hashed in a thread."""

    label = "obstore (bucket)"
    distributions = ("obstore", "blake3")
    blocks = False
    services = ("s3", "gs", "az")
    reads_only = frozenset({"gs"})  # it writes to Google by XML, which the emulator has not
    _store: Any

    async def open(self) -> None:
        place = self.place
        client: Any = {"allow_http": True}
        if place.ca is not None:
            client["root_certificate"] = Path(place.ca).read_bytes()
        if place.service == "az":
            self._store = AzureStore(
                place.bucket,
                prefix="theirs",
                account_name=place.access,
                account_key=place.secret,
                endpoint=place.endpoint,
                client_options=client,
            )
            return
        if place.service == "gs":
            where = {"gcs_base_url": place.endpoint, "disable_oauth": True}
            nobody = {"client_email": "", "private_key": "", "private_key_id": ""}
            key = orjson.dumps(where | nobody).decode()
            self._store = GCSStore(place.bucket, prefix="theirs", service_account_key=key, client_options=client)
            return
        signed = {"access_key_id": place.access, "secret_access_key": place.secret}
        self._store = S3Store(
            place.bucket,
            prefix="theirs",
            endpoint=place.endpoint,
            region="us-east-1",
            virtual_hosted_style_request=False,
            client_options=client,
            **(signed if place.access else {"skip_signature": True}),
        )

    async def save(self, blobs: Sequence[bytes]) -> list[str]:
        keys = [""] * len(blobs)

        async def save(job: tuple[int, bytes]) -> None:
            at, blob = job
            keys[at] = await asyncio.to_thread(key_of, blob) if len(blob) >= _HASH_IN_THREAD else key_of(blob)
            await self._store.put_async(keys[at], blob)

        await self._all(save, list(enumerate(blobs)))
        return keys

    async def load(self, keys: Sequence[str], take: Take) -> None:
        async def load(key: str) -> None:
            take(await (await self._store.get_async(key)).bytes_async())

        await self._all(load, keys)

    async def _all(self, do: Callable[[Any], Awaitable[None]], jobs: Sequence[object]) -> None:
        left = iter(jobs)

        async def work(left: Iterator[object]) -> None:
            for job in left:
                await do(job)

        await asyncio.gather(*(work(left) for _ in range(self.in_flight)))
