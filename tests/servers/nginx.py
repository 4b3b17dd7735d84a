"""nginx: serving a folder's files, so that the server is not the limit; or speaking HTTP/2 before another server."""

from __future__ import annotations

import os
import shutil
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from tests.servers.debian import unpacked
from tests.servers.running import free_ports, guarded, wait_until

__all__ = ["list_bucket", "nginx", "nginx_before"]

_CONFIGURATION = """
{user} daemon off; worker_processes 1; pid {here}/pid; error_log {here}/errors;
events {{ worker_connections 512; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
  client_body_temp_path {here}/a; proxy_temp_path {here}/b; fastcgi_temp_path {here}/c;
  uwsgi_temp_path {here}/d; scgi_temp_path {here}/e;
  {server}
}}
"""
_FILES = """
  server {{
    listen 127.0.0.1:{port}{tls}; root {root};
    location = /bucket/ {{ default_type application/xml; try_files /lists/$arg_prefix =404; }}
  }}
"""
_BEFORE = """
  log_format spoken "$server_protocol $request_method $status";
  server {{
    listen 127.0.0.1:{port} ssl http2; ssl_certificate {certificate}; ssl_certificate_key {certificate};
    access_log {log} spoken; client_max_body_size 0;
    location / {{
      proxy_pass {endpoint}; proxy_set_header Host $http_host; proxy_http_version 1.1; proxy_buffering off;
      proxy_request_buffering off;
    }}
  }}
"""


def list_bucket(root: Path) -> None:
    """Write down what S3 would answer to a listing of each folder in `bucket`."""
    (root / "lists").mkdir()
    bucket = root / "bucket"
    for folder in (path for path in bucket.rglob("*") if path.is_dir()):
        prefix = f"{folder.relative_to(bucket)}/"
        entries = [
            f"<Contents><Key>{path.relative_to(bucket)}</Key><Size>{path.stat().st_size}</Size>"
            "<LastModified>2026-01-01T00:00:00Z</LastModified></Contents>"
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        ]
        text = f"<ListBucketResult>{''.join(entries)}</ListBucketResult>"
        (root / "lists" / quote(prefix, safe="")).write_text(text)


@contextmanager
def nginx(root: Path, certificate: Path | None = None) -> Iterator[str]:
    """Serve a folder on a free loopback port; the URL ends with the block, or with this process.

    What is in `bucket` can be listed by prefix, too: as `list_bucket` has written it down.

    Args:
        root: the folder.
        certificate: a file with a key and certificates for 127.0.0.1: then it speaks TLS.

    Raises:
        ServerMissing: it cannot be had.
        ServerFailed: it does not start.
    """
    (port,) = free_ports(1)
    tls = f" ssl; ssl_certificate {certificate}; ssl_certificate_key {certificate}" if certificate else ""
    with _running(_FILES.format(port=port, root=root, tls=tls), port):
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{port}"


@contextmanager
def nginx_before(endpoint: str, certificate: Path, log: Path) -> Iterator[str]:
    """Speak TLS, and HTTP/2 to whoever can, before a server; the log has version, method and status of each request.

    Args:
        endpoint: the server's URL.
        certificate: a file with a key and certificates for 127.0.0.1.
        log: where it is written.

    Raises:
        ServerMissing: it cannot be had.
        ServerFailed: it does not start.
    """
    (port,) = free_ports(1)
    with _running(_BEFORE.format(port=port, certificate=certificate, log=log, endpoint=endpoint), port):
        yield f"https://127.0.0.1:{port}"


@contextmanager
def _running(server: str, port: int) -> Iterator[None]:
    program = shutil.which("nginx") or str(unpacked("nginx", "usr/sbin/nginx", ["nginx"]) / "usr/sbin/nginx")

    def command(folder: Path) -> list[str]:
        user = "user root;" if os.geteuid() == 0 else ""  # else its workers could not read what we may
        (folder / "nginx.conf").write_text(_CONFIGURATION.format(here=folder, user=user, server=server))
        return [program, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", str(folder / "errors")]

    def ready() -> bool:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2)
        except urllib.request.HTTPError:
            return True  # it answers: a folder is no file, and plain HTTP is no TLS
        except OSError:
            return False
        return True

    with guarded("nginx", command) as (folder, process):
        wait_until(ready, process, folder)
        yield
