"""Removing fetched weights: the files of one set, inside the Hugging Face cache, and what no other snapshot shares."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from faceedit.errors import OutputError, UsageError, WeightsError
from faceedit.models.manifest import WeightSet, is_plain_path
from faceedit.models.places import newest_snapshot


@dataclass(frozen=True)
class Removal:
    """What would go: names in the snapshot, the contents behind them that nothing else uses, and bytes set free."""

    known: WeightSet
    snapshot: Path
    names: tuple[Path, ...]
    blobs: tuple[Path, ...]
    size: int


def plan_removal(known: WeightSet) -> Removal:
    """Look for the files of a set; removes nothing. Of a set that pins no commit, those that an edit would read.

    Raises:
        UsageError: bundled weights.
        WeightsError: not on this machine, or its folder leads out of the cache.
    """
    from huggingface_hub.constants import HF_HUB_CACHE

    if known.kind != "hub":
        raise UsageError(f"{known.id} is part of faceedit", "uninstall faceedit to remove it")
    cache = Path(HF_HUB_CACHE)
    repository = cache / f"models--{known.repository.replace('/', '--')}"
    snapshot = repository / "snapshots" / (known.revision or newest_snapshot(known.repository))
    if not snapshot.is_dir():
        raise WeightsError(f"{known.id} is not on this machine", "see: faceedit weights list")
    if not snapshot.resolve().is_relative_to(cache.resolve()):
        raise WeightsError(f"{snapshot} leads out of the cache", "remove it by hand, if it is to go")
    names = tuple(
        path
        for path in (snapshot / file.path for file in known.files if is_plain_path(file.path))
        if path.is_symlink() or path.is_file()
    )
    shared = {
        _content(path) for path in (repository / "snapshots").rglob("*") if path not in names and not path.is_dir()
    }
    contents = {_content(path) for path in names} - shared
    blobs = tuple(sorted(path for path in contents if path.parent == repository / "blobs" and path.is_file()))
    sizes = [path.stat().st_size for path in (*blobs, *(name for name in names if not name.is_symlink()))]
    return Removal(known, snapshot, names, blobs, sum(sizes))


def _content(path: Path) -> Path:
    """One step along a link: a content may itself be a link into a store that several repositories share."""
    return Path(os.path.normpath(path.parent / path.readlink())) if path.is_symlink() else path


def remove(removal: Removal) -> None:
    """Carry a removal out: names first, so that nothing ever points to what is gone, then contents, then empty folders.

    Raises:
        OutputError: a file cannot be removed.
    """
    try:
        for path in (*removal.names, *removal.blobs):
            path.unlink(missing_ok=True)
        folders = {
            parent for name in removal.names for parent in name.parents if parent.is_relative_to(removal.snapshot)
        }
        for folder in sorted(folders, key=lambda path: len(path.parts), reverse=True):
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
    except OSError as error:
        raise OutputError(f"cannot remove {error.filename}: {error.strerror}", "check its permissions") from None
