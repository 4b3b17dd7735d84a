"""Who we are at Azure: our signature is the SDK's; keys and connection strings are found, and kept secret."""

from __future__ import annotations

import base64
import copy
import json
import logging
import pickle
import secrets
import sys
import time
from types import SimpleNamespace
from typing import Any

import pytest
from azure.storage.blob import ContainerSasPermissions, generate_container_sas
from azure.storage.blob._shared.authentication import SharedKeyCredentialPolicy

from packhouse.errors import InvalidInput, PackhouseError, StorageError
from packhouse.objects.azure import AzureObjects, AzureOptions
from packhouse.objects.azure.credentials import find_identity
from packhouse.objects.azure.location import AzureLocation, decode_blob, encode_blob, parse_url
from packhouse.objects.azure.signing import sign_request
from packhouse.objects.http import HttpOptions
from tests.hostile.server import Behave, Talk, answer, hostile
from tests.servers.azurite import Container

KEY = base64.b64encode(b"planted account key").decode()
USUAL = "https://acc.blob.core.windows.net"
SAS = "sv=2023-11-03&sr=c&sig=pl4nted%2Fsignature%3D"


@pytest.fixture(autouse=True)
def nothing_around(monkeypatch: pytest.MonkeyPatch) -> None:
    import os  # noqa: PLC0415 - its environment

    for name in [name for name in os.environ if name.startswith("AZURE_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("method", "query", "headers"),
    [
        ("GET", "", {}),
        ("PUT", "", {"content-length": "0", "x-ms-blob-type": "BlockBlob", "x-ms-meta-packhousewrite": "ab cd"}),
        ("PUT", "comp=block&blockid=YQ%3D%3D", {"content-length": "12", "content-md5": "abc=", "if-match": '"0x1"'}),
        ("PUT", "", {"if-none-match": "*", "content-length": "5", "content-type": "application/octet-stream"}),
        ("PUT", "", {"x-ms-encryption-key": "k", "x-ms-encryption-key-sha256": "s", "x-ms-encryption-scope": "c"}),
        ("GET", "comp=list&marker=a%20b%2B&prefix=p%2F%C3%A9&restype=container", {}),
    ],
)
@pytest.mark.parametrize("base", ["https://account.blob.core.windows.net", "http://127.0.0.1:10000/account"])
def test_our_signature_is_the_sdks(base: str, method: str, query: str, headers: dict[str, str]) -> None:
    url = f"{base}/container/prefix%20%C3%A9/name{'?' + query if query else ''}"
    sent = {"x-ms-version": "2023-11-03", "x-ms-date": "Sat, 21 Nov 2026 21:00:00 GMT", **headers}
    ours = sign_request("account", base64.b64decode(KEY), method, url, sent)

    titled = {name.title() if not name.startswith("x-ms") else name: value for name, value in sent.items()}
    from urllib.parse import parse_qsl, urlsplit  # noqa: PLC0415 - beside its use

    asked = dict(parse_qsl(urlsplit(url).query))
    theirs: Any = SimpleNamespace(
        http_request=SimpleNamespace(method=method, url=url, query=asked, headers=titled),
        context=SimpleNamespace(transport=None, options={}),
    )
    untyped: Any = SharedKeyCredentialPolicy
    untyped("account", KEY).on_request(theirs)
    assert ours == theirs.http_request.headers["Authorization"]


def test_urls_and_names() -> None:
    assert parse_url("az://account/container/a/b/") == AzureLocation("account", "container", "a/b/")
    assert parse_url("az://account/container").prefix == ""
    for bad in (
        "az://", "az://account", "az://Account/c", "az://account/UP", "az://account/con--tainer", "az://account/c",
        "az://user:pass@account/container", "az://account/container?sig=x", "az://account/container/../x",
        "az://account:1/container", "gs://account/container",
    ):  # fmt: skip
        with pytest.raises(InvalidInput):
            parse_url(bad)
    for name in ("a.", "a./b.", "..a", "a..b", ".a", "x/y.z", "a.."):
        assert decode_blob(encode_blob(name)) == name
        assert not any(part.endswith(".") for part in encode_blob(name).split("/"))
    assert encode_blob("p./x.", whole=False) == "p.$/x."


async def test_what_is_found_where(monkeypatch: pytest.MonkeyPatch) -> None:
    azurite = await find_identity(AzureOptions(), "devstoreaccount1")
    assert azurite.base == "http://127.0.0.1:10000/devstoreaccount1"
    assert azurite.key is not None
    simple = await find_identity(AzureOptions(connection_string="UseDevelopmentStorage=true"), "devstoreaccount1")
    assert simple == azurite
    proxied = "UseDevelopmentStorage=true;DevelopmentStorageProxyUri=http://10.0.0.1:10000"
    assert (await find_identity(AzureOptions(connection_string=proxied), "devstoreaccount1")).base == (
        "http://10.0.0.1:10000/devstoreaccount1"
    )
    text = f"DefaultEndpointsProtocol=https;AccountName=acc;AccountKey={KEY};EndpointSuffix=core.example"
    found = await find_identity(AzureOptions(connection_string=text), "acc")
    assert (found.base, found.key) == ("https://acc.blob.core.example", b"planted account key")
    with pytest.raises(InvalidInput, match="another account"):
        await find_identity(AzureOptions(connection_string=text), "other")
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", text)
    assert (await find_identity(AzureOptions(), "acc")).key == b"planted account key"
    explicit = await find_identity(AzureOptions(sas_token=f"?{SAS}", endpoint="https://given.example"), "acc")
    assert (explicit.base, explicit.key, explicit.sas) == ("https://given.example", None, SAS)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT", "another")
    monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", SAS)
    credential = SimpleNamespace(get_token=lambda _scope: SimpleNamespace(token="t", expires_on=time.time() + 3600))
    assert (await find_identity(AzureOptions(credential=credential), "third")).sas == "", "another account's"
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT", "third")
    assert (await find_identity(AzureOptions(), "third")).sas == SAS
    for name in ("AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_ACCOUNT_NAME"):  # set to nothing is not set
        monkeypatch.setenv(name, "")
    assert (await find_identity(AzureOptions(), "third")).sas == SAS


@pytest.mark.parametrize(
    ("endpoint", "account"),
    [
        ("https://acc.blob.core.windows.net/", "acc"),
        ("https://acc-secondary.blob.core.windows.net", "acc"),
        ("https://acc.privatelink.blob.core.windows.net", "acc"),
        ("http://127.0.0.1:10000/acc", "acc"),
        ("http://acc.localhost:10000", "acc"),
        ("https://storage.example", ""),
    ],
)
async def test_a_connection_string_without_a_name_is_of_its_endpoints_account(
    endpoint: str, account: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f"BlobEndpoint={endpoint};SharedAccessSignature={SAS}"
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", text)
    nobody = SimpleNamespace(get_token=lambda _scope: None)
    monkeypatch.setattr("azure.identity.DefaultAzureCredential", lambda: nobody)
    found = await find_identity(AzureOptions(), "acc")
    assert (found.sas, found.base) == ((SAS, endpoint.rstrip("/")) if account else ("", USUAL))
    for options in (AzureOptions(), AzureOptions(endpoint="https://given.example")):
        assert (await find_identity(options, "other")).sas == "", "a signature would be told to a stranger"
    explicit = AzureOptions(connection_string=text)
    assert (await find_identity(explicit, "acc")).sas == SAS
    if account:
        with pytest.raises(InvalidInput, match="another account"):
            await find_identity(explicit, "other")


def machine(token: str) -> Behave:
    """Answer as the identity endpoint of a machine at Azure; with no token, as one that has no identity."""

    def serve(talk: Talk) -> None:
        for _ in talk.requests():
            told = {"access_token": token, "expires_on": str(int(time.time()) + 3600), "token_type": "Bearer"}
            talk.send(answer(200, json.dumps(told).encode()) if token else answer(400, b"{}"))

    return serve


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_machines_identity_is_found_by_azure_identity(
    monkeypatch: pytest.MonkeyPatch, anyio_backend: str
) -> None:
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential")  # of the chain, what this machine is not
    monkeypatch.setenv("IDENTITY_HEADER", "planted-header")
    with hostile(machine("planted-token")) as server:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{server.url}/msi/token")
        identity = await find_identity(AzureOptions(), "acc")
        assert (identity.base, identity.key, identity.sas) == (USUAL, None, "")
        assert identity.token is not None
        assert [await identity.token() for _ in range(2)] == ["planted-token"] * 2
        assert [request.headers["x-identity-header"] for request in server.requests] == ["planted-header"]
        assert server.requests[0].query["resource"] == ["https://storage.azure.com"]
        assert "planted" not in repr(identity)
    with hostile(machine("")) as server:
        monkeypatch.setenv("IDENTITY_ENDPOINT", f"{server.url}/msi/token")
        identity = await find_identity(AzureOptions(), "acc")
        assert identity.token is not None
        with pytest.raises(StorageError, match="az login") as caught:
            await identity.token()
        assert caught.value.kind == "bad-credentials"


async def test_without_azure_identity_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "azure.identity", None)  # as where the extra is not installed
    with pytest.raises(StorageError, match=r"packhouse\[azure\]") as caught:
        await find_identity(AzureOptions(), "acc")
    assert caught.value.kind == "bad-credentials"


async def test_a_token_is_asked_for_once_and_renewed_before_its_end() -> None:
    asked: list[str] = []
    left = [3600.0]

    def get_token(scope: str) -> Any:
        asked.append(scope)
        return SimpleNamespace(token=f"token {len(asked)}", expires_on=time.time() + left[0])

    identity = await find_identity(AzureOptions(credential=SimpleNamespace(get_token=get_token)), "acc")
    assert identity.token is not None
    left[0] = 200.0  # soon at its end, and no newer one to be had
    assert [await identity.token() for _ in range(3)] == ["token 1"] * 3
    assert asked == ["https://storage.azure.com/.default"]


async def test_an_error_of_azure_identity_keeps_its_text() -> None:
    def refuse(scope: str) -> None:
        raise RuntimeError("planted-text")

    identity = await find_identity(AzureOptions(credential=SimpleNamespace(get_token=refuse)), "acc")
    assert identity.token is not None
    with pytest.raises(StorageError) as caught:
        await identity.token()
    assert caught.value.kind == "bad-credentials"
    assert "planted-text" not in str(caught.value)


def test_a_credential_of_the_async_kind_is_refused() -> None:
    class Credential:
        async def get_token(self, scope: str) -> None:
            raise AssertionError(scope)

    with pytest.raises(InvalidInput, match=r"azure\.identity") as caught:
        AzureOptions(credential=Credential())
    assert caught.value.kind == "option"


def test_what_cannot_be_used_is_refused_and_not_repeated() -> None:
    for chosen in (
        {"account_key": "not base64 planted"}, {"sas_token": "planted=1"}, {"connection_string": "planted"},
        {"endpoint": "https://user:planted@host"}, {"customer_key": b"planted"},
    ):  # fmt: skip
        with pytest.raises(InvalidInput) as caught:
            AzureOptions(**chosen)
        assert "planted" not in str(caught.value)


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    return caplog


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_signature_in_the_url_works_and_shows_nowhere(
    azure_emulator: Container, told: pytest.LogCaptureFixture, anyio_backend: str
) -> None:
    import httpx  # noqa: PLC0415 - beside its use

    untyped: Any = generate_container_sas
    permission = ContainerSasPermissions(read=True, write=True, delete=True, list=True)
    sas: str = untyped(azure_emulator.account, azure_emulator.container, account_key=azure_emulator.key,
                       permission=permission, expiry="2036-01-01")  # fmt: skip
    signature = sas.partition("sig=")[2]
    options = AzureOptions(endpoint=azure_emulator.endpoint, sas_token=sas, http=HttpOptions(deadline=20, tries=2))
    url = f"az://{azure_emulator.account}/{azure_emulator.container}/{secrets.token_hex(4)}"
    shown: list[str] = [repr(options), str(pickle.dumps(options)), repr(copy.deepcopy(options))]
    async with httpx.AsyncClient() as client:
        for handed in (None, client):
            async with AzureObjects(url, options, client=handed) as store:
                await store.put("name", b"body")
                await store.put("large", bytes(9 << 20))
                assert await store.copy("name", "copy")
                assert sorted([info.name async for info in store.list()]) == ["copy", "large", "name"]
                shown += [repr(store), store.url, repr(store.requests), repr(store.requests.identity)]
            lost = AzureOptions(endpoint="http://127.0.0.1:9", sas_token=sas, http=HttpOptions(deadline=2, tries=1))
            async with AzureObjects(url, lost, client=handed) as store:
                with pytest.raises(PackhouseError) as caught:
                    await store.get("name")
                import traceback  # noqa: PLC0415 - beside its use

                shown += traceback.format_exception(caught.value)
    text = "\n".join([*shown, *(record.getMessage() for record in told.records)])
    assert "packhouse.http" in {record.name for record in told.records}
    for secret in (signature, azure_emulator.key):
        assert secret not in text


@pytest.mark.parametrize(
    ("change", "container", "kind"),
    [
        ({"account_key": KEY}, "packhouse", "access-denied"),  # of Azure AuthenticationFailed, of Azurite this
        ({"account_key": None, "anonymous": True}, "packhouse", "access-denied"),
        ({"account_key": None, "sas_token": SAS}, "packhouse", "access-denied"),  # as above
        ({}, "no-such-container", "no-bucket"),
        ({"endpoint": "http://127.0.0.1:9/packhousetest"}, "packhouse", "no-network"),
    ],
)
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_what_is_refused_says_what_to_do(
    azure_options: AzureOptions, change: dict[str, Any], container: str, kind: str, anyio_backend: str
) -> None:
    from dataclasses import replace  # noqa: PLC0415 - beside its use

    options = replace(azure_options, **change, http=replace(azure_options.http, tries=2))
    async with AzureObjects(f"az://packhousetest/{container}", options) as store:
        for doing in (store.put("refused", b"x"), store.get("refused")):
            with pytest.raises(PackhouseError) as caught:
                await doing
            assert caught.value.kind == kind, f"{caught.value}"
            assert "; " in str(caught.value), "the sentence says what to do"
