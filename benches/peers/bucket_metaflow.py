"""Metaflow's S3 client: `put_many` and `get_many`, by processes of its own that use boto3, through files."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

os.environ["METAFLOW_PACKHOUSE"] = "0"  # stock, also where our drop-in is installed

from metaflow import S3  # type: ignore[attr-defined] # it names what it exports nowhere

from benches.peers.buckets import OnePerBlob, key_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benches.peers.contract import Take


class MetaflowBucket(OnePerBlob):
    """As many processes as is fastest; a loaded blob is read from the file that it was put into."""

    label = "Metaflow's S3 (bucket)"
    distributions = ("metaflow", "boto3", "blake3")
    verifies = "its length"
    outside = True
    tried = (4, 16, 64)
    one_of = 10

    async def open(self) -> None:
        place = self.place
        os.environ["METAFLOW_S3_WORKER_COUNT"] = str(self.in_flight)  # its processes read it
        self.folder.mkdir(parents=True, exist_ok=True)
        chosen = {
            "endpoint_url": place.endpoint,
            "region_name": "us-east-1",
            "aws_access_key_id": place.access or "anybody",  # it cannot be told to sign nothing
            "aws_secret_access_key": place.secret or "anything",
        }
        if place.ca is not None:
            chosen["verify"] = place.ca
        make: Any = S3
        self._s3 = make(s3root=f"s3://{place.bucket}/theirs", tmproot=str(self.folder), client_params=chosen)

    async def close(self) -> None:
        self._s3.close()

    async def save(self, blobs: Sequence[bytes]) -> list[str]:
        keys = [key_of(blob) for blob in blobs]
        self._s3.put_many(list(zip(keys, blobs, strict=True)))
        return keys

    async def load(self, keys: Sequence[str], take: Take) -> None:
        for found in self._s3.get_many(keys):
            take(found.blob)
