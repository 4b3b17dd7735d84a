"""What Google Cloud Storage does, by its documentation: stricter than the emulator where that is lax.

A token is asked for, checksums are compared, every part of a resumable upload but the last is a multiple of 256 KiB.
"""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import UTC, datetime
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

import google_crc32c
import orjson

if TYPE_CHECKING:
    from tests.hostile.server import Hostile, Request

__all__ = ["GRAIN", "TOKEN", "crc", "generation", "refuse", "well"]

TOKEN = "planted-token"
GRAIN = 256 << 10
_DOOR = re.compile(r"(?:/upload|/download)?/storage/v1/b/(?P<bucket>[^/]+)/o(?:/(?P<name>.*))?")


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    from tests.hostile.server import answer as made  # noqa: PLC0415 - either needs the other

    return made(status, body, **headers)


def refuse(status: int, reason: str, message: str = "") -> bytes:
    """Make an answer that refuses."""
    return answer(status, orjson.dumps({"error": {"code": status, "message": message, "errors": [{"reason": reason}]}}))


def crc(body: bytes) -> str:
    """As the service writes it."""
    return base64.b64encode(google_crc32c.value(body).to_bytes(4, "big")).decode()


def well(server: Hostile, request: Request) -> bytes:  # noqa: PLR0911 - one answer for each request
    """Do what the service does."""
    if request.headers.get("authorization") != f"Bearer {TOKEN}":
        return refuse(401, "required")
    door = _DOOR.fullmatch(request.path)
    if door is None:
        return refuse(404, "notFound")
    if request.path.startswith("/upload/"):
        return _upload(server, request)
    name, rewriting, target = (door["name"] or "").partition("/rewriteTo/b/bucket/o/")
    path = f"/bucket/{name}"
    there = server.objects.get(path)
    if there is None:
        return refuse(404, "notFound")
    if rewriting:
        server.objects[f"/bucket/{target}"] = there
        return answer(200, orjson.dumps({"done": True}))
    if request.method == "DELETE":
        wanted = request.query.get("ifGenerationMatch")
        if wanted and wanted[0] != generation(there[0]):
            return refuse(412, "conditionNotMet")
        del server.objects[path]
        return answer(204)
    if "alt" not in request.query:
        return answer(200, described(name, *there))
    return _media(request, *there)


def generation(body: bytes) -> str:
    """A number that is another one whenever the bytes are others."""
    return str(int.from_bytes(hashlib.md5(body).digest()[:6], "big") + 1)


def described(name: str, body: bytes, meta: dict[str, str]) -> bytes:
    """An object's description."""
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    told = {"name": name, "size": str(len(body)), "generation": generation(body), "updated": now, "metadata": meta}
    return orjson.dumps(told | {"crc32c": crc(body)})


def _media(request: Request, body: bytes, meta: dict[str, str]) -> bytes:
    headers = {"x_goog_generation": generation(body), "last_modified": formatdate(usegmt=True)}
    if "range" not in request.headers:
        return answer(200, body, **headers)
    first, _, last = request.headers["range"].removeprefix("bytes=").partition("-")
    start, end = int(first), min(int(last or len(body) - 1), len(body) - 1)
    if start >= len(body):
        return refuse(416, "requestedRangeNotSatisfiable")
    return answer(206, body[start : end + 1], content_range=f"bytes {start}-{end}/{len(body)}", **headers)


def _upload(server: Hostile, request: Request) -> bytes:
    if request.query.get("uploadType") == ["multipart"]:
        border = request.headers["content-type"].partition("boundary=")[2].encode()
        _, first, second, _ = request.body.split(b"--" + border)
        told = orjson.loads(first.partition(b"\r\n\r\n")[2])
        body = second.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n")
        return _keep(server, request, told, body)
    if request.query.get("uploadType") == ["resumable"] and request.method == "POST":
        server.told = orjson.loads(request.body)
        server.parts = {0: b""}
        return answer(
            200, location=f"{server.url}/upload/storage/v1/b/bucket/o?uploadType=resumable&upload_id=secret-id"
        )
    if request.method == "DELETE":
        server.parts.clear()
        return answer(499)
    path = f"/bucket/{server.told.get('name')}"
    if 0 not in server.parts:  # at its end already
        there = server.objects.get(path)
        return answer(200, described(server.told["name"], *there)) if there else refuse(404, "notFound")
    return _receive(server, request)


def _receive(server: Hostile, request: Request) -> bytes:
    told, _, total = request.headers["content-range"].removeprefix("bytes ").partition("/")
    if told != "*":
        start = int(told.partition("-")[0])
        if start > len(server.parts[0]):
            return refuse(503, "backendError")
        if total == "*" and len(request.body) % GRAIN:
            return refuse(400, "invalid", "the size of a part is a multiple of 256 KiB")
        server.parts[0] = server.parts[0][:start] + request.body
    have = server.parts[0]
    if total == "*" or len(have) < int(total):
        return answer(308, range=f"bytes=0-{len(have) - 1}" if have else "")
    if (sent := request.headers.get("x-goog-hash")) and sent != f"crc32c={crc(have)}":
        return refuse(400, "invalid", "Provided CRC32C doesn't match calculated CRC32C")
    del server.parts[0]
    return _keep(server, request, server.told, have)


def _keep(server: Hostile, request: Request, told: dict[str, Any], body: bytes) -> bytes:
    path = f"/bucket/{told['name']}"
    there = server.objects.get(path)
    wanted = request.query.get("ifGenerationMatch")
    if wanted and wanted[0] != (generation(there[0]) if there else "0"):
        return refuse(412, "conditionNotMet")
    if told.get("crc32c", crc(body)) != crc(body):
        return refuse(400, "invalid", "Provided CRC32C doesn't match calculated CRC32C")
    server.objects[path] = (body, told.get("metadata", {}))
    return answer(200, described(told["name"], *server.objects[path]))
