"""What Azure Blob Storage does, by its documentation: a version asked for, MD5 compared, blocks seen when listed."""

from __future__ import annotations

import base64
import hashlib
import re
from email.utils import formatdate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.hostile.server import Hostile, Request

__all__ = ["refuse", "well"]


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    from tests.hostile.server import answer as made  # noqa: PLC0415 - either needs the other

    return made(status, body, **headers)


def refuse(status: int, code: str) -> bytes:
    """Make an answer that refuses; the code is in a header, so that HEAD has it, too."""
    return answer(status, x_ms_error_code=code)


def well(server: Hostile, request: Request) -> bytes:
    """Do what the service does."""
    signed = "sig" in request.query or "authorization" in request.headers
    if not signed or not re.fullmatch(r"20\d\d-\d\d-\d\d", request.headers.get("x-ms-version", "")):
        return refuse(403, "AuthenticationFailed")
    if request.method == "PUT":
        return _write(server, request)
    there = server.objects.get(request.path)
    if there is None:
        return refuse(404, "BlobNotFound")
    if request.method == "DELETE":
        del server.objects[request.path]
        return answer(202)
    return _read(request, *there)


def etag(body: bytes) -> str:
    """Another one whenever the bytes are others."""
    return f'"0x{hashlib.md5(body).hexdigest()[:15].upper()}"'


def _write(server: Hostile, request: Request) -> bytes:  # noqa: PLR0911 - one answer for each request
    guarded = request.headers.get("content-md5")
    if guarded and guarded != base64.b64encode(hashlib.md5(request.body).digest()).decode():
        return refuse(400, "Md5Mismatch")
    there = server.objects.get(request.path)
    if there and request.headers.get("if-none-match") == "*":
        return refuse(409, "BlobAlreadyExists")
    if "if-match" in request.headers and (there is None or request.headers["if-match"] != etag(there[0])):
        return refuse(412, "ConditionNotMet")
    meta = {name: value for name, value in request.headers.items() if name.startswith("x-ms-meta-")}
    body = request.body
    if request.query.get("comp") == ["block"]:
        server.blocks[request.query["blockid"][0]] = request.body
        return answer(201)
    if request.query.get("comp") == ["blocklist"]:
        ids = re.findall(r"<(?:Latest|Uncommitted)>([^<]+)<", request.body.decode())
        if not set(ids) <= server.blocks.keys():
            return refuse(400, "InvalidBlockList")
        body = b"".join(server.blocks[each] for each in ids)
    elif "x-ms-copy-source" in request.headers:
        source = "/" + request.headers["x-ms-copy-source"].partition("://")[2].partition("/")[2].partition("?")[0]
        if source not in server.objects:
            return refuse(404, "CannotVerifyCopySource")
        server.objects[request.path] = server.objects[source]
        return answer(202, etag=etag(server.objects[source][0]), x_ms_copy_status="success")
    elif request.headers.get("x-ms-blob-type") != "BlockBlob":
        return refuse(400, "MissingRequiredHeader")
    server.objects[request.path] = (body, meta)
    return answer(201, etag=etag(body))


def _read(request: Request, body: bytes, meta: dict[str, str]) -> bytes:
    headers = meta | {"etag": etag(body), "last-modified": formatdate(usegmt=True)}
    if request.method == "HEAD":
        return answer(200, body, **headers).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
    if "range" not in request.headers:
        return answer(200, body, **headers)
    first, _, last = request.headers["range"].removeprefix("bytes=").partition("-")
    start, end = int(first), min(int(last or len(body) - 1), len(body) - 1)
    if start >= len(body):
        return refuse(416, "InvalidRange")
    return answer(206, body[start : end + 1], content_range=f"bytes {start}-{end}/{len(body)}", **headers)
