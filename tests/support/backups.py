"""Ways in which people put back a copy of a folder."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def anew(copy: Path, folder: Path) -> None:
    """Instead of the folder: `rm -r folder; cp -a copy folder`."""
    shutil.rmtree(folder)
    shutil.copytree(copy, folder)


def into(copy: Path, folder: Path) -> None:
    """Into the files that are there: `cp -a copy/. folder`."""
    shutil.copytree(copy, folder, dirs_exist_ok=True)


def what_differs(copy: Path, folder: Path) -> None:
    """Only what has another size or time: `rsync -a --delete copy/ folder`."""
    for file in [file for file in folder.rglob("*") if file.is_file()]:
        if not (copy / file.relative_to(folder)).exists():
            file.unlink()
    for file in [file for file in copy.rglob("*") if file.is_file()]:
        there = folder / file.relative_to(copy)
        if not there.exists() or _looks(there) != _looks(file):
            young = there.with_name(f".{there.name}.new")
            shutil.copy2(file, young)
            young.replace(there)


def _looks(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_size, status.st_mtime_ns


WAYS: list[Callable[[Path, Path], None]] = [anew, into, what_differs]
