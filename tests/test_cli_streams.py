"""The command where something around it is broken: closed or full streams, command lines that make no sense, races."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeAlias

import pytest

import packhouse
from packhouse.cli import get as getting
from packhouse.cli.output import json_line
from packhouse.cli.pieces import pieces_of

COMMAND = Path(sys.executable).parent / "packhouse"
Done: TypeAlias = "subprocess.CompletedProcess[bytes]"
Shell: TypeAlias = Callable[[str], Done]


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """A shell in an empty folder with a store; `packhouse` is the command."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PACKHOUSE_STORE", "store")
    monkeypatch.setenv("PATH", f"{COMMAND.parent}{os.pathsep}{os.environ['PATH']}")
    subprocess.run([COMMAND, "init", "store"], check=True)

    def run(line: str) -> Done:
        done = subprocess.run(["bash", "-c", line], capture_output=True, timeout=60, check=False)
        assert b"Traceback" not in done.stderr, done.stderr.decode()
        assert b"Exception ignored" not in done.stderr
        return done

    return run


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_a_closed_stream_keeps_nothing_from_being_saved(shell: Shell, closed: str) -> None:
    Path("file").write_bytes(b"content")
    assert shell(f"packhouse put file --name kept {closed}").returncode == 0
    assert shell("packhouse cat kept").stdout == b"content"


def test_a_full_standard_output_is_told_as_that_and_not_as_a_full_store(shell: Shell) -> None:
    shell("echo content | packhouse put - --name kept")
    for line, unbuffered in (("cat kept", ""), ("cat kept", "1"), ("ls", ""), ("--version", ""), ("--help", "")):
        done = shell(f"PYTHONUNBUFFERED={unbuffered} packhouse {line} > /dev/full")
        assert done.returncode == 1, line
        assert re.fullmatch(rb"[^\n]+cannot write to standard output: [^\n]+\n", done.stderr), done.stderr


def test_a_full_standard_error_changes_no_exit_code(shell: Shell) -> None:
    assert shell("packhouse cat missing 2> /dev/full").returncode == 3


def test_a_reader_that_left_has_an_exit_code_of_its_own(shell: Shell) -> None:
    shell("head -c 20000000 /dev/urandom | packhouse put - --name large")
    done = shell("packhouse cat large | head -c 10 > /dev/null; exit ${PIPESTATUS[0]}")
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize(
    "line",
    ["ls --bogus", "put", "put --commit-every x file", "nosuch", "metaflow verify"],
)
def test_what_no_command_understands_is_one_sentence_or_one_document(shell: Shell, line: str) -> None:
    done = shell(f"packhouse {line}")
    assert (done.returncode, done.stdout) == (2, b"")
    assert re.fullmatch(rb"packhouse: [^\n]+--help[^\n]+\n", done.stderr), done.stderr
    command, *rest = line.split()
    done = shell(f"packhouse {command} --json {' '.join(rest)}")
    assert (done.returncode, done.stdout) == (2, b"")
    error = json.loads(done.stderr)["error"]
    assert (error["kind"], bool(error["message"])) == ("option", True)


def test_a_bare_command_shows_its_help(shell: Shell) -> None:
    for line in ("packhouse", "packhouse metaflow"):
        done = shell(line)
        assert b"Usage" in done.stdout + done.stderr


@pytest.mark.parametrize("number", ["9" * 19, "9" * 20, "9" * 5_000], ids=len)
def test_a_number_of_any_length_is_one_sentence(shell: Shell, number: str) -> None:
    key = shell("echo content | packhouse put -").stdout.split()[0].decode()
    for line in (f"cat {key} --range {number}:", f"cat {key} --range 0:{number}", f"show flow/1/step/2/{number}"):
        done = shell(f"packhouse {line}")
        assert (done.returncode in (2, 3), done.stdout) == (True, b""), line
        assert re.fullmatch(rb"packhouse: [^\n]+\n", done.stderr), done.stderr


@pytest.mark.parametrize(
    "url",
    [
        "file://[x",
        "s3://my[bucket/x",
        "s3://℀/x",
        "file:///tmp/a#b",
        "file:///tmp/a?b",
        "s3://bucket/\udcff",
        "gs://\udcff/x",
        "az://account/container/\udcff",
    ],
)
def test_a_url_that_is_none_is_one_sentence(shell: Shell, url: str) -> None:
    done = shell(f"packhouse ls -s '{url}'")
    assert done.returncode == 2
    assert re.fullmatch(rb"packhouse: [^\n]+\n", done.stderr), done.stderr
    with pytest.raises(packhouse.InvalidInput) as caught:
        packhouse.open(url)
    assert caught.value.kind == "url"


def test_names_that_are_not_utf_8_are_told_in_lists_of_json_too() -> None:
    assert json_line({"a": ["\udcff", ("\udcfe",)]}) == b'{"a":["\\\\xff",["\\\\xfe"]]}\n'


async def test_a_file_that_comes_into_being_while_a_blob_is_loaded_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    goal = tmp_path / "goal"
    stock = pieces_of

    async def meanwhile(store: packhouse.BlobStore, key: str) -> AsyncIterator[bytes]:
        async for piece in stock(store, key):
            goal.write_bytes(b"precious")
            yield piece

    monkeypatch.setattr(getting, "pieces_of", meanwhile)
    async with packhouse.open("memory://") as store:
        (saved,) = await store.save_blobs([b"content"])
        with pytest.raises(packhouse.InvalidInput, match="--force"):
            await getting._get_file(store, saved.key, goal, force=False)
        assert goal.read_bytes() == b"precious"
        assert list(tmp_path.iterdir()) == [goal]
        await getting._get_file(store, saved.key, goal, force=True)
    assert goal.read_bytes() == b"content"
    assert list(tmp_path.iterdir()) == [goal]


def test_a_goal_may_have_the_longest_name_that_there_is(shell: Shell) -> None:
    goal = "名" * 85
    shell("echo content | packhouse put - --name kept")
    assert shell(f"packhouse get kept {goal}").returncode == 0
    assert Path(goal).read_bytes() == b"content\n"
