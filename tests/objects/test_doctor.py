"""`packhouse doctor` tells a good bucket from a bad one, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import aclosing
from pathlib import Path

import anyio
import pytest
import typer

import packhouse
from packhouse.cli.doctor import _doctor
from packhouse.objects import LocalObjects, MemoryObjects
from packhouse.objects.contract import Bytes, ObjectInfo
from packhouse.objects.doctor import examine
from packhouse.objects.s3 import S3Objects
from tests.hostile.driving import options_for
from tests.hostile.server import Talk, answer, hostile
from tests.servers.azurite import Container
from tests.servers.seaweedfs import Bucket

COMMAND = Path(sys.executable).parent / "packhouse"


def environment(bucket: Bucket, **more: str) -> dict[str, str]:
    plain = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    found = {"AWS_ENDPOINT_URL": bucket.endpoint, "AWS_ACCESS_KEY_ID": bucket.access, "AWS_REGION": "us-east-1"}
    return plain | found | {"AWS_SECRET_ACCESS_KEY": bucket.secret} | more


def doctor(bucket: Bucket, url: str, *options: str, **more: str) -> tuple[int, list[dict[str, str]]]:
    command = [str(COMMAND), "doctor", url, "--json", *options]
    done = subprocess.run(command, env=environment(bucket, **more), capture_output=True, timeout=100, check=False)
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_a_good_bucket_is_called_good_with_nothing_but_its_url(bucket: Bucket) -> None:
    code, found = doctor(bucket, "s3://packhouse/clinic")
    assert (code, {each["verdict"] for each in found}) == (0, {"good"}), found
    assert len(found) == 13


def doctor_by(environment: dict[str, str], url: str, *options: str) -> tuple[int, dict[str, dict[str, str]]]:
    command = [str(COMMAND), "doctor", url, "--json", *options]
    surroundings = os.environ | environment
    done = subprocess.run(command, env=surroundings, capture_output=True, timeout=100, check=False)
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    found = [json.loads(line) for line in done.stdout.splitlines()]
    return done.returncode, {each["subject"]: each for each in found}


def test_a_bucket_of_google_is_tried_out_with_nothing_but_its_url(gcs_emulator: str) -> None:
    environment = {"STORAGE_EMULATOR_HOST": gcs_emulator}
    code, found = doctor_by(environment, "gs://packhouse/clinic")
    verdicts = {subject: each["verdict"] for subject, each in found.items()}
    assert verdicts.pop("checksums") == "poor", "the emulator takes a wrong one; Google does not"
    assert (code, set(verdicts.values()), len(found)) == (0, {"good"}, 13), found
    code, found = doctor_by(environment, "gs://missing")
    assert (code, found["reading"]["kind"]) == (1, "no-bucket")


def test_a_container_of_azure_is_tried_out_with_nothing_but_its_url(azure_emulator: Container) -> None:
    environment = {"AZURE_STORAGE_CONNECTION_STRING": azure_emulator.connection_string}
    root = f"az://{azure_emulator.account}"
    code, found = doctor_by(environment, f"{root}/packhouse/clinic")
    assert (code, {each["verdict"] for each in found.values()}, len(found)) == (0, {"good"}, 13), found
    code, found = doctor_by(environment, f"{root}/missing")
    assert (code, found["reading"]["kind"]) == (1, "no-bucket")
    code, found = doctor_by(environment, f"{root}/packhouse", "--region", "westeurope")
    assert (code, found) == (2, {})


@pytest.mark.parametrize(
    ("url", "more", "kind"),
    [
        ("s3://packhouse", {"AWS_SECRET_ACCESS_KEY": "wrong"}, "bad-credentials"),
        ("s3://packhouse", {"AWS_ACCESS_KEY_ID": "poor", "AWS_SECRET_ACCESS_KEY": "poor-secret"}, "access-denied"),
        ("s3://missing", {}, "no-bucket"),
    ],
)
def test_what_is_wrong_has_a_name(bucket: Bucket, url: str, more: dict[str, str], kind: str) -> None:
    code, found = doctor(bucket, url, **more)
    assert (code, found[-1]["verdict"], found[-1]["kind"]) == (1, "bad", kind)


@pytest.mark.parametrize(
    ("refused", "kind", "says"),
    [("GET", "access-denied", "cannot be told"), ("DELETE", "", "stays"), ("", "", "is withdrawn")],
    ids=["listing uploads", "aborting uploads", "neither"],
)
async def test_rights_to_tell_and_withdraw_uploads_are_tried(refused: str, kind: str, says: str) -> None:
    begun: list[str] = []

    def serve(talk: Talk) -> None:
        for request in talk.requests():
            asked = request.query.keys() & {"uploads", "uploadId"}
            if request.method == refused and asked:
                talk.send(answer(403, b"<Error><Code>AccessDenied</Code></Error>"))
            elif request.method == "GET" and asked:
                left = "".join(f"<Upload><Key>{name}</Key><UploadId>u1</UploadId></Upload>" for name in begun)
                talk.send(answer(200, f"<ListMultipartUploadsResult>{left}</ListMultipartUploadsResult>".encode()))
            else:
                if "uploads" in request.query:
                    begun.append(request.path.removeprefix("/bucket/"))
                elif asked:
                    begun.clear()
                talk.send(talk.server.well(request))

    with hostile(serve) as server:
        async with S3Objects("s3://bucket", options_for(server)) as store:
            found = {each.subject: each async for each in examine(store)}["unfinished uploads"]
    assert (found.verdict, found.kind) == ("poor" if refused else "good", kind)
    assert says in found.detail


class _Heedless(MemoryObjects):
    async def put_if(self, name: str, body: Bytes, *, version: str | None) -> ObjectInfo:
        return await self.put(name, body)


async def test_conditions_that_are_ignored_are_noticed_and_nothing_is_left() -> None:
    store = _Heedless()
    verdicts = {found.subject: found.verdict async for found in examine(store)}
    assert verdicts.pop("conditional writes") == "poor"
    assert set(verdicts.values()) == {"good"}
    assert [info async for info in store.list()] == []


def by_hand(folder: Path, *command: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([str(COMMAND), *command], cwd=folder, capture_output=True, timeout=100, check=False)


@pytest.mark.parametrize("there", [True, False])
def test_a_store_is_made_in_a_folder_that_was_tried_out(tmp_path: Path, there: bool) -> None:
    if there:
        (tmp_path / "trial").mkdir()
    tried = by_hand(tmp_path, "doctor", "trial")
    assert tried.returncode == 0, tried.stderr.decode()
    assert [line.split()[0] for line in tried.stdout.decode().splitlines()] == ["✓"] * 6
    assert list(tmp_path.rglob("*")) == ([tmp_path / "trial"] if there else [])
    made = by_hand(tmp_path, "init", "trial")
    assert made.returncode == 0, made.stderr.decode()


async def test_a_folder_in_which_stores_are_refused_is_called_bad(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    async def refuse(self: packhouse.BlobStore) -> packhouse.BlobStore:
        raise packhouse.UnsupportedStore("the folder is on an nfs file system", kind="shared-file-system")

    monkeypatch.setattr(packhouse.BlobStore, "__aenter__", refuse)
    with pytest.raises(typer.Exit) as left:
        await _doctor(str(tmp_path), {}, as_json=True)
    assert left.value.exit_code == 1
    [found] = map(json.loads, capsysbinary.readouterr().out.splitlines())
    assert (found["verdict"], found["kind"]) == ("bad", "shared-file-system")
    assert list(tmp_path.iterdir()) == []


async def test_nothing_is_said_of_what_cannot_be_tried() -> None:
    told = [found.subject async for found in examine(MemoryObjects())]
    assert "listing" in told
    assert not {"checksums", "unfinished uploads"} & set(told)


def test_what_means_nothing_to_a_folder_is_refused(tmp_path: Path) -> None:
    for more in (("--endpoint", "https://host.example"), ("--region", "r"), ("--anonymous",)):
        tried = by_hand(tmp_path, "doctor", "trial", *more)
        assert (tried.returncode, tried.stdout) == (2, b"")
        assert more[0].removeprefix("--") in tried.stderr.decode()
    assert list(tmp_path.iterdir()) == []


class _Breaking(MemoryObjects):
    async def copy(self, source: str, target: str) -> bool:
        raise RuntimeError(f"{source} {target}")


class _Hanging(MemoryObjects):
    async def copy(self, source: str, target: str) -> bool:
        await anyio.sleep_forever()
        raise AssertionError


async def test_nothing_is_left_of_trials_that_end_before_their_end(tmp_path: Path) -> None:
    broken = _Breaking()
    with pytest.raises(RuntimeError):
        assert [found async for found in examine(broken)]
    hung = _Hanging()
    with anyio.move_on_after(2):
        assert [found async for found in examine(hung)]
    async with LocalObjects(tmp_path) as left:
        async with aclosing(examine(left)) as findings:
            async for found in findings:
                if found.subject == "uploads in parts":
                    break
        for store in (broken, hung, left):
            assert [info.name async for info in store.list()] == []
