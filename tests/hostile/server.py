"""A server that misbehaves as it is told: one thread per connection, raw bytes, and a log of what it was asked."""

from __future__ import annotations

import hashlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

__all__ = ["Behave", "Hostile", "Request", "Talk", "answer", "hostile"]


@dataclass
class Request:
    """What was asked."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes = b""
    connection: int = 0

    @property
    def writes(self) -> bool:
        """Whether it brings an object's bytes, in any dialect."""
        return self.method == "PUT" or (self.method == "POST" and self.path.startswith("/upload/"))


def answer(status: int, body: bytes = b"", **headers: str) -> bytes:
    """Make a well-formed answer; underscores in headers stand for hyphens, an empty one leaves it out."""
    fields = {
        "content-length": str(len(body)),
        "date": formatdate(usegmt=True),
        "etag": '"e"',
        "x-goog-generation": "1",
    }
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
    return f"HTTP/1.1 {status} Told\r\n{lines}\r\n".encode() + body


@dataclass
class Hostile:
    """The server's state: what it was asked, and the objects that it really keeps."""

    behave: Behave
    tls: ssl.SSLContext | None = None
    requests: list[Request] = field(default_factory=list)
    connections: int = 0
    objects: dict[str, tuple[bytes, dict[str, str]]] = field(default_factory=dict)
    dialect: Callable[[Hostile, Request], bytes] | None = None
    """What a good server does, where it is none of S3."""
    parts: dict[int, bytes] = field(default_factory=dict)
    blocks: dict[str, bytes] = field(default_factory=dict)
    told: dict[str, Any] = field(default_factory=dict)
    meta: dict[str, str] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)
    port: int = 0
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        """Where it is."""
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"

    def count(self, method: str) -> int:
        """Count the requests with a method."""
        return sum(request.method == method for request in self.requests)

    def well(self, request: Request) -> bytes:
        """Do what a good server does."""
        with self.lock:
            return self._well(request) if self.dialect is None else self.dialect(self, request)

    def writes(self) -> int:
        """Count the requests that brought bytes."""
        return sum(request.writes for request in self.requests)

    def _well(self, request: Request) -> bytes:
        if "list-type" in request.query:
            return self._list(request.path, request.query["prefix"][0])
        if request.query.keys() & {"uploads", "partNumber", "uploadId"}:
            return self._upload(request)
        return self._object(request)

    def _object(self, request: Request) -> bytes:
        there = self.objects.get(request.path)
        if request.method == "PUT":
            wanted = request.headers.get("if-match", "")
            absent = request.headers.get("if-none-match") == "*"
            if (there and absent) or (wanted and wanted != self._etag(request.path)):
                return answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
            self.objects[request.path] = (request.body, _meta(request))
            return answer(200, etag=self._etag(request.path))
        if request.method == "DELETE":
            self.objects.pop(request.path, None)
            return answer(204)
        if there is None:
            return answer(404, b"" if request.method == "HEAD" else b"<Error><Code>NoSuchKey</Code></Error>")
        return self._read(request, *there)

    def _list(self, bucket: str, prefix: str) -> bytes:
        entry = "<Contents><Key>{}</Key><Size>{}</Size><LastModified>2026-01-01T00:00:00Z</LastModified></Contents>"
        named = sorted((path.removeprefix(bucket), len(body)) for path, (body, _) in self.objects.items())
        found = "".join(entry.format(key, size) for key, size in named if key.startswith(prefix))
        return answer(200, f"<ListBucketResult>{found}</ListBucketResult>".encode())

    def _upload(self, request: Request) -> bytes:
        if "uploads" in request.query:
            self.meta = _meta(request)
            return answer(200, b"<Initiated><UploadId>u1</UploadId></Initiated>")
        if "partNumber" in request.query:
            self.parts[int(request.query["partNumber"][0])] = request.body
            return answer(200)
        if request.method == "DELETE":
            self.parts.clear()
            return answer(204)
        if not self.parts:
            return answer(404, b"<Error><Code>NoSuchUpload</Code></Error>")
        self.objects[request.path] = (b"".join(self.parts[number] for number in sorted(self.parts)), self.meta)
        self.parts.clear()
        return answer(200, f"<Completed><ETag>{self._etag(request.path)}</ETag></Completed>".encode())

    def _read(self, request: Request, body: bytes, meta: dict[str, str]) -> bytes:
        headers = meta | {"etag": self._etag(request.path), "last-modified": formatdate(usegmt=True)}
        if request.method == "HEAD":
            return answer(200, body, **headers).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        if "range" in request.headers:
            first, _, last = request.headers["range"].removeprefix("bytes=").partition("-")
            start, end = int(first), min(int(last or len(body) - 1), len(body) - 1)
            if start >= len(body):
                return answer(416, b"<Error><Code>InvalidRange</Code></Error>")
            told = f"bytes {start}-{end}/{len(body)}"
            return answer(206, body[start : end + 1], content_range=told, **headers)
        return answer(200, body, **headers)

    def _etag(self, path: str) -> str:
        found = self.objects.get(path)
        return f'"{hashlib.md5(found[0]).hexdigest()}"' if found else '"none"'


def _meta(request: Request) -> dict[str, str]:
    return {name: value for name, value in request.headers.items() if name.startswith("x-amz-meta-")}


class Talk:
    """One connection, seen from the server."""

    def __init__(self, raw: socket.socket, server: Hostile, number: int) -> None:
        self.raw = raw
        self.server = server
        self.number = number
        self._ahead = b""

    def head(self) -> Request | None:
        """Read the head of a request; None when the client has left."""
        while b"\r\n\r\n" not in self._ahead:
            piece = self.raw.recv(65536)
            if not piece:
                return None
            self._ahead += piece
        head, _, self._ahead = self._ahead.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        parts = urlsplit(target)
        query = parse_qs(parts.query, keep_blank_values=True)
        request = Request(method, unquote(parts.path), query, headers, connection=self.number)
        with self.server.lock:
            self.server.requests.append(request)
        return request

    def request(self) -> Request | None:
        """Read a whole request."""
        request = self.head()
        if request is not None:
            size = int(request.headers.get("content-length", 0))
            while len(self._ahead) < size:
                piece = self.raw.recv(1 << 20)
                if not piece:
                    return None
                self._ahead += piece
            request.body, self._ahead = self._ahead[:size], self._ahead[size:]
        return request

    def requests(self) -> Iterator[Request]:
        """Read requests until the client leaves."""
        while (request := self.request()) is not None:
            yield request

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self.raw.sendall(data)

    def drip(self, data: bytes, seconds: float = 0.05) -> None:
        """Send a byte at a time."""
        for number in range(len(data)):
            self.raw.sendall(data[number : number + 1])
            if self.server.over.wait(seconds):
                return

    def stall(self) -> None:
        """Say nothing until the test is over."""
        self.server.over.wait(60)

    def reset(self) -> None:
        """End the connection by a reset."""
        self.raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.raw.close()


Behave = Callable[[Talk], None]


@contextmanager
def hostile(
    behave: Behave,
    tls: ssl.SSLContext | None = None,
    dialect: Callable[[Hostile, Request], bytes] | None = None,
) -> Iterator[Hostile]:
    """Run a server until the block ends."""
    server = Hostile(behave, tls, dialect=dialect)
    listener = socket.create_server(("127.0.0.1", 0))
    server.port = listener.getsockname()[1]
    threads: list[threading.Thread] = []
    open_ones: list[socket.socket] = []

    def serve(raw: socket.socket, number: int) -> None:
        with suppress(OSError, ValueError):
            if server.tls is not None:
                raw.settimeout(5)
                raw = server.tls.wrap_socket(raw, server_side=True)
            raw.settimeout(20)
            open_ones.append(raw)
            server.behave(Talk(raw, server, number))
        raw.close()

    def accept() -> None:
        while True:
            try:
                raw, _ = listener.accept()
            except OSError:
                return
            with server.lock:
                server.connections += 1
                number = server.connections
            thread = threading.Thread(target=serve, args=(raw, number), daemon=True)
            threads.append(thread)
            thread.start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield server
    finally:
        server.over.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for raw in open_ones:
            with suppress(OSError):
                raw.shutdown(socket.SHUT_RDWR)
        for thread in [accepting, *threads]:
            thread.join(timeout=5)
        for raw in open_ones:
            raw.close()
