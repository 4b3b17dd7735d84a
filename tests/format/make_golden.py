"""Make the golden store of the format: `python -m tests.format.make_golden`.

Run it once for a new version of the format and keep the archives of all earlier ones: every version that was released
stays readable. The store holds what a reader can meet: a commit that is one file, a pack of its own, a large blob with
its recipe, a second version of it, numbers whose bytes are grouped, an empty blob, many small commits and the segment
that they were merged into, named documents and a folder.
"""

from __future__ import annotations

import io
import json
import random
import tarfile
import tempfile
from pathlib import Path

import numpy as np

import packhouse.sync

HERE = Path(__file__).with_name("golden")
LINES = 6_000


def blobs() -> dict[str, bytes]:
    """The content, by the word under which the page of expected keys lists it."""
    rng = random.Random(1)
    text = b"".join(b"line %d of a text that is cut by its content: %08x\n" % (n, n * n) for n in range(LINES))
    at = len(text) // 2
    return {
        "empty": b"",
        "one": b"x",
        "random": rng.randbytes(5_000),
        "numbers": np.arange(20_000, dtype=np.float32).tobytes(),
        "large": text,
        "version": text[:at] + b"inserted" + text[at:],
    }


def documents() -> dict[str, object]:
    """Named documents."""
    return {"plain": {"n": 1}, "a/b": [1, "zwei", None], "ä ö/日本": {"deep": {"er": True}}, "x" * 600: "long name"}


def make(folder: Path) -> dict[str, str]:
    """Write the store; returns the keys."""
    content = blobs()
    with packhouse.sync.open(folder / "store") as store:
        saved = store.save_blobs([content[name] for name in ("empty", "one", "random", "numbers", "large")])
        keys = dict(zip(("empty", "one", "random", "numbers", "large"), (blob.key for blob in saved), strict=True))
        keys["version"] = store.save_blobs([content["version"]])[0].key
        for n in range(20):
            store.save_blobs([b"small commit %d" % n], pin=n % 2 == 0)
        for name, doc in documents().items():
            store.names.put(name, doc, refs=[keys["one"]])
        tree = folder / "tree"
        (tree / "inner").mkdir(parents=True)
        (tree / "inner" / "file").write_bytes(b"in a folder\n")
        (tree / "link").symlink_to("inner/file")
        keys["tree"] = store.save_tree(tree).key
    return keys


def main() -> None:
    """Write `golden/store-1.tar.xz` and the keys beside it."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        keys = make(folder)
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w:xz") as archive:
            archive.add(folder / "store", arcname="store")
        (HERE / "store-1.tar.xz").write_bytes(packed.getvalue())
        (HERE / "store-1.json").write_text(json.dumps(keys, indent=1) + "\n")


if __name__ == "__main__":
    main()
