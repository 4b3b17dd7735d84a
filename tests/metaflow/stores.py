"""Stock's store and ours in this process. `tests/conftest.py` switched the drop-in off: ours is put together here."""

from __future__ import annotations

import random
from array import array
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from metaflow.datastore.content_addressed_store import ContentAddressedStore
from metaflow.exception import MetaflowException
from metaflow.plugins.datastores.local_storage import LocalStorage

from packhouse.compat.metaflow.store import VerifiedBlobs

assert not issubclass(ContentAddressedStore, VerifiedBlobs), "METAFLOW_PACKHOUSE=0 came too late"
STOCK: Any = ContentAddressedStore
OURS: Any = type("ContentAddressedStore", (VerifiedBlobs, STOCK), {})
MIB = 1 << 20


def make(kind: Any, folder: Path, storage: Any = LocalStorage) -> Any:
    """A store of that kind in a folder."""
    return kind("Flow/data", storage(str(folder)))


def ours(folder: Path) -> Any:
    return make(OURS, folder)


def stock(folder: Path) -> Any:
    return make(STOCK, folder)


def save(store: Any, blobs: Iterable[Any], **options: Any) -> list[str]:
    return [result.key for result in store.save_blobs(iter(blobs), **options)]


def load(store: Any, keys: Iterable[str], **options: Any) -> list[bytes]:
    wanted = list(keys)
    loaded = {row[0]: row[1] for row in store.load_blobs(wanted, **options)}
    return [loaded[key] for key in wanted]


def file_of(folder: Path, key: str) -> Path:
    return folder / "Flow" / "data" / key[:2] / key


def files(folder: Path) -> list[Path]:
    """Every file below a folder."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def right_or_refused(store: Any, key: str, blob: bytes) -> bool:
    """Load: whether it gave the right bytes; wrong ones fail the test."""
    try:
        assert load(store, [key]) == [blob], "wrong bytes"
    except MetaflowException:
        return False
    return True


def _zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


STRIKES: dict[str, Callable[[Path], Any]] = {
    "empty": lambda path: path.write_bytes(b""),
    "truncated by a byte": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "truncated in half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "truncated to a member": lambda path: path.write_bytes(
        path.read_bytes()[: min(MIB + 24 + 8 + 5 * 17, path.stat().st_size // 2)]
    ),
    "zeros": _zeros,
    "missing": lambda path: path.unlink(),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "another's file": lambda path: path.write_bytes(next(p for p in files(path.parents[3]) if p != path).read_bytes()),
}
"""What can befall a file, by the name of it."""


def numbers(count: int) -> bytes:
    """Numbers of four bytes each, with hardly a repeat: what is packed byte by byte."""
    return array("f", range(count)).tobytes()


def samples() -> dict[str, bytes]:
    """Contents of every shape that is packed in a way of its own."""
    dice = random.Random(1)
    text = "".join(f'{{"step": {n}, "loss": {dice.random()}}}\n' for n in range(60_000)).encode()
    return {
        "empty": b"",
        "one byte": b"x",
        "small text": text[:5_000],
        "small noise": dice.randbytes(5_000),
        "a piece": text[:MIB],
        "a piece and a byte": dice.randbytes(MIB + 1),
        "text": text,
        "noise": dice.randbytes(3 * MIB + 17),
        "large noise": dice.randbytes(9 * MIB + 3),
        "large text": text * 4 + b"end",
        "large zeros": bytes(9 * MIB),
        "numbers": numbers(300_000),
        "large numbers": numbers(3 * MIB),
        "half noise": bytes(3 * MIB) + dice.randbytes(3 * MIB),
    }
