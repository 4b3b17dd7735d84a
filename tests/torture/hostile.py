"""Row 14: names of every kind, and symbolic links in the store: nothing outside is opened, no name is mixed up."""

from __future__ import annotations

import random
import re
import shutil
import signal
from pathlib import Path
from typing import Any

import anyio

from tests.torture import tracer
from tests.torture.contract import Store, Subject, subject
from tests.torture.nest import JobFailed, Nest, Report
from tests.torture.outcome import Outcome
from tests.torture.places import scratch_folder

LONGEST = 700
PARTS = (
    "..", ".", "/", "//", "\\", "\0", "\n", "%", "%2e%2e", "%2F", "~", "~0", "-", "_", ":", "CON", "nul.txt", "a", "A",
    "b", "é", "e\u0301", "ﬁ", "ß", "SS", "ı", "İ", "\u202e", "\u200b", "\ufeff", " ", "  ", "\t", "'", '"', "$(id)",
    "`id`", ";", "|", "*", "?", "[a]", "{b}", "<", ">", "&", "\x7f", "\x1b[31m", "日本", "🦀", "\U0010ffff", ".lock",
    ".tmp", "store.json", "packs", "index", "/etc/passwd", "../../outside/secret", "0", "00", "x" * 60, "é" * 40,
)  # fmt: skip
OPENING = (
    "open,openat,openat2,creat,mkdir,mkdirat,link,linkat,rename,renameat,renameat2,symlink,symlinkat,unlink,unlinkat"
)


def run(name: str, *, rounds: int, seed: int = 14) -> Outcome:
    """`rounds` generated names; then a link in place of every folder and of some files."""
    outcome = Outcome(14)
    with outcome.timed(), Nest() as nest, scratch_folder() as folder:
        _outside(folder)
        before = _seen(folder / "outside")
        _call(nest, outcome, "names", name, str(folder / "store"), rounds, seed)
        outcome.rounds += rounds
        for file in folder.iterdir():
            if file.name not in ("store", "outside"):
                outcome.violations.append(f"made beside the store: {file.name}")
        _links(nest, name, folder, outcome)
        if _seen(folder / "outside") != before:
            outcome.violations.append("something outside the store was changed")
    return outcome


def _call(nest: Nest, outcome: Outcome, job: str, *arguments: Any) -> None:
    try:
        outcome.violations += nest.call(f"tests.torture.hostile:{job}", *arguments, timeout=3600)
    except JobFailed as failure:
        outcome.violations.append(str(failure))


def _outside(folder: Path) -> None:
    for place in ("outside", "outside/deep"):
        (folder / place).mkdir()
        (folder / place / "secret").write_text("not yours")


def _seen(folder: Path) -> list[tuple[str, int, int]]:
    """Every path beneath with size and time of change; anything new or touched shows."""
    found = folder.rglob("*")
    return sorted(
        (str(path), path.lstat().st_size if path.is_file() else 0, path.lstat().st_mtime_ns) for path in found
    )


def a_name(dice: random.Random) -> str:
    """A generated name; now and then the longest, one too long, the empty one, or half a surrogate pair."""
    kind = dice.randrange(40)
    if kind == 0:
        return dice.choice(
            ("", "x" * LONGEST, "x" * (LONGEST + 1), "é" * (LONGEST // 2), "\ud800", "a\udfffb", "/" * 90)
        )
    if kind == 1:
        return "".join(
            chr(dice.choice((dice.randrange(0x80), dice.randrange(0xD800)))) for _ in range(dice.randrange(90))
        )
    return "".join(dice.choice(PARTS) for _ in range(dice.randrange(1, 9)))


def names(report: Report, name: str, path: str, rounds: int, seed: int) -> list[str]:
    """Put every name, then hold the store against a dict."""
    del report
    return anyio.run(_names, subject(name), Path(path), rounds, seed)


async def _names(kind: Subject, path: Path, rounds: int, seed: int) -> list[str]:
    dice = random.Random(seed)
    wrong: list[str] = []
    model: dict[str, Any] = {}
    async with kind.open(path) as store:
        left = rounds
        while left > 0:
            batch = [(a_name(dice), left - n) for n in range(min(left, 500))]
            left -= len(batch)
            good = [(one, doc) for one, doc in batch if _allowed(one)]
            try:
                await kind.put_many(store, good)
            except Exception as error:  # noqa: BLE001 - that is the finding
                wrong.append(f"allowed names were refused, {type(error).__name__}: {error}")
                continue
            model |= dict(good)
            for bad in [one for one, _ in batch if not _allowed(one)][:5]:
                wrong += await _refused(store, bad)
    async with kind.open(path) as store:
        wrong += await _same(kind, store, model)
    return wrong[:20]


def _allowed(name: str) -> bool:
    try:
        return 0 < len(name.encode()) <= LONGEST
    except UnicodeEncodeError:
        return False


async def _refused(store: Store, name: str) -> list[str]:
    try:
        await store.names.put(name, 1)
    except ValueError:
        return []
    except Exception as error:  # noqa: BLE001 - that is the finding
        return [f"{name[:40]!a} was refused by {type(error).__name__}, not a ValueError"]
    return [f"{name[:40]!a} was taken"]


async def _same(kind: Subject, store: Store, model: dict[str, Any]) -> list[str]:
    wrong = []
    for name, doc in model.items():
        try:
            found = (await store.names.get(name)).doc
        except Exception as error:  # noqa: BLE001 - that is the finding
            wrong.append(f"{name[:60]!a} is lost, {type(error).__name__}: {error}")
        else:
            if found != doc:
                wrong.append(f"{name[:60]!a} has the document of another name")
        if len(wrong) > 5:
            break
    listed = await kind.listed(store, "")
    if listed != sorted(model, key=str.encode):
        lost, extra = set(model) - set(listed), set(listed) - set(model)
        wrong.append(f"the list lacks {len(lost)} names, has {len(extra)} too many: {[*lost, *extra][:3]!a}")
    return wrong


def _links(nest: Nest, name: str, folder: Path, outcome: Outcome) -> None:
    """Replace each folder and some files of a store by links to their like outside, then use the store."""
    start = folder / "start"
    nest.call("tests.torture.hostile:use", name, str(start), 0)
    paths = [path.relative_to(start) for path in sorted(start.rglob("*"))]
    files = [path for path in paths if (start / path).is_file()][:24]
    traceable = tracer.why_not() is None
    if not traceable:
        outcome.left_out.append(f"opens were not traced: {tracer.why_not()}")
    for number, path in enumerate([path for path in paths if (start / path).is_dir()] + files):
        store, outside = folder / "store", folder / "outside" / "planted"
        for old in (store, outside):
            shutil.rmtree(old, ignore_errors=True)
        shutil.copytree(start, store)
        outside.mkdir()
        shutil.move(store / path, outside / path.name)
        (store / path).symlink_to(outside / path.name)
        before = _seen(outside)
        with nest.job("tests.torture.hostile:use_on_signal", name, str(store), number) as job:
            job.wait_for("ready")
            log = folder / "log"
            if traceable:
                with tracer.traced(job, log, OPENING):
                    job.signal(signal.SIGUSR1)
                    job.wait()
                opened = re.findall(rf"= \d+<{re.escape(str(outside))}[^>]*>", log.read_text(errors="replace"))
                if opened:
                    outcome.violations.append(f"{path} as a link: {len(opened)} opens outside, {opened[0][:120]}")
                log.unlink()
            else:
                job.signal(signal.SIGUSR1)
                job.wait()
        outcome.rounds += 1
        if _seen(outside) != before:
            outcome.violations.append(f"{path} as a link: something outside was changed")
        shutil.rmtree(outside)


def use_on_signal(report: Report, name: str, path: str, number: int) -> None:
    """Wait for the tracer, then `use`."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    report.line(ready=True)
    signal.sigwait({signal.SIGUSR1})
    use(report, name, path, number)


def use(report: Report, name: str, path: str, number: int) -> None:
    """Save, load, name, list, verify; errors of the store's tree are fine, and so is anything of the system."""
    del report

    async def run() -> None:
        kind = subject(name)
        try:
            async with kind.open(Path(path)) as store:
                for step in (_save, _name, _load):
                    try:
                        await step(store, number)
                        await kind.verify(store)
                    except (kind.complaints.any, OSError):
                        continue
        except (kind.complaints.any, OSError):
            return

    anyio.run(run)


async def _save(store: Store, number: int) -> None:
    await store.save_blobs([b"the same", f"new {number}".encode(), random.Random(number).randbytes(600_000)])


async def _load(store: Store, number: int) -> None:
    (saved,) = await store.save_blobs([b"the same"])
    await store.load(saved.key)


async def _name(store: Store, number: int) -> None:
    await store.names.put("planted", number)
    await store.names.get("planted")
