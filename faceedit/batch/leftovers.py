"""Temporary files that killed processes left behind."""

from __future__ import annotations

import time
from collections.abc import Iterable
from pathlib import Path

from faceedit.temporary import TEMPORARY, writer_of

_STALE_SECONDS = 24 * 3600


def leftovers(folders: Iterable[Path]) -> list[Path]:
    """Temporary files of this program in `folders` (not below them) whose writers are gone.

    A file of another machine, which a shared folder may hold, counts after a day: a living one is there for seconds.
    """
    found = []
    for folder in folders:
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            match = TEMPORARY.fullmatch(path.name)
            if (
                match
                and not path.is_symlink()
                and path.is_file()
                and _abandoned(path, match["host"], int(match["pid"]))
            ):
                found.append(path)
    return found


def sweep(folders: Iterable[Path]) -> int:
    """Remove what `leftovers` finds; the number of files."""
    found = leftovers(folders)
    for path in found:
        path.unlink(missing_ok=True)
    return len(found)


def _abandoned(path: Path, host: str, pid: int) -> bool:
    import psutil

    written = path.stat().st_mtime
    if host != writer_of(pid)[0]:
        return time.time() - written > _STALE_SECONDS
    try:
        # A process that started after the file was written only bears the same number.
        return bool(psutil.Process(pid).create_time() > written + 1)
    except psutil.NoSuchProcess:
        return True
