"""Real data that a machine with Python has: installed packages, and two versions of one of them."""

from __future__ import annotations

import ensurepip
import os
import shutil
import sysconfig
import zipfile
from collections.abc import Iterator
from importlib import metadata, util
from pathlib import Path

__all__ = ["copy_plainly", "installed_files", "two_versions_of_pip"]


def installed_files(limit: int, most: int) -> list[tuple[Path, Path]]:
    """List files of the installed packages, largest package first, with their place below site-packages.

    Args:
        limit: bytes to stop at.
        most: files to stop at.
    """
    packages = []
    for package in metadata.distributions():
        files = [(path, Path(file)) for file in package.files or () if (path := _regular(package.locate_file(file)))]
        packages.append((sum(path.stat().st_size for path, _ in files), files))
    chosen: dict[Path, tuple[Path, Path]] = {}
    total = 0
    for _, files in sorted(packages, key=lambda package: package[0], reverse=True):
        for path, place in files:
            size = path.stat().st_size
            if path in chosen or ".." in place.parts or total + size > limit or len(chosen) >= most:
                continue
            chosen[path] = path, place
            total += size
    return list(chosen.values())


def _regular(path: object) -> Path | None:
    found = Path(str(path))
    return found if found.is_file() and "__pycache__" not in found.parts else None


def copy_plainly(files: list[tuple[Path, Path]], goal: Path) -> list[Path]:
    """Copy files the ordinary way, durably: each is synced, then each folder; this is what saving is compared with."""
    copies = []
    for path, place in files:
        copy = goal / place
        copy.parent.mkdir(parents=True, exist_ok=True)
        with path.open("rb") as source, copy.open("wb") as target:
            shutil.copyfileobj(source, target, 1 << 20)
            target.flush()
            os.fsync(target.fileno())
        copies.append(copy)
    for folder in {copy.parent for copy in copies}:
        descriptor = os.open(folder, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)
    return copies


def two_versions_of_pip(goal: Path) -> tuple[Path, Path]:
    """Lay out the pip that Python ships and the pip that is installed here, side by side."""
    older, newer = goal / f"pip-{ensurepip.version()}", goal / f"pip-{metadata.version('pip')}-installed"
    with zipfile.ZipFile(next(_bundled_wheels())) as wheel:
        wheel.extractall(older, [name for name in wheel.namelist() if name.startswith("pip/")])
    found = util.find_spec("pip")
    if found is None or found.origin is None:
        raise FileNotFoundError("this environment has no pip")
    shutil.copytree(Path(found.origin).parent, newer / "pip", ignore=shutil.ignore_patterns("__pycache__"))
    return older, newer


def _bundled_wheels() -> Iterator[Path]:
    """Find the wheel of pip that came with Python; some systems keep it in a folder of their own."""
    folders = [Path(ensurepip.__file__).parent / "_bundled"]
    if elsewhere := sysconfig.get_config_var("WHEEL_PKG_DIR"):
        folders.append(Path(elsewhere))
    for folder in folders:
        yield from sorted(folder.glob("pip-*.whl"))
