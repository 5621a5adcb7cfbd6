"""Hashes of downloaded weights: every file is read once, and again only when its size or time has changed."""

from __future__ import annotations

import json
from pathlib import Path

from faceedit.errors import WeightsError
from faceedit.models import manifest
from faceedit.userfolders import cache_folder

_STAMPS = "verified.json"


def require_verified(known: manifest.WeightSet, folder: Path, files: tuple[Path, ...]) -> None:
    """Hold files of a set against their hashes before their first use.

    What was found whole is remembered in the user's cache folder by path, size and time of change, since reading
    gigabytes for every edit would cost seconds. Files whose hash nobody knows are passed over.

    Args:
        known: the set, with the hashes.
        folder: the snapshot that holds it.
        files: the files that are about to be read.

    Raises:
        WeightsError: a file does not have its hash.
    """
    hashes = {folder / file.path: manifest.expected_hash(known, file, folder) for file in known.files}
    stamps = _read()
    for path in files:
        expected = hashes.get(path, "") or manifest.blob_name(path)
        stamp = _stamp(path, expected)
        if not expected or stamps.get(str(path)) == stamp:
            continue
        if manifest.digest(path, "sha256" if len(expected) == 64 else "git") != expected:
            raise WeightsError(
                f"{known.id} is damaged: {path.name} does not have its hash",
                f"fetch it again: faceedit weights rm {known.id}, then faceedit weights pull {known.id}",
            )
        stamps[str(path)] = stamp
        _write(stamps)


def remember(path: Path, expected: str) -> None:
    """Note that a file was just read and has this hash, so that its first use need not read it again."""
    _write({**_read(), str(path): _stamp(path, expected)})


def _stamp(path: Path, expected: str) -> list[int | str]:
    status = path.stat()
    return [status.st_size, status.st_mtime_ns, expected]


def _read() -> dict[str, list[int | str]]:
    try:
        stamps = json.loads((cache_folder() / _STAMPS).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return stamps if isinstance(stamps, dict) else {}


def _write(stamps: dict[str, list[int | str]]) -> None:
    from faceedit.errors import OutputError
    from faceedit.images import write_atomic

    try:
        cache_folder().mkdir(parents=True, exist_ok=True)
        write_atomic(cache_folder() / _STAMPS, json.dumps(stamps, indent=1).encode(), force=True)
    except (OSError, OutputError):
        return  # Without a cache folder the file is read again the next time; the check itself was made.
