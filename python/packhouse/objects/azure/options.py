"""What may be chosen about a container of Azure Blob Storage."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any

from packhouse.errors import InvalidInput
from packhouse.objects.azure.account import read_connection, read_key, read_sas
from packhouse.objects.bucket.options import BucketOptions, check_endpoint

__all__ = ["AzureOptions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureOptions(BucketOptions):
    """What may be chosen; what is not is found as Azure's tools find it: environment, then azure-identity.

    What every bucket has, `part_size`, `parts_at_once` and `http`, is in `BucketOptions`.

    Attributes:
        endpoint: where the account is, `https://host[:port][/account]`; None for Azure, or what a connection string
            says; for `az://devstoreaccount1/…` Azurite's usual address.
        connection_string: secret: account, key or SAS, and endpoint in one.
        account_key: secret: signs requests (shared key).
        sas_token: secret: a shared access signature, with or without its question mark.
        credential: of azure-identity, or anything with its `get_token`; none of `azure.identity.aio`.
        anonymous: sign nothing.
        access_tier: of what is written: `"Hot"`, `"Cool"`, `"Cold"`.
        encryption_scope: what objects are encrypted with; None for the container's own choice.
        customer_key: 32 bytes of a key of one's own, secret: who loses it has lost the objects.
    """

    endpoint: str | None = None
    connection_string: str | None = field(default=None, repr=False)
    account_key: str | None = field(default=None, repr=False)
    sas_token: str | None = field(default=None, repr=False)
    credential: Any = field(default=None, repr=False)
    anonymous: bool = False
    access_tier: str | None = None
    encryption_scope: str | None = None
    customer_key: bytes | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if not 64 << 10 <= self.part_size <= 4000 << 20 or not 1 <= self.parts_at_once <= 64:
            raise InvalidInput("part_size is 64 KiB to 4000 MiB, parts_at_once 1 to 64", kind="option")
        if self.customer_key is not None and len(self.customer_key) != 32:
            raise InvalidInput("customer_key has 32 bytes", kind="option")
        if inspect.iscoroutinefunction(getattr(self.credential, "get_token", None)):
            message = "the credential's get_token is async: take the class of the same name in azure.identity"
            raise InvalidInput(message, kind="option")
        if self.endpoint is not None:
            check_endpoint(self.endpoint, path=True)
        if self.account_key is not None:
            read_key(self.account_key)
        if self.sas_token is not None:
            read_sas(self.sas_token)
        if self.connection_string is not None:
            read_connection(self.connection_string)
