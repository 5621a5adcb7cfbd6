"""Names from a manifest as paths that stay where they belong, on whatever system they were written."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

from faceedit.decode import plain
from faceedit.errors import UsageError

DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{name}{n}" for name in ("com", "lpt") for n in range(1, 10))})
"""Names that Windows keeps for devices, in any folder and with any suffix."""

_MAX_LENGTH = 1024
_FIX = "name a file below the folder, with forward slashes: sub/portrait.png"


def relative_path(text: str, where: str) -> PurePosixPath:
    """A relative path from a manifest.

    What any system would take for a way out is refused on every system: "..", an absolute path, a drive or stream
    ("C:", "a:b"), a UNC path, backslashes, control characters, the names of Windows' devices, and parts that end in
    a dot or a blank, which Windows drops.

    Args:
        text: the path as it was written.
        where: names its place in errors, e.g. "line 3: image".

    Raises:
        UsageError: as said.
    """
    shown = plain(text)
    if not text or len(text) > _MAX_LENGTH or not text.isprintable():
        raise UsageError(f"{where}: {shown[:80]!r} is no path: empty, too long, or with control characters", _FIX)
    if text.startswith(("/", "~")) or "\\" in text or ":" in text:
        raise UsageError(f"{where}: {shown!r} is absolute, names a drive or holds a backslash", _FIX)
    parts = [part for part in text.split("/") if part not in ("", ".")]
    if not parts or ".." in parts:
        raise UsageError(f"{where}: {shown!r} leads out of its folder", _FIX)
    for part in parts:
        if part[-1] in ". " or part.split(".")[0].strip().casefold() in DEVICES:
            raise UsageError(f"{where}: {part!r} is no name that every system can store", _FIX)
    return PurePosixPath(*parts)


def inside(root: Path, path: Path) -> bool:
    """Whether `path`, links followed, lies below `root`. A link that leads nowhere or in a circle counts as inside:
    reading it fails by itself, and says why."""
    try:
        return path.resolve().is_relative_to(root.resolve())
    except (OSError, RuntimeError):
        return True


def storable(text: str) -> str:
    """`text` as a part of a file name that every system can store: what cannot be shown, separators, and the signs
    that Windows reserves become "_"."""
    return re.sub(r'[<>:"/\\|?*]', "_", "".join(c if c.isprintable() else "_" for c in text))
