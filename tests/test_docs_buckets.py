"""What the pages about buckets show works in a bucket, with the usual variables and nothing but its URL."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import packhouse.sync
from tests.servers.azurite import Container
from tests.servers.seaweedfs import Bucket
from tests.test_docs import ROOT, run

EXCUSE = re.compile(r"^<!-- not run: needs a (?:bucket|container) -->\n", re.MULTILINE)
NUMBER = re.compile(r"[-+]?\d[\d.,]*")
S3, GOOGLE, AZURE = "s3://my-bucket/some/prefix", "gs://my-bucket/some/prefix", "az://account/container/some/prefix"


def for_a_bucket(text: str, there: dict[str, str]) -> Iterator[str]:
    """Write a page again: its blocks for buckets are run, in one that is there, and may print other numbers."""
    plain, *excused = EXCUSE.split(text)
    assert excused, "the page has blocks that need a bucket"
    yield plain
    for each in excused:
        block, end, rest = each.partition("\n```\n")
        assert any(shown in block for shown in there)
        for shown, found in there.items():
            block = block.replace(shown, found)
        lines = block.split("\n")
        if lines[0] == "```console":
            lines = [line if line.startswith("$ ") else NUMBER.sub("…", line) for line in lines]
        yield "\n".join(lines) + end + rest


def read_along(page: str, there: dict[str, str], folder: Path, **environment: str) -> None:
    """Do what a page says, in an empty folder that holds a store."""
    written = folder / Path(page).name
    written.write_text("".join(for_a_bucket((ROOT / "docs" / "howto" / page).read_text("utf-8"), there)), "utf-8")
    run(["-m", "tests.docs_page", str(written)], folder / "reader", XDG_CACHE_HOME=str(folder), **environment)


def test_the_page_on_buckets_works_in_one(bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "reader").mkdir()
    with packhouse.sync.open(tmp_path / "reader" / "store") as store:
        saved = store.save_blobs([secrets.token_bytes(1 << 20), b"small"])
        store.names.put("name", 1, refs=[saved[0].key])
    there = {
        S3: f"s3://{bucket.bucket}/{secrets.token_hex(4)}",
        "/var/tmp/index": str(tmp_path / "index"),
        'proxy="http://proxy.example:3128"': "",
    }
    environment = {"AWS_ENDPOINT_URL": bucket.endpoint, "AWS_REGION": "us-east-1"}
    keys = {"AWS_ACCESS_KEY_ID": bucket.access, "AWS_SECRET_ACCESS_KEY": bucket.secret}
    read_along("buckets.md", there, tmp_path, **environment, **keys)


def test_the_page_on_google_works_in_a_bucket(gcs_emulator: str, tmp_path: Path) -> None:
    there = {GOOGLE: f"gs://packhouse/{secrets.token_hex(4)}"}
    read_along("google-cloud-storage.md", there, tmp_path, STORAGE_EMULATOR_HOST=gcs_emulator)


def test_the_page_on_azure_works_in_a_container(azure_emulator: Container, tmp_path: Path) -> None:
    there = {AZURE: f"az://{azure_emulator.account}/{azure_emulator.container}/{secrets.token_hex(4)}"}
    text = azure_emulator.connection_string
    read_along("azure.md", there, tmp_path, AZURE_STORAGE_CONNECTION_STRING=text)
