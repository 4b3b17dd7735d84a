"""boto3 in a bucket: the client that everybody has."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import boto3
from botocore import UNSIGNED
from botocore.config import Config

from benches.peers.buckets import OnePerBlob, key_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benches.peers.contract import Take


class Boto3Bucket(OnePerBlob):
    """`put_object` and `get_object` in as many threads as is fastest."""

    label = "boto3 (bucket)"
    distributions = ("boto3", "blake3")
    one_of = 10

    async def open(self) -> None:
        place = self.place
        chosen: dict[str, Any] = {} if place.access else {"signature_version": UNSIGNED}
        self._client: Any = boto3.client(
            "s3",
            endpoint_url=place.endpoint,
            region_name="us-east-1",
            aws_access_key_id=place.access or None,
            aws_secret_access_key=place.secret or None,
            verify=place.ca,
            config=Config(max_pool_connections=self.in_flight, s3={"addressing_style": "path"}, **chosen),
        )
        self._threads = ThreadPoolExecutor(self.in_flight)

    async def close(self) -> None:
        self._threads.shutdown()
        self._client.close()

    async def save(self, blobs: Sequence[bytes]) -> list[str]:
        def save(blob: bytes) -> str:
            key = key_of(blob)
            self._client.put_object(Bucket=self.place.bucket, Key=f"theirs/{key}", Body=blob)
            return key

        return list(self._threads.map(save, blobs))

    async def load(self, keys: Sequence[str], take: Take) -> None:
        def load(key: str) -> None:
            take(self._client.get_object(Bucket=self.place.bucket, Key=f"theirs/{key}")["Body"].read())

        list(self._threads.map(load, keys))
