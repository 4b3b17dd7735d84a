"""Stock Metaflow and the drop-in side by side: the same artifacts saved and loaded, and what each does about damage."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from packhouse.errors import InvalidInput

__all__ = ["Compared", "Damage", "Samples", "compare", "damage", "samples"]


class Samples(NamedTuple):
    """Artifacts of one kind."""

    title: str
    blobs: list[bytes]


class Compared(NamedTuple):
    """Seconds that stock and the drop-in took, and bytes on disk."""

    title: str
    bytes: int
    stock_save: float
    our_save: float
    stock_load: float
    our_load: float
    stock_disk: int
    our_disk: int


class Damage(NamedTuple):
    """What came of loading a blob after its file was damaged, in a few words."""

    what: str
    stock: str
    ours: str


def samples(scale: float) -> Iterator[Samples]:
    """Make the artifacts: the same every time. At a scale of 1 about 600 MiB in all."""
    dice = random.Random(2026)  # noqa: S311 - data to be measured
    yield Samples("small, random: 10 KiB each", [dice.randbytes(10 << 10) for _ in range(max(8, int(5000 * scale)))])
    yield Samples("random: 4 MiB each", [dice.randbytes(4 << 20) for _ in range(max(2, int(48 * scale)))])
    yield Samples("JSON lines: 4 MiB each", [_json(dice, 4 << 20) for _ in range(max(2, int(32 * scale)))])
    yield Samples("one large, random", [dice.randbytes(max(1 << 20, int((256 << 20) * scale)))])


def compare(sample: Samples, folder: Path) -> Compared:
    """Save and load one sample with both, each in a folder of its own.

    Raises:
        InvalidInput: Metaflow or packhouse-metaflow is not installed, or switched off.
    """
    stock_class, our_class, storage = _classes()
    stock = _measure(stock_class, storage, sample.blobs, folder / "stock")
    ours = _measure(our_class, storage, sample.blobs, folder / "drop-in")
    size = sum(map(len, sample.blobs))
    return Compared(sample.title, size, stock[0], ours[0], stock[1], ours[1], stock[2], ours[2])


def damage(folder: Path) -> Iterator[Damage]:
    """Damage files in four ways and load them with both, then save again with both and load once more."""
    stock_class, our_class, storage = _classes()
    content = random.Random(7).randbytes(200_000)  # noqa: S311 - data to be measured
    for what, strike in (
        ("emptied, as after a power cut", lambda path: path.write_bytes(b"")),
        ("cut short", lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])),
        ("a bit flipped in the middle", _flip),
        ("a raw file (code package) with a bit flipped", _flip),
    ):
        raw = what.startswith("a raw")
        told = []
        for name, kind in (("stock", stock_class), ("drop-in", our_class)):
            make = _maker(kind, storage, folder / f"damage-{name}")
            [saved] = make().save_blobs(iter([content]), raw=raw)
            strike(next((folder / f"damage-{name}").rglob(saved.key)))
            first = _load(make, saved.key, content)
            make().save_blobs(iter([content]), raw=raw)
            told.append(f"{first}; saved again: {_load(make, saved.key, content)}")
            for file in (folder / f"damage-{name}").rglob(f"{saved.key}*"):
                file.unlink()
        yield Damage(what, told[0], told[1])


def _classes() -> tuple[Any, Any, Any]:
    try:
        from metaflow.datastore import content_addressed_store as module  # noqa: PLC0415 - needed only here
        from metaflow.plugins.datastores.local_storage import LocalStorage  # noqa: PLC0415 - as above
    except ImportError as error:
        raise InvalidInput(f"compare: Metaflow cannot be imported: {error}", kind="option") from error
    stock = getattr(getattr(module, "_orig", None), "ContentAddressedStore", None)
    if stock is None or module.ContentAddressedStore is stock:
        message = (
            "compare: packhouse-metaflow is not installed in this environment, or switched off (METAFLOW_PACKHOUSE)"
        )
        raise InvalidInput(message, kind="option")
    return stock, module.ContentAddressedStore, LocalStorage


def _maker(kind: Any, storage: Any, folder: Path) -> Callable[[], Any]:
    folder.mkdir(parents=True, exist_ok=True)
    return lambda: kind("Compare/data", storage(str(folder)))


def _measure(kind: Any, storage: Any, blobs: list[bytes], folder: Path) -> tuple[float, float, int]:
    make = _maker(kind, storage, folder)
    os.sync()
    began = time.perf_counter()
    keys = [saved.key for saved in make().save_blobs(iter(blobs), len_hint=len(blobs))]
    saved = time.perf_counter() - began
    began = time.perf_counter()
    for _, blob in make().load_blobs(keys):
        del blob
    loaded = time.perf_counter() - began
    return saved, loaded, sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


def _load(make: Callable[[], Any], key: str, content: bytes) -> str:
    try:
        [(_, blob)] = make().load_blobs([key])
    except Exception as error:  # noqa: BLE001 - told, whatever it is
        return f"raises {type(error).__name__}"
    return "loads" if blob == content else "returns wrong bytes"


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _json(dice: random.Random, size: int) -> bytes:
    words = ["train", "validate", "score", "deploy", "queue", "retry"]
    lines: list[str] = []
    length = 0
    while length < size:
        number = len(lines)
        told = {"step": number, "loss": dice.random(), "phase": words[number % 6], "id": f"{dice.getrandbits(48):x}"}
        line = json.dumps(told) + "\n"
        lines.append(line)
        length += len(line)
    return "".join(lines).encode()[:size]
