"""Who we are at Azure: explicit options, then the environment, then azure-identity, in a thread."""

from __future__ import annotations

import os
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from anyio import to_thread

from packhouse.errors import InvalidInput, StorageError
from packhouse.objects.azure.account import EMULATED, Connection, read_connection, read_key, read_sas
from packhouse.objects.azure.options import AzureOptions
from packhouse.objects.bucket.options import check_endpoint
from packhouse.objects.bucket.renewing import Renewing, failed

__all__ = ["AzureToken", "Identity", "find_identity"]

_SCOPE = "https://storage.azure.com/.default"
_HINT = "check `az login`, the AZURE_… variables or the machine's managed identity"


@dataclass(frozen=True, slots=True)
class Identity:
    """What was found: at most one of key, signature and token."""

    account: str
    base: str
    """Scheme, host, and what stands in a path before the container."""
    key: bytes | None = field(default=None, repr=False)
    sas: str = field(default="", repr=False)
    token: Callable[[], Awaitable[str]] | None = field(default=None, repr=False)

    def __reduce__(self) -> tuple[object, ...]:
        raise TypeError("credentials are not pickled")


async def find_identity(options: AzureOptions, account: str) -> Identity:
    """Look in all places; what is given explicitly is not looked for.

    Raises:
        StorageError: no credentials anywhere (`bad-credentials`).
        InvalidInput: what was found cannot be used, or is another account's.
    """
    connection = _connection(options, account)
    base = options.endpoint or connection.endpoint or f"https://{account}.blob.core.windows.net"
    base = check_endpoint(base, path=True)
    if options.anonymous:
        return Identity(account, base)
    if connection.key is not None or connection.sas:
        return Identity(account, base, connection.key, "" if connection.key else connection.sas)
    source = await to_thread.run_sync(_find, options, abandon_on_cancel=True)
    return Identity(account, base, token=Renewing(source).current)


def _connection(options: AzureOptions, account: str) -> Connection:
    """Return what options or the environment say about this account."""
    if options.connection_string is not None:
        found = read_connection(options.connection_string)
        if found.account and found.account != account:
            raise InvalidInput(f"the connection string is of another account than {account[:80]!a}", kind="option")
        return found
    if options.account_key is not None:
        return Connection(account, _usual(account).endpoint, read_key(options.account_key))
    if options.sas_token is not None:
        return Connection(account, _usual(account).endpoint, None, read_sas(options.sas_token))
    if options.credential is not None or options.anonymous:
        return Connection(account, _usual(account).endpoint)
    return _from_environment(account)


def _from_environment(account: str) -> Connection:
    """What belongs to another account stays where it is: a signature would be told to a stranger."""
    environment = os.environ
    text = environment.get("AZURE_STORAGE_CONNECTION_STRING")
    if text:
        found = read_connection(text)
        if found.account == account:
            return found
    named = environment.get("AZURE_STORAGE_ACCOUNT") or environment.get("AZURE_STORAGE_ACCOUNT_NAME")
    key = environment.get("AZURE_STORAGE_KEY") or environment.get("AZURE_STORAGE_ACCOUNT_KEY")
    sas = environment.get("AZURE_STORAGE_SAS_TOKEN")
    usual = _usual(account)
    if (not named or named == account) and (key or sas):
        return Connection(account, usual.endpoint, read_key(key) if key else None, read_sas(sas) if sas else "")
    return usual


def _usual(account: str) -> Connection:
    """Return what needs no saying: Azurite's public key and address."""
    return Connection.to_emulator() if account == EMULATED else Connection(account)


def _find(options: AzureOptions) -> AzureToken:
    if options.credential is not None:
        return AzureToken(options.credential)
    try:
        from azure.identity import DefaultAzureCredential  # noqa: PLC0415 - an extra
    except ImportError:
        message = "no key or signature in the environment, and without azure-identity no other place is searched: "
        message += "install packhouse[azure], or say `anonymous=True`"
        raise StorageError(message, kind="bad-credentials") from None
    try:
        return AzureToken(DefaultAzureCredential())
    except Exception as error:  # noqa: BLE001 - providers raise what they like; their texts may hold secrets
        raise failed(error, _HINT) from None


class AzureToken:
    """A token of azure-identity's credentials.

    Args:
        found: the credentials.
    """

    early = 300.0  # azure-identity keeps a token until so long before its end
    late = 30.0

    def __init__(self, found: Any) -> None:
        self._found = found
        self._ends = 0.0

    def ends_within(self, seconds: float) -> bool:
        """Say whether it ends so soon."""
        return self._ends - time.time() < seconds

    def read(self) -> str:
        """Return it, renewed if need be; blocks.

        Raises:
            StorageError: there is none to be had.
        """
        try:
            token = self._found.get_token(_SCOPE)
        except Exception as error:  # noqa: BLE001 - as above
            raise failed(error, _HINT) from None
        self._ends = float(token.expires_on)
        return str(token.token)
