"""The folder that a recipe's weights lie in: inside the package, anywhere on disk, or in the Hugging Face cache."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from faceedit.errors import UsageError, WeightsError
from faceedit.models import hub, manifest
from faceedit.models.components import MODELS, PUBLISHED_NAMES
from faceedit.models.jsonfile import read_config
from faceedit.models.tensors import weight_files
from faceedit.models.verified import require_verified
from faceedit.recipe_schema import Weights

# A part of another recipe's bundled set: "bundled:mini-2/vae".
_BORROWED = "bundled:"
_COMMIT = re.compile(r"[0-9a-f]{40}")
_NO_COMMIT = "0" * 40


def weights_folder(weights: Weights, hashes: bool = True) -> Path:
    """The folder with `model_index.json`; bundled weights are checked against their hashes first.

    Args:
        weights: the recipe's section.
        hashes: also hold published weights against theirs, which reads gigabytes when it has not been done yet.

    Raises:
        WeightsError: it is not there, incomplete or damaged.
        UsageError: the recipe leaves out which weights it means.
    """
    if weights.kind == "bundled":
        return manifest.bundled_folder(weights.path)
    if weights.kind == "local":
        if not weights.path:
            raise UsageError("weights.kind is local and weights.path is empty", "set weights.path to a folder")
        folder = Path(weights.path).expanduser()
        if not (folder / "model_index.json").is_file():
            raise WeightsError(f"{folder} holds no model_index.json", "give a folder in diffusers layout")
        return folder
    folder = hub_folder(weights.repository, weights.revision)
    # An interrupted download leaves a snapshot with a part of its files; better known before anything is loaded.
    files = _files_in(_parts_in(folder), weights.variant)
    known = manifest.by_repository(weights.repository)
    if known is not None:
        if folder.name == known.revision:
            _require_sizes(known, folder)
        if hashes:
            require_verified(known, folder, tuple(files.values()))
    return folder


def require_present(weights: Weights) -> None:
    """Look for weights before anything is read or loaded; their content is checked when they are.

    Raises:
        WeightsError: they are not on this machine, or not all of them; says how gated ones are got.
        UsageError: as `weights_folder`.
    """
    weight_paths(weights, hashes=False)


def weight_paths(weights: Weights, hashes: bool = True) -> dict[str, Path]:
    """ "part/file" -> path of every safetensors file that loading these weights reads, parts from elsewhere included.

    A published snapshot holds the same weights in several forms; the others do not count. Random weights have none.
    `hashes` as in `weights_folder`.

    Raises:
        WeightsError: one is missing.
        UsageError: as `weights_folder`.
    """
    if weights.kind == "random":
        return {}
    parts = _parts_in(weights_folder(weights, hashes))
    parts |= {part: part_place(place) for part, place in weights.folders.items() if part in MODELS}
    return _files_in(parts, weights.variant)


def part_place(place: str) -> Path:
    """Where a part from elsewhere lies.

    Args:
        place: a path, or "bundled:SET/PART" for a part of a bundled set, whose hashes are checked first.

    Raises:
        UsageError: no bundled set of that name, or no such part in it.
        WeightsError: the set is damaged.
    """
    if not place.startswith(_BORROWED):
        return Path(place).expanduser()
    name, _, part = place.removeprefix(_BORROWED).partition("/")
    folder = manifest.bundled_folder(name)
    parts = sorted(path.name for path in folder.iterdir() if path.is_dir())
    if part not in parts:
        raise UsageError(f"bundled weights {name} hold no {part!r}", f"they hold: {', '.join(parts)}")
    return folder / part


def _parts_in(folder: Path) -> dict[str, Path]:
    index = read_config(folder / "model_index.json")
    named = {name: PUBLISHED_NAMES.get(name, name) for name, entry in index.items() if entry != [None, None]}
    return {part: folder / name for name, part in named.items() if part in MODELS}


def _files_in(parts: Mapping[str, Path], variant: str) -> dict[str, Path]:
    # An adapter may be a single file; every other part is a folder.
    found = {
        part: (place,) if place.is_file() else weight_files(place, variant) for part, place in sorted(parts.items())
    }
    return {f"{part}/{file.name}": file for part, files in found.items() for file in files}


def _require_sizes(known: manifest.WeightSet, folder: Path) -> None:
    state = manifest.check_folder(known, folder, hashes=False)
    if state.state == manifest.DAMAGED:
        raise WeightsError(
            f"{known.repository} is damaged: {state.problems[-1]}",
            f"fetch it again: faceedit weights rm {known.id}, then faceedit weights pull {known.id}",
        )


def hub_folder(repository: str, revision: str = "") -> Path:
    """The snapshot of a repository in the local Hugging Face cache; never asks the network.

    Args:
        repository: owner/name.
        revision: 40-hex commit; empty for the one pinned in weights.toml.

    Raises:
        WeightsError: it is not in the cache.
        UsageError: no repository, or a revision that can move.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    if not repository:
        raise UsageError("weights.kind is hub and weights.repository is empty", "set weights.repository to owner/name")
    known = manifest.by_repository(repository)
    commit = revision or (known.revision if known else "")
    if not commit and known is not None:
        commit = newest_snapshot(repository)
    elif not _COMMIT.fullmatch(commit):
        told = f"revision {commit!r}" if commit else "no pinned revision"
        raise UsageError(f"{repository}: {told}", "set weights.revision to a 40-digit commit, which cannot move")
    try:
        folder = Path(snapshot_download(repository, revision=commit, local_files_only=True))
    except HFValidationError as error:
        raise UsageError(f"{repository!r} is no repository name", "write owner/name") from error
    except (LocalEntryNotFoundError, OSError) as error:
        gated = known.licence if known and known.gated else ""
        raise hub.absent_error(repository, known.id if known else "NAME", gated) from error
    entry = known.files[0].path if known is not None and known.files else "model_index.json"
    if not (folder / entry).is_file():
        raise WeightsError(f"{folder} is incomplete: no {entry}", "fetch the weights again")
    return folder


def newest_snapshot(repository: str) -> str:
    """Of a set that pins no commit the one that was pulled last; a pull pins a branch to its commit of that day."""
    from huggingface_hub.constants import HF_HUB_CACHE
    from huggingface_hub.file_download import repo_folder_name

    snapshots = Path(HF_HUB_CACHE) / repo_folder_name(repo_id=repository, repo_type="model") / "snapshots"
    found = [folder for folder in snapshots.glob("*") if _COMMIT.fullmatch(folder.name)]
    return max(found, key=lambda folder: folder.stat().st_mtime).name if found else _NO_COMMIT
