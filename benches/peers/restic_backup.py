"""restic, where installed: a batch is a folder of files in memory, a save is one snapshot."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benches.peers.contract import Peer, Take

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer

if shutil.which("restic") is None:
    raise ImportError("no restic on the path")


class Restic(Peer):
    """`backup`, `restore` and `dump` with a local repository; the files lie in memory; laying them out is not timed."""

    label = "restic"
    distributions = ()
    syncs = True
    verifies = "SHA-256"
    splits = True
    outside = True

    async def open(self) -> None:
        self._memory = Path(tempfile.mkdtemp(dir="/dev/shm"))
        self._prepared: Sequence[bytes] | None = None
        if not (self.folder / "config").exists():
            self._run("init")

    async def close(self) -> None:
        shutil.rmtree(self._memory)

    async def prepare(self, blobs: Sequence[bytes]) -> None:
        batch = self._memory / "batch"
        shutil.rmtree(batch, ignore_errors=True)
        batch.mkdir()
        for at, blob in enumerate(blobs):
            (batch / str(at)).write_bytes(blob)
        self._prepared = blobs

    async def save(self, blobs: Sequence[bytes]) -> list[str]:
        if self._prepared is not blobs:
            await self.prepare(blobs)
        lines = self._run("backup", "--json", "--force", str(self._memory / "batch")).splitlines()
        summary: dict[str, Any] = json.loads(lines[-1])
        return [f"{summary['snapshot_id']}:{self._memory}/batch/{at}" for at in range(len(blobs))]

    async def load(self, keys: Sequence[str], take: Take) -> None:
        if len(keys) == 1:
            take(self._dump(keys[0]))
            return
        target = self._memory / "restored"
        for snapshot in dict.fromkeys(key.partition(":")[0] for key in keys):
            self._run("restore", snapshot, "--target", str(target))
        for key in keys:
            take(target.joinpath(key.partition(":")[2].lstrip("/")).read_bytes())
        shutil.rmtree(target)

    async def load_range(self, key: str, start: int, stop: int) -> Buffer:
        return memoryview(self._dump(key))[start:stop]

    @classmethod
    def version(cls) -> str:
        return subprocess.run(["restic", "version"], check=True, capture_output=True, text=True).stdout.strip()

    def _dump(self, key: str) -> bytes:
        snapshot, _, path = key.partition(":")
        return self._run("dump", snapshot, path)

    def _run(self, *arguments: str) -> bytes:
        environment = {**os.environ, "RESTIC_REPOSITORY": str(self.folder), "RESTIC_PASSWORD": "benchmark"}
        command = ["restic", "--no-cache", "--quiet", *arguments]
        return subprocess.run(command, env=environment, check=True, capture_output=True).stdout
