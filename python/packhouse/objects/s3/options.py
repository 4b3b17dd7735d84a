"""What may be chosen about a bucket."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal

from packhouse.errors import InvalidInput
from packhouse.objects.bucket.options import BucketOptions, check_endpoint

__all__ = ["S3Options"]

_REGION = re.compile(r"[a-z0-9-]{1,40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Options(BucketOptions):
    """What may be chosen; what is not is found as the AWS tools find it: environment, then files, then the machine.

    What every bucket has, `part_size`, `parts_at_once`, `conditional_writes` and `http`, is in `BucketOptions`.

    Attributes:
        endpoint: where the service is, `https://host:port`; None for AWS, or for what `AWS_ENDPOINT_URL` says.
        region: None for what the environment or the profile says, `us-east-1` without.
        path_style: put the bucket into the path, not into the host; None for what fits the endpoint.
        access_key_id: with `secret_access_key`, and `session_token` if it is a temporary one.
        secret_access_key: secret.
        session_token: secret.
        profile: the section of the files that is read.
        anonymous: sign nothing.
        sse: `"AES256"` (SSE-S3) or `"aws:kms"` (SSE-KMS).
        sse_kms_key_id: the key for SSE-KMS; None for the account's own.
        sse_customer_key: 32 bytes for SSE-C, secret: who loses it has lost the objects.
        storage_class: of what is written.
        requester_pays: say that we pay.
        expected_bucket_owner: the account that must own the bucket.
        quoted_etags: whether `If-Match` has its version in quotes; None for what the store's settings say: what the
            service was seen to want when the store was made (old Ceph: none).
        checksum: what uploads are guarded with in transit.
    """

    endpoint: str | None = None
    region: str | None = None
    path_style: bool | None = None
    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)
    profile: str | None = None
    anonymous: bool = False
    sse: Literal["AES256", "aws:kms"] | None = None
    sse_kms_key_id: str | None = None
    sse_customer_key: bytes | None = field(default=None, repr=False)
    storage_class: str | None = None
    requester_pays: bool = False
    expected_bucket_owner: str | None = None
    quoted_etags: bool | None = None
    checksum: Literal["crc32", "sha256", "md5"] = "crc32"

    def __post_init__(self) -> None:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise InvalidInput("access_key_id and secret_access_key go together", kind="option")
        if self.sse_customer_key is not None and len(self.sse_customer_key) != 32:
            raise InvalidInput("sse_customer_key has 32 bytes", kind="option")
        if not 5 << 20 <= self.part_size <= 5 << 30 or not 1 <= self.parts_at_once <= 64:
            raise InvalidInput("part_size is 5 MiB to 5 GiB, parts_at_once 1 to 64", kind="option")
        if self.region is not None and not _REGION.fullmatch(self.region):
            raise InvalidInput(f"{self.region[:40]!a} is no region", kind="option")
        if self.endpoint is not None:
            check_endpoint(self.endpoint)
