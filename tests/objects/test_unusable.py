"""What cannot be used is refused in words of ours, whatever a library says of it, and its text is not repeated."""

from __future__ import annotations

import errno
import os
import resource
import sys
from pathlib import Path

import pytest

import packhouse
from packhouse.objects import open_objects
from packhouse.objects.http import HttpOptions
from packhouse.objects.s3 import S3Options

URLS = [
    "s3://[x",
    "gs://[x",
    "az://[x",
    "file://[x",
    "http://[x",
    "s3://KEY:PLANTED\u2100@b/x",
    "file://PLANTED\u2100/x",
]


@pytest.mark.parametrize("url", URLS)
def test_a_url_that_is_none_is_refused_without_its_text(url: str) -> None:
    for opening in (packhouse.open, open_objects):
        with pytest.raises(packhouse.InvalidInput) as caught:
            opening(url)
        assert caught.value.kind == "url"
        assert "PLANTED" not in f"{caught.value} {caught.value.__cause__}"


@pytest.mark.parametrize("name", [b"a\xff b", "größe 100%".encode()])
async def test_a_file_url_is_the_folder_whose_path_it_is_made_of(tmp_path: Path, name: bytes) -> None:
    folder = tmp_path / os.fsdecode(name)
    async with packhouse.open(folder / "store") as store:
        (saved,) = await store.save_blobs([b"content"])
    async with packhouse.open((folder / "store").as_uri(), mode="r") as store:
        assert await store.load(saved) == b"content"
    async with open_objects((folder / "objects").as_uri()) as objects:
        await objects.put("x", b"")
    assert sorted(each.name for each in folder.iterdir()) == ["objects", "store"]
    assert list(tmp_path.iterdir()) == [folder]


def test_a_file_url_that_no_file_can_have_is_refused() -> None:
    for opening in (packhouse.open, open_objects):
        with pytest.raises(packhouse.InvalidInput) as caught:
            opening("file:///tmp/\ud800")
        assert caught.value.kind == "url"


@pytest.mark.parametrize("proxy", ["proxy.example:3128", "ftp://proxy.example", "", "http://"])
def test_a_proxy_that_is_none_is_refused(proxy: str) -> None:
    with pytest.raises(packhouse.InvalidInput) as caught:
        HttpOptions(proxy=proxy)
    assert caught.value.kind == "option"


@pytest.mark.parametrize(
    ("lacking", "http"),
    [
        ("h2", HttpOptions(http2=True)),
        ("socksio", HttpOptions(proxy="socks5://user:PLANTED@127.0.0.1:9")),
        ("", HttpOptions(trust_env=True)),
    ],
)
async def test_a_way_that_httpx_does_not_go_is_refused(
    lacking: str, http: HttpOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    if lacking:
        monkeypatch.setitem(sys.modules, lacking, None)
    monkeypatch.setenv("HTTP_PROXY", "ftp://user:PLANTED@proxy.example")
    options = S3Options(endpoint="http://127.0.0.1:9", region="r", anonymous=True, http=http)
    with pytest.raises(packhouse.InvalidInput) as caught:
        async with packhouse.open("s3://bucket/p", options=options):
            pytest.fail("it was opened")
    assert caught.value.kind == "option"
    assert "PLANTED" not in str(caught.value)


async def test_what_the_system_refuses_of_a_folder_is_an_error_of_ours(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"in the way")
    with pytest.raises(packhouse.PackhouseError):
        async with open_objects(tmp_path / "file"):
            pytest.fail("it was opened")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    async with open_objects(tmp_path / "store") as store:
        await store.put("small", b"kept")
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        try:
            with pytest.raises(packhouse.StorageError) as caught:
                await store.put("large", bytes(5000))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert caught.value.errno == errno.EFBIG
        assert [info.name async for info in store.list()] == ["small"]
