"""Metaflow's own S3 storage, on a server that speaks S3: packed, verified and healed by us, carried by boto3."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from tests.metaflow.worlds import World, stock
from tests.servers.seaweedfs import Bucket

pytestmark = pytest.mark.timeout(300)

OPEN = """
import hashlib, json, os, random
from metaflow.datastore.content_addressed_store import ContentAddressedStore
from metaflow.plugins.datastores.s3_storage import S3Storage
root = os.environ["METAFLOW_DATASTORE_SYSROOT_S3"]
store = ContentAddressedStore("Flow/data", S3Storage(root))
dice = random.Random(1)
blobs = [dice.randbytes(100_000), bytes(3_000_000), b"", *(b"%d" % n for n in range(20))]
keys = [hashlib.sha1(blob).hexdigest() for blob in blobs]

def save(some):
    return [saved.key for saved in store.save_blobs(iter(some), len_hint=len(some))]

def load(some):
    return dict(store.load_blobs(some))
"""
"""More than ten blobs go another way there than few."""

SAVE = OPEN + "print(json.dumps([save(blobs) == keys, save(blobs) == keys]))"
LOAD = OPEN + "print(json.dumps([load(keys) == dict(zip(keys, blobs)), load(keys[:3]) == dict(zip(keys[:3], blobs))]))"
STRIKE = (
    OPEN
    + """
import boto3, io
bucket, prefix = root.removeprefix("s3://").split("/", 1)
s3 = boto3.client("s3", endpoint_url=os.environ["METAFLOW_S3_ENDPOINT_URL"])

def strike(content):
    s3.put_object(Bucket=bucket, Key=f"{prefix}/Flow/data/{keys[0][:2]}/{keys[0]}", Body=content)

record = io.BytesIO(json.dumps({"objects": {"weights": keys[0]}}).encode())
store._storage_impl.save_bytes(iter([("Flow/17/fit/3/0.data.json", record)]))
strike(b"x" * 100)
said = []
try:
    load(keys[:1])
except Exception as error:
    said.append(str(error))
save(blobs[:1])
said.append(load(keys[:1])[keys[0]] == blobs[0])
strike(b"")
save(blobs[:1])
said.append(load(keys[:1])[keys[0]] == blobs[0])
print(json.dumps(said))
"""
)
"""Damage an artifact, load it, save it again; empty it, save it again."""


@pytest.mark.parametrize(
    "ours_first",
    [
        pytest.param(True, id="ours, read by stock"),
        pytest.param(False, id="stock's, read by us", marks=pytest.mark.torture),
    ],
)
def test_each_reads_what_the_other_wrote_and_damage_is_told_and_healed(
    tmp_path: Path, bucket: Bucket, ours_first: bool
) -> None:
    there = {
        "METAFLOW_DATASTORE_SYSROOT_S3": f"s3://{bucket.bucket}/metaflow-{uuid.uuid4().hex}",
        "METAFLOW_S3_ENDPOINT_URL": bucket.endpoint,
        "METAFLOW_S3_WORKER_COUNT": "2",
        "AWS_ACCESS_KEY_ID": bucket.access,
        "AWS_SECRET_ACCESS_KEY": bucket.secret,
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    ours, theirs = World(tmp_path, extra=there), World(tmp_path, python=stock(tmp_path).python, extra=there)
    writer, reader = (ours, theirs) if ours_first else (theirs, ours)
    assert writer.ask(SAVE) == [True, True]
    assert reader.ask(LOAD) == [True, True]
    said, again, healed = ours.ask(STRIKE)
    assert "Flow/17/fit/3/weights cannot be read" in said
    assert there["METAFLOW_DATASTORE_SYSROOT_S3"] in said
    assert (again, healed) == (True, True)
