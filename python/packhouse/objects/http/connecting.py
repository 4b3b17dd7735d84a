"""From a host's name to a connection: all of its addresses, in an order that spreads load."""

from __future__ import annotations

import errno
import os
import random
import socket
import ssl

import anyio

from packhouse.errors import InvalidInput
from packhouse.objects.http.wires import PlainWire, TlsWire, Wire

__all__ = ["connect", "make_context"]

_PATIENCE = 1.5
"""Seconds for one address while there are others."""


def make_context(ca: str | None) -> ssl.SSLContext:
    """Make what decides whom to trust: the system's certificates, certifi's, and a file. Reading them takes 25 ms.

    Raises:
        InvalidInput: the file is missing, or holds no certificates (`option`).
    """
    import certifi  # noqa: PLC0415 - httpx brings it; not everybody connects

    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    if ca is not None:
        try:
            context.load_verify_locations(ca)
        except OSError as error:
            why = "holds no certificates (PEM)" if isinstance(error, ssl.SSLError) else f"cannot be read ({error})"
            message = f"the file of certificates {ca} {why}; correct `ca` or AWS_CA_BUNDLE"
            raise InvalidInput(message, kind="option") from error
    context.set_alpn_protocols(["http/1.1"])
    return context


async def connect(host: str, port: int, context: ssl.SSLContext | None) -> Wire:
    """Connect to one of the host's addresses; with TLS when there is a context.

    Raises:
        OSError: no address answers, or the peer is not who it should be (`ssl.SSLError`).
    """
    name = "localhost" if host.endswith(".localhost") else host  # RFC 6761: never asked of the network
    found = await anyio.getaddrinfo(name, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys((family, address) for family, _, _, _, address in found))
    random.shuffle(addresses)
    addresses.sort(key=lambda one: one[0] != found[0][0])  # the family that the system prefers
    for family, address in addresses[:-1]:
        with anyio.move_on_after(_PATIENCE):
            try:
                return await _open(family, address, host, context)
            except ssl.SSLError:
                raise
            except OSError:
                continue
    family, address = addresses[-1]
    return await _open(family, address, host, context)


async def _open(
    family: socket.AddressFamily, address: tuple[object, ...], host: str, context: ssl.SSLContext | None
) -> Wire:
    raw = socket.socket(family, socket.SOCK_STREAM)
    try:
        raw.setblocking(False)
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        code = raw.connect_ex(address)
        if code in (errno.EINPROGRESS, errno.EWOULDBLOCK):
            await anyio.wait_writable(raw)
            code = raw.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))  # noqa: TRY301 - the socket is closed below
        if context is None:
            return PlainWire(raw)
        wire = TlsWire(raw, context, host)
        await wire.handshake()
    except BaseException:
        raw.close()
        raise
    return wire
