"""Inverted pictures kept on disk, so that a second edit of the same picture does not invert it again.

One safetensors file per trajectory, named by a hash over all that it depends on, in a folder that only its user may
read: a trajectory decodes into the picture. Files appear whole under their name and are never written to again, so any
number of processes share the folder without locks; at worst two of them make the same trajectory twice.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from faceedit.recipe_schema import CacheOptions, Recipe
from faceedit.userfolders import cache_folder

if TYPE_CHECKING:
    from torch import Tensor

    from faceedit.editors.base import Editor, Trajectory

_FORMAT = 1
_SUFFIX = ".safetensors"
_STALE_SECONDS = 3600


class DamagedEntryError(Exception):
    """A file in the cache is not what was written there."""


@dataclass(frozen=True)
class TrajectoryCache:
    """A folder of trajectories with a limit.

    Attributes:
        folder: made when the first trajectory is written.
        limit: bytes that all files together may take; the longest unused go first.
    """

    folder: Path
    limit: int

    def read(self, key: str) -> tuple[dict[str, Tensor], dict[str, str]] | None:
        """The tensors (on the CPU) and texts of an entry, or `None` where none can be read; it is now the newest.

        Raises:
            DamagedEntryError: the file is no safetensors file, or its content does not have the hash that it names,
                or holds a number that is not finite.
        """
        from safetensors import SafetensorError
        from safetensors.torch import load

        path = self._path(key)
        try:
            data = path.read_bytes()
        except OSError:
            return None
        try:
            tensors = load(data)
            metadata = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")]).get("__metadata__", {})
            header = json.loads(metadata.get("faceedit", "{}"))
        except (ValueError, SafetensorError) as error:
            raise DamagedEntryError(str(error)) from error
        texts = header.get("texts", {}) if isinstance(header, dict) else {}
        if not texts or header.get("sha256") != _digest(tensors, texts) or not _all_finite(tensors):
            raise DamagedEntryError("its hash does not fit")
        with suppress(OSError):
            os.utime(path)
        return tensors, texts

    def write(self, key: str, tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> None:
        """Keep a trajectory that fits the limit, and delete the longest unused ones above it.

        Raises:
            OSError: the folder cannot be written.
        """
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        if sum(tensor.nbytes for tensor in kept.values()) > self.limit or not _all_finite(kept):
            return
        header = json.dumps({"texts": dict(texts), "sha256": _digest(kept, texts)})
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        temporary = self.folder / f".{key}.{secrets.token_hex(8)}.part"
        try:
            save_file(kept, temporary, metadata={"faceedit": header})
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
            temporary.replace(self._path(key))
        except SafetensorError as error:
            raise OSError(str(error)) from error
        finally:
            temporary.unlink(missing_ok=True)
        self._evict(key)

    def clear(self) -> int:
        """Delete every trajectory; the number of files that were deleted."""
        return sum(_deleted(path) for _, _, path in [*self._files(f"*{_SUFFIX}"), *self._files(".*.part")])

    def usage(self) -> tuple[int, int]:
        """(number of trajectories, bytes that they take)."""
        sizes = [size for _, size, _ in self._files(f"*{_SUFFIX}")]
        return len(sizes), sum(sizes)

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{_SUFFIX}"

    def _files(self, pattern: str) -> Iterator[tuple[float, int, Path]]:
        """(time of last use, size, path); a file that another process deletes meanwhile is passed over."""
        for path in self.folder.glob(pattern):
            with suppress(FileNotFoundError):
                status = path.stat()
                yield status.st_mtime, status.st_size, path

    def _evict(self, newest: str) -> None:
        for modified, _, path in self._files(".*.part"):
            # Left behind by a process that was killed; one that is being written is younger.
            if modified < time.time() - _STALE_SECONDS:
                _deleted(path)
        found = sorted(self._files(f"*{_SUFFIX}"))
        total = sum(size for _, size, _ in found)
        for _, size, path in found:
            if total <= self.limit:
                return
            if path != self._path(newest) and _deleted(path):
                total -= size


def open_cache(options: CacheOptions) -> TrajectoryCache:
    """The user's own cache of trajectories under a recipe's limit."""
    return TrajectoryCache(cache_folder() / "trajectories", round(options.limit * 1e9))


def trajectory_of(
    editor: Editor, pixels: NDArray[np.float32], source: str, recipe: Recipe, cache: TrajectoryCache | None
) -> tuple[Trajectory, tuple[str, ...]]:
    """`editor.invert(pixels, source)`, or the same bits from the cache; and sentences for the user.

    Args:
        editor: asks for the cache by being a `KeepsTrajectories`.
        pixels: float32 [S, S, 3] in [0, 1].
        source: sentence that describes them.
        recipe: the editor's.
        cache: `None` for none.
    """
    from faceedit.editors.base import KeepsTrajectories

    if cache is None or cache.limit == 0 or not isinstance(editor, KeepsTrajectories):
        return editor.invert(pixels, source), ()
    key = trajectory_key(pixels, source, {**_origin(recipe), "settings": editor.trajectory_settings()})
    notes = []
    try:
        kept = cache.read(key)
        if kept is not None:
            return editor.restore(*kept), ()
    except (DamagedEntryError, KeyError):
        notes.append("an inverted picture in the cache was damaged and has been made again")
    trajectory = editor.invert(pixels, source)
    try:
        cache.write(key, *trajectory.to_tensors())
    except OSError as error:
        notes.append(f"the inverted picture could not be kept for later edits: {error.strerror or error}")
    return trajectory, tuple(notes)


def trajectory_key(pixels: NDArray[np.float32], source: str, facts: Mapping[str, Any]) -> str:
    """SHA-256, 64 hex digits, over a crop, its sentence and everything else that a trajectory depends on."""
    text = json.dumps([_FORMAT, pixels.shape, source, facts], sort_keys=True)
    return hashlib.sha256(text.encode() + b"\0" + np.ascontiguousarray(pixels).tobytes()).hexdigest()


def _origin(recipe: Recipe) -> dict[str, Any]:
    """Weights, machine and versions: whatever else decides the bits of a prediction."""
    import torch

    from faceedit.models.plan import device_plan
    from faceedit.record import package_version, weights_hashes

    plan = device_plan(recipe.device)
    on_gpu = plan.device.type == "cuda"
    return {
        "weights": weights_hashes(recipe.weights) or {"random": recipe.weights.seed},
        "device": torch.cuda.get_device_name(plan.device) if on_gpu else f"{plan.device} {torch.get_num_threads()}",
        "dtype": str(plan.dtype),
        "attention": plan.attention,
        "quantization": plan.quantization,
        "versions": {name: package_version(name) for name in ("torch", "diffusers", "transformers")},
    }


def _digest(tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> str:
    """Over names, types, shapes and bytes, in the order of the names."""
    import torch

    found = hashlib.sha256(json.dumps(dict(texts), sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        found.update(f"\0{name} {tensor.dtype} {tuple(tensor.shape)}\0".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def _all_finite(tensors: Mapping[str, Tensor]) -> bool:
    return all(bool(tensor.isfinite().all()) for tensor in tensors.values())


def _deleted(path: Path) -> bool:
    """Whether this call deleted the file; not where another process was first, or a reader holds it on Windows."""
    try:
        path.unlink()
    except OSError:
        return False
    return True
