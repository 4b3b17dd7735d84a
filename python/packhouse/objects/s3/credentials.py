"""Who we are and where the service is: explicit options, then environment and files by botocore's chain, in a thread.

Temporary credentials are renewed in time.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anyio import to_thread

from packhouse.errors import InvalidInput, StorageError
from packhouse.objects.bucket.options import check_endpoint
from packhouse.objects.bucket.renewing import Renewing, failed
from packhouse.objects.s3.options import S3Options
from packhouse.objects.s3.signing import Credentials

__all__ = ["Botocores", "Identity", "find_identity"]

_HINT = "check the profile or the machine's role"


@dataclass(frozen=True, slots=True)
class Identity:
    """What was found."""

    region: str
    endpoint: str | None
    credentials: Callable[[], Any]
    """An async function that returns what to sign with now; None to sign nothing."""
    ca: str | None


async def find_identity(options: S3Options) -> Identity:
    """Look in all places; only what is not given explicitly is looked for.

    Raises:
        InvalidInput: a profile or a file that cannot be read, or a profile without botocore.
        StorageError: no credentials anywhere (`bad-credentials`).
    """
    return await to_thread.run_sync(_find, options, abandon_on_cancel=True)


def _find(options: S3Options) -> Identity:
    given = options.anonymous or options.access_key_id is not None
    environment = os.environ
    region = options.region or environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    endpoint = options.endpoint
    if endpoint is None and environment.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() != "true":
        endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL") or None
    ca = options.http.ca or environment.get("AWS_CA_BUNDLE") or None
    session = None
    if not given or region is None or (None in (endpoint, ca) and _has_files(options)):
        session = _session(options.profile)
    if session is not None:
        region = region or session.get_config_variable("region")
        endpoint = endpoint or _configured_endpoint(session)
        ca = ca or session.get_config_variable("ca_bundle")
    endpoint = check_endpoint(endpoint) if endpoint else None
    return Identity(region or "us-east-1", endpoint, _credentials(options, session), ca)


def _has_files(options: S3Options) -> bool:
    """Say whether files may tell something; without any botocore need not be loaded for keys that were given."""
    places = {"AWS_CONFIG_FILE": "~/.aws/config", "AWS_SHARED_CREDENTIALS_FILE": "~/.aws/credentials"}
    paths = (Path(os.environ.get(variable) or usual).expanduser() for variable, usual in places.items())
    return options.profile is not None or any(path.is_file() for path in paths)


def _session(profile: str | None) -> Any:
    """Make botocore's session; None without botocore."""
    try:
        import botocore.exceptions  # noqa: PLC0415 - an extra
        import botocore.session  # noqa: PLC0415 - an extra
    except ImportError:
        if profile is not None:
            message = f"the profile {profile[:40]!a} cannot be read without botocore: install packhouse[s3]"
            raise InvalidInput(message, kind="option") from None
        return None
    session = botocore.session.Session(profile=profile)
    try:
        session.get_scoped_config()
    except botocore.exceptions.BotoCoreError as error:
        message = f"cannot read the AWS configuration ({type(error).__name__}); check the profile and its files"
        raise InvalidInput(message, kind="option") from None
    return session


def _configured_endpoint(session: Any) -> str | None:
    from botocore.configprovider import ConfiguredEndpointProvider  # noqa: PLC0415 - an extra

    if session.get_config_variable("ignore_configured_endpoint_urls"):
        return None
    provider = ConfiguredEndpointProvider(
        full_config=session.full_config, scoped_config=session.get_scoped_config(), client_name="s3"
    )
    found: str | None = provider.provide()
    return found


def _credentials(options: S3Options, session: Any) -> Callable[[], Any]:
    fixed: Credentials | None = None
    if options.access_key_id is not None and options.secret_access_key is not None:
        fixed = Credentials(options.access_key_id, options.secret_access_key, options.session_token)
    elif not options.anonymous and session is None:
        fixed = _from_environment()
    if fixed is not None or options.anonymous:

        async def same() -> Credentials | None:
            return fixed

        return same
    found = _load(session)
    return Renewing(Botocores(found)).current


def _from_environment() -> Credentials:
    key, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
    if not key or not secret:
        message = "no credentials in the environment, and without botocore no other place is searched: "
        message += "install packhouse[s3], or say `anonymous=True`"
        raise StorageError(message, kind="bad-credentials")
    return Credentials(key, secret, os.environ.get("AWS_SESSION_TOKEN") or None)


def _load(session: Any) -> Any:
    try:
        found = session.get_credentials()
    except Exception as error:  # noqa: BLE001 - providers raise what they like; their texts may hold secrets
        raise failed(error, _HINT) from None
    if found is None:
        message = "no credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile, "
        message += "or say `anonymous=True`"
        raise StorageError(message, kind="bad-credentials")
    return found


class Botocores:
    """Credentials of botocore's.

    Args:
        found: what its session found.
    """

    early = 15 * 60.0
    late = 2 * 60.0

    def __init__(self, found: Any) -> None:
        self._found = found
        self._needed = getattr(found, "refresh_needed", None)

    def ends_within(self, seconds: float) -> bool:
        """Say whether they end so soon."""
        return self._needed is not None and bool(self._needed(refresh_in=seconds))

    def read(self) -> Credentials:
        """Return them, renewed if need be; blocks.

        Raises:
            StorageError: they cannot be read.
        """
        try:
            frozen = self._found.get_frozen_credentials()
        except Exception as error:  # noqa: BLE001 - providers raise what they like; their texts may hold secrets
            raise failed(error, _HINT) from None
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token)
