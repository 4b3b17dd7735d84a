"""Shared key signatures. Held against azure-storage-blob's by a test.

Source: Azure Storage, "Authorize with Shared Key" (string to sign, canonicalized headers and resource, 2015-02-21).
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlsplit

__all__ = ["sign_request"]

_SIGNED = (
    "content-encoding", "content-language", "content-length", "content-md5", "content-type", "date",
    "if-modified-since", "if-match", "if-none-match", "if-unmodified-since", "range",
)  # fmt: skip


def sign_request(account: str, key: bytes, method: str, url: str, headers: Mapping[str, str]) -> str:
    """Return the header `authorization`.

    Args:
        account: its name.
        key: of the account.
        method: the verb of HTTP.
        url: encoded as it will be sent.
        headers: lower-case names; `x-ms-date` and `x-ms-version` are among them.
    """
    parts = urlsplit(url)
    told = {name: headers.get(name, "") for name in _SIGNED}
    if told["content-length"] == "0":
        told["content-length"] = ""
    lines = [method, *told.values()]
    lines += [f"{name}:{' '.join(headers[name].split())}" for name in sorted(headers) if name.startswith("x-ms-")]
    asked: dict[str, list[str]] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        asked.setdefault(name.lower(), []).append(value)
    lines.append(f"/{account}{parts.path}")
    lines += [f"{name}:{','.join(sorted(values))}" for name, values in sorted(asked.items())]
    signature = base64.b64encode(hmac.digest(key, "\n".join(lines).encode(), "sha256")).decode()
    return f"SharedKey {account}:{signature}"
