"""What may be chosen about a bucket of Google Cloud Storage."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from packhouse.errors import InvalidInput
from packhouse.objects.bucket.options import BucketOptions, check_endpoint

__all__ = ["GRAIN", "GCSOptions"]

GRAIN = 256 << 10
"""Bytes of which every part of a resumable upload but the last is a multiple."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GCSOptions(BucketOptions):
    """What may be chosen; what is not is found as Google's tools find it (Application Default Credentials).

    What every bucket has, `part_size` (a multiple of 256 KiB here) and `http`, is in `BucketOptions`. An upload sends
    its parts one after the other: `parts_at_once` changes nothing.

    Attributes:
        endpoint: where the service is, `https://host:port`; None for Google, or for what `STORAGE_EMULATOR_HOST` says.
        credentials_file: a service account's key, an authorized user's or a workload identity's configuration.
        credentials: a `google.auth.credentials.Credentials` that was made elsewhere.
        anonymous: sign nothing.
        user_project: the project that pays (requester pays).
        storage_class: of what is written.
        kms_key: what objects are encrypted with, `projects/…/cryptoKeys/…`; None for the bucket's own choice.
        customer_key: 32 bytes of a key of one's own, secret: who loses it has lost the objects.
        checksum: what uploads are guarded with in transit.
    """

    endpoint: str | None = None
    credentials_file: str | None = None
    credentials: Any = field(default=None, repr=False)
    anonymous: bool = False
    user_project: str | None = None
    storage_class: str | None = None
    kms_key: str | None = None
    customer_key: bytes | None = field(default=None, repr=False)
    checksum: Literal["crc32c", "md5"] = "crc32c"

    def __post_init__(self) -> None:
        if self.part_size % GRAIN or not GRAIN <= self.part_size <= 5 << 30:
            raise InvalidInput("part_size is a multiple of 256 KiB, 5 GiB at most", kind="option")
        if self.customer_key is not None and len(self.customer_key) != 32:
            raise InvalidInput("customer_key has 32 bytes", kind="option")
        if self.endpoint is not None:
            check_endpoint(self.endpoint)
