"""The command, as a shell user meets it: keys that b3sum agrees with, nothing lost, nothing overwritten, errors."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from blake3 import blake3

import packhouse.sync
from tests.servers.fixtures import reach

COMMAND = Path(sys.executable).parent / "packhouse"
Done: TypeAlias = "subprocess.CompletedProcess[bytes]"
Shell: TypeAlias = Callable[..., Done]


bucket_too = pytest.mark.parametrize("shell", ["folder", "s3"], indirect=True)
everywhere = pytest.mark.parametrize("shell", ["folder", "s3", "gs", "az"], indirect=True)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Shell:
    """A shell in an empty folder, with a store in `store`, or in a bucket where a test asks for one."""
    monkeypatch.chdir(tmp_path)
    where, kind = "store", getattr(request, "param", "folder")
    if kind != "folder":
        root, environment = reach(kind, request)
        where = f"{root}/{secrets.token_hex(6)}"
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("PACKHOUSE_STORE", where)

    def run(*arguments: str, stdin: bytes = b"", code: int = 0) -> Done:
        done = subprocess.run([COMMAND, *arguments], input=stdin, capture_output=True, timeout=60, check=False)
        assert done.returncode == code, done.stderr.decode()
        assert b"Traceback" not in done.stderr
        return done

    run("init", where)
    return run


def noise(size: int, seed: int = 7) -> bytes:
    return random.Random(seed).randbytes(size)


def key_of(content: bytes) -> str:
    return blake3(content).hexdigest()


def documents(done: Done) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def damage(content: bytes) -> None:
    """Flip a bit where the content stands in the store."""
    piece = content[len(content) // 2 :][:64]
    hits = 0
    for path in Path("store").rglob("*"):
        if path.is_file() and (at := path.read_bytes().find(piece)) >= 0:
            hits += 1
            path.chmod(0o600)
            with path.open("r+b") as file:
                file.seek(at)
                file.write(bytes([piece[0] ^ 1]))
    assert hits


def test_the_key_printed_for_a_file_is_the_one_that_b3sum_prints(shell: Shell) -> None:
    contents = {"small": b"hello\n", "empty": b"", "large": noise(3_000_000)}
    for name, content in contents.items():
        Path(name).write_bytes(content)
    done = shell("put", *contents)
    assert done.stdout.decode() == "".join(f"{key_of(content)}  {name}\n" for name, content in contents.items())
    assert done.stderr == b"", "nothing but the lines when nobody watches"


@everywhere
def test_a_file_comes_back_as_it_was(shell: Shell) -> None:
    content = noise(9_000_000)
    Path("data.bin").write_bytes(content)
    shell("put", "data.bin", "--name", "sets/data.bin")
    Path("data.bin").unlink()
    assert shell("get", "sets/data.bin").stdout == b"data.bin\n"
    assert Path("data.bin").read_bytes() == content
    shell("get", key_of(content), "by-key")
    assert Path("by-key").read_bytes() == content
    assert shell("cat", "sets/data.bin").stdout == content
    assert shell("cat", key_of(content), "--range", "5000000:5000100").stdout == content[5_000_000:5_000_100]


@bucket_too
def test_a_folder_comes_back_as_it_was(shell: Shell) -> None:
    Path("folder/deep").mkdir(parents=True)
    Path("folder/deep/file").write_bytes(b"content")
    Path("folder/script").write_bytes(b"#!/bin/sh\n")
    Path("folder/script").chmod(0o755)
    Path("folder/link").symlink_to("deep/file")
    line = shell("put", "folder", "--name", "mine").stdout.decode()
    assert re.fullmatch("[0-9a-f]{64}  folder/\n", line)
    shell("get", "mine", "again")
    assert Path("again/deep/file").read_bytes() == b"content"
    assert os.access("again/script", os.X_OK)
    assert Path("again/link").readlink() == Path("deep/file")
    shell("get", "--tree", line[:64], "by-key")
    assert Path("by-key/deep/file").exists()


def test_what_is_piped_in_is_what_is_piped_out(shell: Shell) -> None:
    content = noise(20_000_000)
    assert shell("put", "-", "--name", "pipe", stdin=content).stdout.decode() == f"{key_of(content)}  -\n"
    assert shell("cat", "pipe").stdout == content


def test_a_file_in_the_way_is_not_overwritten(shell: Shell) -> None:
    shell("put", "-", "--name", "note", stdin=b"from the store")
    Path("note").write_bytes(b"precious")
    assert b"--force" in shell("get", "note", code=2).stderr
    assert Path("note").read_bytes() == b"precious"
    shell("get", "note", "--force")
    assert Path("note").read_bytes() == b"from the store"


def test_a_folder_is_restored_beside_nothing_that_is_there(shell: Shell) -> None:
    Path("folder").mkdir()
    Path("folder/file").write_bytes(b"content")
    shell("put", "folder", "--name", "mine")
    Path("busy").mkdir()
    Path("busy/note").write_bytes(b"precious")
    Path("nowhere").symlink_to("no such folder")
    for there in ("busy", "busy/note", "nowhere"):
        assert b"missing or empty" in shell("get", "mine", there, code=2).stderr
    assert b"--force" in shell("get", "mine", "busy", "--force", code=2).stderr
    assert b"--force" in shell("get", "mine", "new", "--force", code=2).stderr
    assert [path.name for path in Path("busy").iterdir()] == ["note"]
    assert Path("busy/note").read_bytes() == b"precious"
    assert not Path("new").exists()
    Path("empty").mkdir()
    shell("get", "mine", "empty")
    assert Path("empty/file").read_bytes() == b"content"


def test_damage_is_told_and_leaves_no_half_a_file(shell: Shell) -> None:
    content = noise(6_000_000)
    shell("put", "-", "--name", "precious", stdin=content)
    damage(content)
    assert shell("get", "precious", code=4).stderr.startswith(b"packhouse: ")
    assert list(Path().glob("*precious*")) == [], "neither the file nor its beginning"
    assert len(shell("cat", "precious", code=4).stdout) < len(content)
    assert shell("verify", code=4).stdout
    shell("put", "-", stdin=content)
    assert shell("cat", "precious").stdout == content, "saving again heals"


def test_a_batch_that_was_killed_goes_on_where_it_stopped(shell: Shell) -> None:
    names = [f"part-{number:03}" for number in range(64)]
    for number, name in enumerate(names):
        Path(name).write_bytes(noise(1_000_000, seed=number))
    first = subprocess.Popen([COMMAND, "put", "--commit-every", "1", *names], stdout=subprocess.PIPE)
    assert first.stdout is not None
    told = [first.stdout.readline() for _ in range(8)]
    first.kill()
    told += first.stdout.readlines()
    first.wait()
    first.stdout.close()
    known = {line.split()[1].decode() for line in told if line.endswith(b"\n")}
    again = documents(shell("put", "--json", *names))
    assert all(entry["existed"] for entry in again if entry["path"] in known), "what was told was durable"
    for entry in again:
        assert entry["key"] == key_of(Path(entry["path"]).read_bytes())


def test_an_interrupted_save_says_so_and_leaves(shell: Shell) -> None:
    putting = subprocess.Popen([COMMAND, "put", "-"], stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert putting.stdin is not None
    putting.stdin.write(noise(12_000_000))
    putting.stdin.flush()
    time.sleep(0.5)
    putting.send_signal(signal.SIGINT)
    putting.wait(timeout=10)  # nobody closes the pipe, and nothing more comes
    assert putting.stderr is not None
    complaint = putting.stderr.read()
    assert putting.returncode == 130, complaint.decode()
    assert complaint.startswith(b"packhouse: interrupted")
    assert b"Traceback" not in complaint
    assert list(Path("store/writers").iterdir()) == []
    assert list(Path("store/tmp").iterdir()) == []
    putting.stdin.close()
    putting.stderr.close()


@pytest.mark.parametrize("kind", ["file", "nothing", "socket", "terminal"])
def test_standard_input_may_be_anything_that_can_be_read(shell: Shell, kind: str) -> None:
    content = b"" if kind == "nothing" else b"one\ntwo\n"
    with contextlib.ExitStack() as held:
        if kind == "socket":
            theirs, ours = map(held.enter_context, socket.socketpair())
            taken = ours.fileno()
            theirs.sendall(content)
            theirs.shutdown(socket.SHUT_WR)
        elif kind == "terminal":
            keyboard, taken = os.openpty()
            held.callback(os.close, keyboard)
            held.callback(os.close, taken)
            os.write(keyboard, content + b"\x04")  # Ctrl-D
        else:
            Path("input").write_bytes(content)
            taken = held.enter_context(Path("/dev/null" if kind == "nothing" else "input").open("rb")).fileno()
        done = subprocess.run([COMMAND, "put", "-"], stdin=taken, capture_output=True, timeout=60, check=False)
    assert done.stdout.decode() == f"{key_of(content)}  -\n", done.stderr.decode()


def test_a_reader_that_leaves_early_is_no_error_message(shell: Shell) -> None:
    shell("put", "-", "--name", "large", stdin=noise(20_000_000))
    done = subprocess.run(["bash", "-c", f"'{COMMAND}' cat large | head -c 10"], capture_output=True, check=False)
    assert len(done.stdout) == 10
    assert done.stderr == b""


def test_a_folder_is_committed_as_often_as_asked(shell: Shell) -> None:
    def segments() -> int:
        return int(documents(shell("stat", "--json"))[0]["segments"])

    def commits(folder: str, *options: str) -> int:
        before = segments()
        Path(folder).mkdir()
        for number in range(4):
            (Path(folder) / str(number)).write_bytes(secrets.token_bytes(1 << 20))
        shell("put", folder, *options)
        return segments() - before

    assert commits("seldom") == 2, "the files, then the manifest"
    assert commits("often", "--commit-every", "1") >= 4
    for number in range(4):
        Path(f"file {number}").write_bytes(secrets.token_bytes(1 << 20))
    before = segments()
    shell("put", *(f"file {number}" for number in range(4)), "--commit-every", "1")
    assert segments() - before >= 3, "files, too"


def test_names_are_listed_and_a_name_is_for_one_thing(shell: Shell) -> None:
    for name in ("b", "a/2", "a/1"):
        shell("put", "-", "--name", name, stdin=name.encode())
    assert shell("ls").stdout == b"a/1\na/2\nb\n"
    assert shell("ls", "a/").stdout == b"a/1\na/2\n"
    listed = documents(shell("ls", "--json", "b"))
    assert listed[0]["doc"] == {"kind": "blob", "key": key_of(b"b"), "size": 1}
    assert listed[0]["refs"] == [key_of(b"b")]
    assert key_of(b"b").encode() in shell("ls", "-l", "b").stdout
    Path("one").write_bytes(b"1")
    Path("two").write_bytes(b"2")
    shell("put", "one", "two", "--name", "both", code=2)
    assert b"both" not in shell("ls").stdout


def test_a_file_whose_name_is_not_utf_8_is_told_in_json(shell: Shell) -> None:
    odd, again = os.fsdecode(b"\xff.bin"), os.fsdecode(b"again \xff")
    Path(odd).write_bytes(b"content")
    [saved] = documents(shell("put", odd, "--json"))
    assert (saved["path"], saved["key"]) == ("\\xff.bin", key_of(b"content"))
    [got] = documents(shell("get", saved["key"], again, "--json"))
    assert (got["path"], Path(again).read_bytes()) == ("again \\xff", b"content")
    before = documents(shell("stat", "--json"))
    Path("new").write_bytes(b"new content")
    for arguments in (["cat"], ["ls"], ["stat"], ["get"], ["put", "new", "--name"]):
        assert re.fullmatch(rb"packhouse: [^\n]+\n", shell(*arguments, os.fsdecode(b"\xe9"), code=2).stderr)
    assert documents(shell("stat", "--json")) == before, "refused before anything is saved"


def test_names_of_other_programs_are_listed_as_such(shell: Shell) -> None:
    with packhouse.sync.open("store") as store:
        store.names.put("half", {"kind": "blob", "key": "0" * 64})
    assert shell("ls", "-l").stdout.split() == [b"other", b"half"]
    assert b"another program" in shell("cat", "half", code=2).stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["cat", "no/such/name"], 3),
        (["cat", "0" * 64], 3),
        (["get", "no/such/name"], 3),
        (["ls", "-s", "no-store"], 3),
        (["put", "-s", "no-store", "-"], 3),
        (["stat", "no/such/name"], 3),
        (["verify", "-s", "no-store"], 3),
        (["put", "no-such-file"], 2),
        (["cat", "x", "--range", "abc"], 2),
        (["ls", "-s", "ftp://host/store"], 2),
        (["put", "/proc/self/mem"], 1),  # opens, and cannot be read
    ],
)
def test_a_failure_is_one_sentence_and_an_exit_code(shell: Shell, arguments: list[str], code: int) -> None:
    done = shell(*arguments, code=code)
    assert done.stdout == b""
    assert re.fullmatch(rb"packhouse: [^\n]+\n", done.stderr)


def test_a_program_gets_errors_it_can_read(shell: Shell) -> None:
    done = shell("ls", "-s", "no-store", "--json", code=3)
    error = json.loads(done.stderr)["error"]
    assert error["kind"]
    assert "no-store" in error["message"]
    assert not Path("no-store").exists(), "nothing but `init` makes a store"


@bucket_too
def test_stat_tells_what_deduplication_and_compression_did(shell: Shell) -> None:
    text = b"the same line over and over\n" * 200_000
    shell("put", "-", "--name", "text", stdin=text)
    shell("put", "-", "--name", "more", stdin=text + noise(500_000))
    [whole] = documents(shell("stat", "--json"))
    assert whole["blobs"] == 2
    assert whole["blob_bytes"] == 2 * len(text) + 500_000
    assert whole["chunk_bytes"] < whole["blob_bytes"]
    assert whole["stored_bytes"] < whole["chunk_bytes"]
    shown = shell("stat").stdout.decode()
    assert "chunks by size" in shown
    bars = [line for line in shown.splitlines() if "█" in line]
    assert sum(int(line.split("█")[-1].split()[0].replace(",", "")) for line in bars) == whole["chunks"]
    [one] = documents(shell("stat", "--json", "more"))
    assert one["size"] == len(text) + 500_000
    assert "were in no blob saved before" in shell("stat", "more").stdout.decode()
    shell("put", "-", "--name", "noise", stdin=noise(3_000_000))
    assert "it does not compress" in shell("stat", "noise").stdout.decode()
    shell("put", "-", "--name", "little", stdin=b"little")
    assert "shared whole or not at all" in shell("stat", "little").stdout.decode()


@bucket_too
def test_verify_finds_nothing_in_a_healthy_store(shell: Shell) -> None:
    for size in (10, 3_000_000):
        shell("put", "-", stdin=noise(size))
    [report] = documents(shell("verify", "--json"))
    assert report["findings"] == []
    [report] = documents(shell("verify", "--independent", "--json"))
    assert report["findings"] == []
    assert report["keys_recomputed"] == 2


def test_verify_reads_a_store_of_several_packs(shell: Shell) -> None:
    for seed in (1, 2):
        shell("put", "-", stdin=noise(40 << 20, seed))
    [report] = documents(shell("verify", "--json"))
    assert report["findings"] == []
    assert report["packs"] >= 2
    assert report["bytes"] > 80 << 20


def test_verify_of_a_damaged_index_reports_it(shell: Shell) -> None:
    content = noise(3_000_000)
    shell("put", "-", stdin=content)
    row = bytes.fromhex(key_of(content))
    (segment,) = [path for path in Path("store/index").rglob("*") if path.is_file() and row in path.read_bytes()]
    segment.chmod(0o600)
    held = segment.read_bytes()
    segment.write_bytes(held[: len(held) // 2])
    for more in ((), ("--independent",)):
        [report] = documents(shell("verify", "--json", *more, code=4))
        assert report["findings"]
        assert ("index" in {finding["path"] for finding in report["findings"]}) == bool(more)


def test_the_help_says_what_the_exit_codes_mean(shell: Shell) -> None:
    assert b"4 damage" in shell("--help").stdout
    for command in ("init", "put", "get", "cat", "ls", "stat", "verify"):
        assert shell(command, "--help").stdout
