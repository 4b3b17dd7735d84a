"""A plain script without `await`: keep the versions of a report under one name and bring an old one back.

Run it with `python examples/sync_script.py`; it makes `example-store` in the current folder.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import packhouse
import packhouse.sync


def keep(store: packhouse.sync.BlobStore, name: str, path: Path) -> str:
    """Save a file and put it at the end of the list under `name`; another writer's version is never lost."""
    [saved] = store.save_blobs([path])
    entry = {"key": saved.key, "size": saved.size, "time": datetime.now(UTC).isoformat(timespec="seconds")}
    while True:
        try:
            try:
                now = store.names.get(name)
            except packhouse.NameNotFound:
                store.names.put_if_absent(name, [entry], refs=[saved.key])
            else:
                store.names.replace(name, [*now.doc, entry], now.version, refs=[*now.refs, saved.key])
        except packhouse.NameConflict:
            continue
        return saved.key


def main() -> None:
    """Write three versions of a report, then print the first one again."""
    report = Path("report.txt")
    with packhouse.sync.open("example-store") as store:
        for quarter in ("first", "second", "third"):
            report.write_text(f"The {quarter} quarter was quiet.\n", encoding="utf-8")
            keep(store, "reports/quarterly", report)

        versions = store.names.get("reports/quarterly").doc
        for version in versions[-3:]:
            print(version["time"], version["key"][:12], version["size"], "bytes")
        print(bytes(store.load(versions[-3]["key"])).decode(), end="")


if __name__ == "__main__":
    main()
