"""What may be chosen about a bucket."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from typing import Any, Literal
from urllib.parse import urlsplit

from packhouse.errors import InvalidInput
from packhouse.objects.http.options import HttpOptions

__all__ = ["S3Options"]

_REGION = re.compile(r"[a-z0-9-]{1,40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class S3Options:
    """What may be chosen; what is not is found as the AWS tools find it: environment, then files, then the machine.

    Secrets are in no `repr` and no pickle: an unpickled one finds its credentials anew.

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
        conditional_writes: False for a service without them: `put_if` then refuses.
        quoted_etags: False for a service that compares `If-Match` without quotes (old Ceph).
        checksum: what uploads are guarded with in transit.
        part_size: bytes of a part of an upload; what is larger goes in parts.
        parts_at_once: parts of one upload in flight; with `part_size` this bounds its memory.
        http: how patient the client is, its proxies and certificates.
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
    conditional_writes: bool = True
    quoted_etags: bool = True
    checksum: Literal["crc32", "sha256", "md5"] = "crc32"
    part_size: int = 8 << 20
    parts_at_once: int = 4
    http: HttpOptions = field(default_factory=HttpOptions)

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

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, ({each.name: getattr(self, each.name) for each in fields(self) if each.repr},)

    def __copy__(self) -> S3Options:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> S3Options:
        return self


def _restore(chosen: dict[str, Any]) -> S3Options:
    return S3Options(**chosen)


def check_endpoint(endpoint: str) -> str:
    """Return it without a slash at its end.

    Raises:
        InvalidInput: it is no `http(s)://host[:port]`. The message does not repeat it: it may hold a password.
    """
    try:
        parts = urlsplit(endpoint)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    else:
        good = good and not (parts.username or parts.password or parts.query or parts.fragment or parts.path.strip("/"))
    if not good:
        raise InvalidInput("an endpoint is http(s)://host[:port] and nothing else, no user, no path", kind="url")
    return endpoint.rstrip("/")
