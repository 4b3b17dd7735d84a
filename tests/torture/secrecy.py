"""Row 16: secrets planted wherever users put them; every log at DEBUG, error, repr and pickle searched for them."""

from __future__ import annotations

import base64
import copy
import hashlib
import io
import json
import logging
import os
import pickle
import sys
import time
import traceback
import urllib.parse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import anyio
import google.oauth2.credentials
import httpx
import httpx2

from packhouse.objects.azure import AzureObjects, AzureOptions
from packhouse.objects.bucket import BucketObjects
from packhouse.objects.gcs import GCSObjects, GCSOptions
from packhouse.objects.http import HttpOptions
from packhouse.objects.s3 import S3Objects, S3Options
from packhouse.objects.s3.location import parse_url
from packhouse.objects.s3.signing import Credentials
from tests.hostile.driving import DIALECTS
from tests.hostile.server import Talk, answer, hostile
from tests.torture.outcome import Outcome
from tests.torture.places import scratch_folder

_BUCKET = "s3://bucket/prefix"
KEY = hashlib.sha256(b"planted").digest()
PLANTED = {
    "access key": "AKIAPLANTED0000000001",
    "secret key": "pl4nted-secret/key+2",
    "session token": "pl4nted-session-token-3",
    "own key (SSE-C)": base64.b64encode(KEY).decode(),
    "own key, hex": KEY.hex(),
    "password in a bucket's URL": "pl4nted-url-password-6",
    "user in a bucket's URL": "pl4nted-url-user-7",
    "token in a bucket's URL": "pl4nted-url-token-8",
    "password in an endpoint": "pl4nted-endpoint-password-9",
    "token in an endpoint": "pl4nted-endpoint-token-10",
    "password in a proxy": "pl4nted-proxy-password-11",
    "access key in the environment": "AKIAPLANTED0000000012",
    "secret key in the environment": "pl4nted-environment-secret-13",
    "token in the environment": "pl4nted-environment-token-14",
    "access key in a file": "AKIAPLANTED0000000015",
    "secret key in a file": "pl4nted-file-secret-16",
    "token in a file": "pl4nted-file-token-17",
    "secret of a process": "pl4nted-process-secret-18",
    "error text of a process": "pl4nted-process-error-19",
    "what a service repeats": "pl4nted-repeated-20",
    "token at Google": "ya29.pl4nted-google-token-21",
    "key of an account": base64.b64encode(b"pl4nted key of an account 22").decode(),
    "key in a connection string": base64.b64encode(b"pl4nted key in a string 23").decode(),
    "shared access signature": "pl4nted-access-signature-24",
    "token at Azure": "pl4nted-azure-token-25",
}


def run(name: str, *, rounds: int) -> Outcome:
    """Use a bucket in every way that fails or succeeds, and search what came out."""
    del name
    outcome = Outcome(16, rounds=rounds)
    told = io.StringIO()
    with outcome.timed(), scratch_folder() as folder, _logged(told), _environment(folder):
        signatures = anyio.run(_use, told, folder)
    text = told.getvalue()
    wanted = PLANTED | {f"signature {number}": value for number, value in enumerate(sorted(signatures))}
    for what, secret in wanted.items():
        forms = {secret, urllib.parse.quote(secret, safe=""), repr(secret.encode())[2:-1]}
        if any(form in text for form in forms):
            line = next(line for line in text.splitlines() if any(form in line for form in forms))
            outcome.violations.append(f"{what} shows: {line[:200]}")
    outcome.notes.append(f"{len(PLANTED)} secrets and {len(signatures)} signatures, {len(text) >> 10} KiB searched")
    if len(signatures) < 5 or "packhouse.http" not in text:
        outcome.violations.append("the row did not do what it is there for")
    return outcome


@contextmanager
def _logged(told: io.StringIO) -> Iterator[None]:
    """Catch everything that anybody logs."""
    root = logging.getLogger()
    handler = logging.StreamHandler(told)
    handler.setFormatter(logging.Formatter("%(name)s %(message)s"))
    level = root.level
    quiet = [logging.getLogger(name) for name in ("botocore", "urllib3")]  # what they log is their own affair
    levels = [logger.level for logger in quiet]
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    for logger in quiet:
        logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
        for logger, before in zip(quiet, levels, strict=True):
            logger.setLevel(before)


@contextmanager
def _environment(folder: Path) -> Iterator[None]:
    before = dict(os.environ)
    (folder / "process.py").write_text(
        "import sys, json\n"
        f"print({PLANTED['error text of a process']!r}, file=sys.stderr)\n"
        f"print(json.dumps({json.dumps({'Version': 2, 'SecretAccessKey': PLANTED['secret of a process']})}))\n"
    )
    (folder / "credentials").write_text(
        f"[filed]\naws_access_key_id = {PLANTED['access key in a file']}\n"
        f"aws_secret_access_key = {PLANTED['secret key in a file']}\naws_session_token = {PLANTED['token in a file']}\n"
    )
    (folder / "config").write_text(f"[profile broken]\ncredential_process = {sys.executable} {folder}/process.py\n")
    os.environ |= {
        "AWS_ACCESS_KEY_ID": PLANTED["access key in the environment"],
        "AWS_SECRET_ACCESS_KEY": PLANTED["secret key in the environment"],
        "AWS_SESSION_TOKEN": PLANTED["token in the environment"],
        "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"),
        "AWS_CONFIG_FILE": str(folder / "config"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _serve(talk: Talk) -> None:
    """Do well with some names, fail in several ways with others, and repeat what was said."""
    repeated = PLANTED["what a service repeats"].encode()
    for request in talk.requests():
        said = b"<Error><Code>SignatureDoesNotMatch</Code><Message>%s</Message><StringToSign>%s</StringToSign></Error>"
        if "denied" in request.path:
            talk.send(answer(403, said % (repeated, request.headers.get("authorization", "").encode())))
        elif "moved" in request.path:
            talk.send(answer(307, location=f"https://elsewhere.invalid/?token={repeated.decode()}"))
        elif "lost" in request.path:
            talk.reset()
            return
        elif "garbage" in request.path:
            talk.send(b"HTTP/1.1 OK " + repeated + b"\r\n\r\n")
            return
        else:
            talk.send(talk.server.well(request))


async def _use(told: io.StringIO, folder: Path) -> set[str]:
    def tell(*things: object) -> None:
        told.writelines(f"{thing!r} {thing!s}\n" for thing in things)

    key = {"access_key_id": PLANTED["access key"], "secret_access_key": PLANTED["secret key"]}
    patience = HttpOptions(deadline=2, answer=1, tries=2)
    with hostile(_serve) as server:
        explicit = S3Options(
            endpoint=server.url, region="us-east-1", session_token=PLANTED["session token"], sse_customer_key=KEY,
            http=patience, **key,  # type: ignore[arg-type]
        )  # fmt: skip
        found = S3Options(endpoint=server.url, region="us-east-1", http=patience)
        filed = S3Options(endpoint=server.url, region="us-east-1", http=patience, profile="filed")
        broken = S3Options(endpoint=server.url, region="us-east-1", http=patience, profile="broken")
        proxy_url = f"http://user:{PLANTED['password in a proxy']}@127.0.0.1:9"
        proxy = HttpOptions(proxy=proxy_url, deadline=2, tries=1, plain_http=True)  # else it is passed by
        proxied = S3Options(endpoint=server.url, region="us-east-1", http=proxy, **key)  # type: ignore[arg-type]
        for options in (explicit, found, filed, broken, proxied):
            tell(options, copy.deepcopy(options))
            await _caught(told, _operations(tell, S3Objects(_BUCKET, options)))
        for made in (httpx.AsyncClient, httpx2.AsyncClient):
            async with made() as client:
                await _caught(told, _operations(tell, S3Objects(_BUCKET, explicit, client=client)))
        for options in (explicit, found, filed, proxied):
            told.write(pickle.dumps(options).decode("latin-1"))
        authorizations = [request.headers.get("authorization", "") for request in server.requests]
    await _use_google(tell, told, patience)
    authorizations += await _use_azure(tell, told, patience)
    _refuse_urls(told)
    try:
        pickle.dumps(Credentials(*key.values()))
    except TypeError as error:
        tell(error)
    tell(Credentials(*key.values()))
    return {value.rpartition("Signature=")[2] for value in authorizations if value}


async def _use_google(tell: Callable[..., None], told: io.StringIO, patience: HttpOptions) -> None:
    untyped: Any = google.oauth2.credentials.Credentials
    with hostile(_serve, dialect=DIALECTS["gs"]) as server:
        here: dict[str, Any] = {"endpoint": server.url, "http": patience, "customer_key": KEY}
        options = GCSOptions(credentials=untyped(PLANTED["token at Google"]), **here)
        tell(options)
        await _caught(told, _operations(tell, GCSObjects("gs://bucket/prefix", options)))
        told.write(pickle.dumps(GCSOptions(**here)).decode("latin-1"))
        sent = {request.headers.get("authorization") for request in server.requests}
    assert f"Bearer {PLANTED['token at Google']}" in sent


async def _use_azure(tell: Callable[..., None], told: io.StringIO, patience: HttpOptions) -> list[str]:
    with hostile(_serve, dialect=DIALECTS["az"]) as server:
        here: dict[str, Any] = {"http": patience, "customer_key": KEY}
        line = f"AccountName=account;AccountKey={PLANTED['key in a connection string']};BlobEndpoint={server.url};"
        plain = [
            AzureOptions(endpoint=server.url, account_key=PLANTED["key of an account"], **here),
            AzureOptions(endpoint=server.url, sas_token=f"sv=1&sig={PLANTED['shared access signature']}", **here),
            AzureOptions(connection_string=line, **here),
        ]
        for options in (*plain, AzureOptions(endpoint=server.url, credential=_Bearer(), **here)):
            tell(options)
            await _caught(told, _operations(tell, AzureObjects("az://account/bucket/prefix", options)))
        for options in plain:
            told.write(pickle.dumps(options).decode("latin-1"))
        sent = [request.headers.get("authorization", "") for request in server.requests]
        assert any(request.query.get("sig") == [PLANTED["shared access signature"]] for request in server.requests)
    assert f"Bearer {PLANTED['token at Azure']}" in sent
    return [value.replace("SharedKey account:", "Signature=") for value in sent if value.startswith("SharedKey")]


class _Bearer:
    """What azure-identity would give."""

    def get_token(self, *scopes: str) -> Any:
        """Return a token that holds for an hour."""
        del scopes
        return SimpleNamespace(token=PLANTED["token at Azure"], expires_on=int(time.time()) + 3600)


async def _operations(tell: Callable[..., None], store: BucketObjects) -> None:
    async with store:
        tell(store, store.url, await store.put("good", b"x"), await store.head("good"))
        tell(await store.get("good"))
        for name in ("denied", "moved", "lost", "garbage", "missing"):
            for doing in (
                store.get(name),
                store.put(name, b"x"),
                store.put_if(name, b"x", version=None),
                store.head(name),
            ):
                try:
                    await doing
                except Exception as error:  # noqa: BLE001 - searched
                    tell(error, error.__cause__, *traceback.format_exception(error))


async def _caught(told: io.StringIO, doing: object) -> None:
    try:
        await doing  # type: ignore[misc]
    except Exception as error:  # noqa: BLE001 - searched
        told.write("".join(traceback.format_exception(error)))


def _refuse_urls(told: io.StringIO) -> None:
    user, password = PLANTED["user in a bucket's URL"], PLANTED["password in a bucket's URL"]
    for url in (
        f"s3://{user}:{password}@bucket/x",
        f"s3://bucket/x?token={PLANTED['token in a bucket' + chr(39) + 's URL']}",
    ):
        try:
            parse_url(url)
        except ValueError as error:
            told.write("".join(traceback.format_exception(error)))
    for endpoint in (
        f"https://user:{PLANTED['password in an endpoint']}@host",
        f"https://host/?sig={PLANTED['token in an endpoint']}",
    ):
        try:
            S3Options(endpoint=endpoint)
        except ValueError as error:
            told.write("".join(traceback.format_exception(error)))
