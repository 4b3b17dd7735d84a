"""Who we are at Google: explicit options, then Application Default Credentials by google-auth, in a thread."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
from anyio import to_thread

from packhouse.errors import StorageError
from packhouse.objects.bucket.options import check_endpoint
from packhouse.objects.bucket.renewing import Renewing, failed
from packhouse.objects.gcs.options import GCSOptions

__all__ = ["GoogleToken", "Token", "find_endpoint", "find_token"]

Token = Callable[[], Awaitable[str | None]]
"""Returns what stands behind `Bearer` now; None to sign nothing."""
_GOOGLE = "https://storage.googleapis.com"
_SCOPES = ("https://www.googleapis.com/auth/devstorage.read_write",)
_HINT = (
    "check GOOGLE_APPLICATION_CREDENTIALS, `gcloud auth application-default login`, or the machine's service account"
)


def find_endpoint(options: GCSOptions) -> tuple[str, bool]:
    """Return where the service is, and whether the environment says that it is an emulator."""
    if options.endpoint is not None:
        return check_endpoint(options.endpoint), False
    emulator = os.environ.get("STORAGE_EMULATOR_HOST")
    if not emulator:
        return _GOOGLE, False
    return check_endpoint(emulator if "://" in emulator else f"http://{emulator}"), True


async def find_token(options: GCSOptions) -> Token:
    """Look in all places.

    Raises:
        StorageError: no credentials anywhere, or they cannot be used (`bad-credentials`).
    """
    given = options.credentials is not None or options.credentials_file is not None
    if options.anonymous or (find_endpoint(options)[1] and not given):

        async def nobody() -> None:
            return None

        return nobody
    source = await to_thread.run_sync(_find, options, abandon_on_cancel=True)
    return Renewing(source).current


def _find(options: GCSOptions) -> GoogleToken:
    try:
        import google.auth  # noqa: PLC0415 - an extra
        import google.auth.credentials  # noqa: PLC0415 - an extra
        from google.auth.transport.requests import Request  # noqa: PLC0415 - an extra
    except ImportError:
        message = "credentials for gs:// are found by google-auth: install packhouse[gcs], or say `anonymous=True`"
        raise StorageError(message, kind="bad-credentials") from None
    found = options.credentials
    file = options.credentials_file or os.environ.get("GOOGLE_APPLICATION_CREDENTIALS")
    try:
        if found is None and file:
            found = _from_file(file, known=options.credentials_file is not None)
        if found is None:
            found, _ = google.auth.default(scopes=_SCOPES)
        untyped: Any = google.auth.credentials
        found = untyped.with_scopes_if_required(found, _SCOPES)
        return GoogleToken(found, Request())
    except Exception as error:  # noqa: BLE001 - providers raise what they like; their texts may hold secrets
        raise failed(error, _HINT) from None


def _from_file(path: str, *, known: bool) -> Any:
    """Read a file of the usual kinds; None for a rarer one, unless it must be `known`: google-auth finds it by itself.

    Its own way in asks other services for a project, which nobody here wants to know.
    """
    from google.auth import aws, identity_pool  # noqa: PLC0415 - an extra
    from google.oauth2 import credentials, service_account  # noqa: PLC0415 - an extra

    told = orjson.loads(Path(path).read_bytes())
    source = told.get("credential_source", {})
    kinds: dict[str, Any] = {
        "service_account": service_account.Credentials.from_service_account_info,
        "authorized_user": credentials.Credentials.from_authorized_user_info,
    }
    if "executable" not in source:  # a program is run by google-auth alone, which asks for leave first
        kinds["external_account"] = (aws if "environment_id" in source else identity_pool).Credentials.from_info
    kind = told["type"]
    return kinds[kind](told, scopes=_SCOPES) if known or kind in kinds else None


class GoogleToken:
    """A token of google-auth's credentials.

    Args:
        found: the credentials.
        request: what they ask for a token through.
    """

    # google-auth itself renews 225 s before the end, and a machine's metadata server gives no new token much earlier.
    early = 225.0
    late = 30.0

    def __init__(self, found: Any, request: Any) -> None:
        self._found = found
        self._request = request

    def ends_within(self, seconds: float) -> bool:
        """Say whether it ends so soon."""
        ends: datetime | None = self._found.expiry
        if ends is None:
            return False
        ends = ends if ends.tzinfo is not None else ends.replace(tzinfo=UTC)
        return (ends - datetime.now(UTC)).total_seconds() < seconds

    def read(self) -> str:
        """Return it, renewed if need be; blocks.

        Raises:
            StorageError: there is none to be had.
        """
        found = self._found
        if not found.token or self.ends_within(self.early):
            try:
                found.refresh(self._request)
            except Exception as error:  # noqa: BLE001 - as above
                raise failed(error, _HINT) from None
        return str(found.token)
