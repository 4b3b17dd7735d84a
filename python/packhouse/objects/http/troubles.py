"""The one door at which foreign exceptions become ours: what happened, and whether the request was sent."""

from __future__ import annotations

import socket
import ssl
from typing import NamedTuple

from packhouse.errors import PackhouseError, StorageError

__all__ = ["Trouble", "describe"]

_UNSENT = {"ConnectError", "ConnectTimeout", "PoolTimeout", "UnsupportedProtocol", "ProxyError"}
_TRANSPORT = {"TransportError", "StreamError", "HTTPError", "ProtocolError", "InvalidURL"}


class Trouble(NamedTuple):
    """A try that had no answer."""

    error: PackhouseError
    sent: bool
    """Whether it may have reached the service."""
    again: bool
    """Whether another try may help."""


def describe(error: Exception, what: str, host: str) -> Trouble:
    """Say what an exception of httpx, httpx2, h11 or the system means, or of whatever a handed-in client is made of."""
    names = {kind.__name__ for kind in type(error).__mro__}
    if "LocalProtocolError" in names or not (names & _TRANSPORT or isinstance(error, OSError)):
        # Its text is not repeated: the signed URL may be in it.
        message = f"cannot {what}: the HTTP client failed ({type(error).__name__}); check what it was made with"
        return Trouble(StorageError(message, kind="client-failed"), sent=True, again=False)
    chain = _chain(error)
    for cause in chain:
        if isinstance(cause, ssl.SSLCertVerificationError) or "CERTIFICATE_VERIFY_FAILED" in str(cause):
            reason = _reason(cause)
            message = f"cannot {what}: the certificate of {host} is not trusted ({reason}); name its authority by `ca`"
            return Trouble(StorageError(message, kind="certificate"), sent=False, again=False)
        if isinstance(cause, socket.gaierror):
            message = f"cannot {what}: {host} has no address ({cause.strerror}); check the endpoint and the network"
            again = cause.errno == socket.EAI_AGAIN
            return Trouble(StorageError(message, kind="no-network"), sent=False, again=again)
    if names & _UNSENT:
        why = next((cause.strerror for cause in chain if isinstance(cause, OSError) and cause.strerror), None)
        why = why or ("no answer" if "ConnectTimeout" in names else "refused")
        message = f"cannot {what}: no connection to {host} ({why}); check the endpoint and the network"
        return Trouble(StorageError(message, kind="no-network"), sent=False, again="UnsupportedProtocol" not in names)
    if "ProtocolError" in names or "DecodingError" in names:
        message = f"cannot {what}: what {host} answered is no HTTP that can be used, or was cut; check the endpoint"
        return Trouble(StorageError(message, kind="bad-answer"), sent=True, again=True)
    message = f"cannot {what}: the connection to {host} was lost; try again"
    return Trouble(StorageError(message, kind="connection-lost"), sent=True, again=True)


def _chain(error: BaseException | None) -> list[BaseException]:
    chain: list[BaseException] = []
    while error is not None and len(chain) < 10:
        chain.append(error)
        error = error.__cause__ or error.__context__
    return chain


def _reason(error: BaseException) -> str:
    return str(getattr(error, "verify_message", "")) or "verification failed"
