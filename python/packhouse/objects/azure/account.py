"""Keys, shared access signatures and connection strings, as users paste them. No message repeats one."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, urlsplit

from packhouse.errors import InvalidInput
from packhouse.objects.bucket.options import check_endpoint

__all__ = ["EMULATED", "Connection", "read_connection", "read_key", "read_sas"]

EMULATED = "devstoreaccount1"
"""The account that every emulator has."""
_EMULATED_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
_EMULATOR = "http://127.0.0.1:10000"


@dataclass(frozen=True, slots=True)
class Connection:
    """What a connection string says."""

    account: str = ""
    endpoint: str | None = None
    key: bytes | None = field(default=None, repr=False)
    sas: str = field(default="", repr=False)

    @classmethod
    def to_emulator(cls, host: str = _EMULATOR) -> Connection:
        """Return how Azurite is reached where nothing else is said: its address and key are public."""
        return cls(EMULATED, f"{host.rstrip('/')}/{EMULATED}", base64.b64decode(_EMULATED_KEY))


def read_key(text: str) -> bytes:
    """Return an account's key.

    Raises:
        InvalidInput: it is no base64.
    """
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise InvalidInput("an account's key is base64", kind="option")
    return key


def read_sas(text: str) -> str:
    """Return a shared access signature as a query has it.

    Raises:
        InvalidInput: it is none.
    """
    pairs = parse_qsl(text.strip().removeprefix("?"), keep_blank_values=True)
    if "sig" not in dict(pairs):
        raise InvalidInput("a shared access signature is a query with `sig=` in it", kind="option")
    return "&".join(f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}" for name, value in pairs)


def read_connection(text: str) -> Connection:
    """Return what a connection string says.

    Raises:
        InvalidInput: it is none.
    """
    fields: dict[str, str] = {}
    for each in filter(None, text.strip().split(";")):
        name, equals, value = each.partition("=")
        if not equals:
            raise InvalidInput("a connection string is `Name=value;…`", kind="option")
        fields[name.strip().lower()] = value.strip()
    if fields.get("usedevelopmentstorage", "").lower() == "true":
        return Connection.to_emulator(fields.get("developmentstorageproxyuri") or _EMULATOR)
    account = fields.get("accountname", "")
    endpoint = fields.get("blobendpoint")
    if endpoint is None and account:
        scheme = fields.get("defaultendpointsprotocol", "https")
        endpoint = f"{scheme}://{account}.blob.{fields.get('endpointsuffix', 'core.windows.net')}"
    if endpoint is None:
        raise InvalidInput("a connection string names AccountName or BlobEndpoint", kind="option")
    key, sas = fields.get("accountkey"), fields.get("sharedaccesssignature")
    endpoint = check_endpoint(endpoint, path=True)
    account = account or _account_at(endpoint)
    return Connection(account, endpoint, read_key(key) if key else None, read_sas(sas) if sas else "")


def _account_at(endpoint: str) -> str:
    """Return the account whose address this is; empty for a domain of its owner's, which does not tell."""
    parts = urlsplit(endpoint)
    path, host = parts.path.strip("/"), parts.hostname or ""
    if path:
        return path.partition("/")[0]
    names_it = ".blob." in host or host.endswith(".localhost")
    return host.partition(".")[0].removesuffix("-secondary") if names_it else ""
