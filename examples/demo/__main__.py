"""The main job on real data: save, save again, edit, save a third time, load everything back and compare.

`make demo` runs it. It works in `build/demo` and leaves the store there to be looked at.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import shutil
from collections.abc import AsyncIterator, Sequence
from importlib.metadata import version
from pathlib import Path

import anyio
import anyio.to_thread
import blake3

import packhouse
from examples.demo import material, training
from examples.demo.report import Report

INSERTED = 1024


async def main(folder: Path, megabytes: int, rounds: int, readme: Path | None) -> None:
    """Run all steps; an AssertionError means that something did not come back as it was."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "store").mkdir(parents=True)
    report = Report()
    report.console.print(f"packhouse {version('packhouse')}: a demonstration in {os.path.relpath(folder)}\n")
    files = await plain_copy(report, folder / "work", megabytes)

    async with packhouse.open(str(folder / "store")) as store:
        saved = await save_files(report, store, files, "first save")
        await save_files(report, store, files, "saved again")
        edited = edit(files)
        report.console.print(
            f"  inserted {INSERTED} B in the middle of {edited.name}, {edited.stat().st_size / 1e6:.1f} MB"
        )
        saved = await save_files(report, store, files, "saved a third time")
        folders = material.two_versions_of_pip(folder / "versions")
        trees = [await save_folder(report, store, path) for path in folders]
        kept = await train(report, store, rounds)

    async with packhouse.open(str(folder / "store"), mode="r") as store:
        await load_files(report, store, files, saved)
        await check_keys(report, files, saved)
        for tree, path in zip(trees, folders, strict=True):
            await restore_folder(report, store, tree, path, folder / "restored")
        await load_checkpoints(report, store, kept)

    report.console.print()
    report.show()
    if readme is not None:
        report.write(readme)
    where_to_look_next(report, folder / "store")


async def plain_copy(report: Report, goal: Path, megabytes: int) -> list[Path]:
    """Make the working copy; copied once before, so that all later steps read from memory alike."""
    chosen = material.installed_files(megabytes * 1_000_000, 2500)
    for path, _ in chosen:
        path.read_bytes()
    goal.mkdir()
    async with report.step("plain copy, each file synced", grows=goal) as row:
        copies = material.copy_plainly(chosen, goal)
        row.items, row.size = len(copies), total_size(copies)
    return copies


def folder_of(store: packhouse.BlobStore) -> Path:
    """Return where a store is."""
    return Path(store.url)


def total_size(files: Sequence[Path]) -> int:
    """Sum the lengths of files."""
    return sum(path.stat().st_size for path in files)


async def found(files: Sequence[Path]) -> AsyncIterator[Path]:
    """Stand for whatever finds or makes the data: the store reads from it only as fast as it can save."""
    for path in files:
        yield path


async def save_files(
    report: Report, store: packhouse.BlobStore, files: Sequence[Path], step: str
) -> list[packhouse.SavedBlob]:
    """Save all files in one atomic, durable batch."""
    async with report.step(step, grows=folder_of(store), store=store) as row:
        saved = await store.save_blobs(found(files))
        row.items, row.size = len(saved), sum(blob.size for blob in saved)
    return saved


def edit(files: Sequence[Path]) -> Path:
    """Insert a little in the middle of the largest file, so that everything after it moves."""
    largest = max(files, key=lambda path: path.stat().st_size)
    content = largest.read_bytes()
    middle = len(content) // 2
    largest.write_bytes(content[:middle] + os.urandom(INSERTED) + content[middle:])
    return largest


async def save_folder(report: Report, store: packhouse.BlobStore, path: Path) -> packhouse.SavedBlob:
    """Save a folder under a name."""
    async with report.step(f"folder {path.name}", grows=folder_of(store), store=store) as row:
        tree = await store.save_tree(path)
        await store.names.put(
            f"folders/{path.name}", {"kind": "tree", "key": tree.key, "size": tree.size}, refs=[tree.key]
        )
        inside = [file for file in path.rglob("*") if file.is_file()]
        row.items, row.size = len(inside), total_size(inside)
    return tree


async def train(report: Report, store: packhouse.BlobStore, rounds: int) -> list[tuple[str, bytes]]:
    """Train a model and save each checkpoint; return every content with its key, to be compared later."""
    kept = []
    steps = training.checkpoints(rounds)
    for number in range(1, rounds + 1):
        parts = await anyio.to_thread.run_sync(next, steps)
        async with report.step(f"checkpoint {number} of a model", grows=folder_of(store), store=store) as row:
            saved = await store.save_blobs(parts.values())
            layout = {name: blob.key for name, blob in zip(parts, saved, strict=True)}
            await store.names.put(f"model/checkpoint-{number:02}", layout, refs=list(layout.values()))
            row.items, row.size = len(saved), sum(blob.size for blob in saved)
        kept += [(blob.key, bytes(part)) for blob, part in zip(saved, parts.values(), strict=True)]
    return kept


async def load_files(
    report: Report, store: packhouse.BlobStore, files: Sequence[Path], saved: Sequence[packhouse.SavedBlob]
) -> None:
    """Load all files back and compare them with the working copy, byte by byte."""
    async with report.step("plain read of the same files") as row:
        expected = [path.read_bytes() for path in files]
        row.items, row.size = len(files), sum(map(len, expected))
    async with report.step("loaded, verified, compared") as row:
        number = 0
        async for key, data in store.load_blobs(saved):
            assert key == saved[number].key
            assert data == expected[number], f"{files[number]} came back as something else"
            number += 1
        assert number == len(files)
        row.items, row.size = number, sum(map(len, expected))


async def check_keys(report: Report, files: Sequence[Path], saved: Sequence[packhouse.SavedBlob]) -> None:
    """Compare every key with the one that the independent BLAKE3 package finds."""
    async with report.step(f"keys checked by blake3 {version('blake3')}") as row:
        for path, blob in zip(files, saved, strict=True):
            assert blake3.blake3(path.read_bytes()).hexdigest() == blob.key, f"{path} has a wrong key"
        row.items, row.size = len(files), total_size(files)


async def restore_folder(
    report: Report, store: packhouse.BlobStore, tree: packhouse.SavedBlob, path: Path, goal: Path
) -> None:
    """Restore a folder and compare it with the original, names and contents."""
    async with report.step(f"folder {path.name} restored") as row:
        await store.restore_tree(tree.key, goal / path.name)
        inside = sorted(file.relative_to(path) for file in path.rglob("*"))
        row.items, row.size = len(inside), total_size([path / name for name in inside if (path / name).is_file()])
    assert inside == sorted(file.relative_to(goal / path.name) for file in (goal / path.name).rglob("*"))
    for name in inside:
        assert (path / name).is_dir() or filecmp.cmp(path / name, goal / path.name / name, shallow=False), name


async def load_checkpoints(report: Report, store: packhouse.BlobStore, kept: Sequence[tuple[str, bytes]]) -> None:
    """Load every part of every checkpoint and compare."""
    async with report.step("checkpoints loaded, compared") as row:
        contents = iter(kept)
        async for key, data in store.load_blobs([key for key, _ in kept]):
            assert (key, data) == next(contents)
        row.items, row.size = len(kept), sum(len(content) for _, content in kept)


def where_to_look_next(report: Report, store: Path) -> None:
    """Say what can be done with the store that is left."""
    place = os.path.relpath(store)
    report.console.print(
        f"""
Everything came back as it was, and every key is the one that a second implementation of BLAKE3 finds.
Speeds are this machine's in this moment; saves are durable (synced), loads verified, files come from the page cache.

Look next at
  .venv/bin/packhouse stat   --store {place}      what deduplication and compression did, and where not
  .venv/bin/packhouse ls     --store {place} -l   the names
  .venv/bin/packhouse verify --store {place}      read and check all of it
  docs/quickstart.md, examples/                             use it
  make test, make bench                                     how it is tested, how fast it is beside others""",
        soft_wrap=True,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("build/demo"), help="where to work; it is emptied first")
    parser.add_argument("--megabytes", type=int, default=150, help="how much of the installed packages to save")
    parser.add_argument("--rounds", type=int, default=4, help="checkpoints to train")
    parser.add_argument("--readme", type=Path, help="a README whose table of the demo is to be of this run")
    chosen = parser.parse_args()
    anyio.run(main, chosen.folder.resolve(), chosen.megabytes, chosen.rounds, chosen.readme)
