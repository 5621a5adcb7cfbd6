"""The record of how a result was made: enough to run it again, and nothing about the machine or its user."""

from __future__ import annotations

import base64
import binascii
import hashlib
import io
import re
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from faceedit import __version__
from faceedit.decode import decode
from faceedit.errors import ImageError, UsageError
from faceedit.models.manifest import digest
from faceedit.recipe import recipe_from, recipe_values
from faceedit.recipe_schema import Recipe, Weights
from faceedit.request import Mask, Record, Request

if TYPE_CHECKING:
    from faceedit.run import Prepared

SCHEMA = 1
PACKAGES = ("torch", "diffusers", "transformers", "numpy", "opencv-python-headless", "scikit-image", "pillow")


@dataclass(frozen=True)
class Replay:
    """What a record says about running it again.

    Attributes:
        request: the request, over the input's bytes.
        recipe: the resolved recipe, independent of the recipe files of today.
        mask: the user's mask, where one was used.
    """

    request: Request
    recipe: Recipe
    mask: Mask | None


def mask_bytes(values: NDArray[np.float32]) -> bytes:
    """A mask as an 8-bit grey PNG."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(np.round(values * 255).astype(np.uint8)).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def make_record(prepared: Prepared, request: Request, weights: dict[str, str], safety: str = "off") -> Record:
    """The record of one edit: plain JSON values, no paths, no user names, no time.

    Args:
        prepared: steps 1 to 4 of the walk.
        request: what the user asked for.
        weights: file -> sha256 of the weights that were used.
        safety: what the safety checker said: "off", "clear" or "flagged".
    """
    values = prepared.mask.values
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "faceedit": __version__,
        "editor": prepared.recipe.editor,
        "recipe": recipe_values(prepared.recipe),
        "prompts": list(request.prompts),
        "regions": list(request.region),
        "source_prompt": request.source_prompt,
        "source": prepared.text.source,
        "target": prepared.text.target,
        "negative": prepared.text.negative,
        "seed": request.seed,
        "face": {"index": request.face, "box": [round(float(v), 2) for v in prepared.portrait.face.box]},
        "crop": list(prepared.portrait.crop),
        "mask": {"origin": prepared.mask.origin, "sha256": hashlib.sha256(values.tobytes()).hexdigest()},
        "input": {"sha256": prepared.picture.sha256, "size": list(prepared.picture.size)},
        "weights": weights,
        "safety": safety,
        "versions": {name: package_version(name) for name in PACKAGES},
    }
    if prepared.picture.credentials:
        data["input"]["c2pa"] = prepared.picture.credentials
    if prepared.choice.step_down:
        data["step_down"] = prepared.choice.step_down
    if prepared.user_mask is not None:
        data["mask"]["png"] = base64.b64encode(mask_bytes(prepared.user_mask)).decode("ascii")
    return Record(data)


def weights_hashes(weights: Weights) -> dict[str, str]:
    """File -> sha256 of the weight files of a recipe; hashes on record are taken, the others are computed once."""
    from faceedit.models.places import weight_paths

    return {name: _sha256(path, path.stat().st_mtime_ns) for name, path in weight_paths(weights).items()}


def recipe_hashes(recipe: Recipe) -> dict[str, str]:
    """`weights_hashes` of a recipe's backbone, and of its locator where that has weights ("pasl/model.safetensors")."""
    found = weights_hashes(recipe.weights)
    if recipe.locator.name == "pasl":
        from faceedit.models.pasl import pasl_folder
        from faceedit.models.tensors import weight_files

        (file,) = weight_files(pasl_folder(recipe.locator.weights))
        found[f"pasl/{file.name}"] = _sha256(file, file.stat().st_mtime_ns)
    return found


@cache
def _sha256(path: Path, _modified: int) -> str:
    # The Hugging Face cache names a large file by its SHA-256; hashing 4 GB anew for every process would cost seconds.
    name = path.resolve().name
    return name if re.fullmatch(r"[0-9a-f]{64}", name) else digest(path)


@cache
def package_version(name: str) -> str:
    """Installed version of a distribution, or "absent" (OpenCV, for one, comes under several names)."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "absent"


def replay_of(record: Record, image: bytes) -> Replay:
    """The request that made a result, over the same input.

    Raises:
        ImageError: the record is not one of ours.
        UsageError: `image` is not the picture that the record names.
    """
    data = record.data
    try:
        if data["schema"] != SCHEMA:
            raise ImageError(
                f"the record has schema {data['schema']!r}; this version reads {SCHEMA}", "update faceedit"
            )
        if hashlib.sha256(image).hexdigest() != data["input"]["sha256"]:
            raise UsageError("this is not the picture that the result was made from", "give the original with --image")
        request = Request(
            image=image,
            prompts=_texts(data["prompts"]),
            region=_texts(data["regions"]),
            face=_number(data["face"]["index"], optional=True),
            seed=_number(data["seed"]) or 0,
            source_prompt=_text(data["source_prompt"], optional=True),
        )
        png = data["mask"].get("png")
        mask = None
        if png is not None:
            # The picture may be a stranger's, so this one inside it meets the same limits as any other.
            stored = decode(base64.b64decode(png, validate=True), "the record's mask")
            mask = Mask(stored.rgb[:, :, 0].astype(np.float32) / np.float32(255), "file")
        recipe = recipe_from(data["recipe"], "the record")
    except (KeyError, TypeError, AttributeError, binascii.Error) as error:
        raise ImageError(f"the embedded record is damaged ({error})", "it cannot be replayed") from error
    _refuse_remote(recipe)
    return Replay(request, recipe, mask)


def _refuse_remote(recipe: Recipe) -> None:
    """Weights on a share of another machine: opening one would call there, and Windows would send who is asking."""
    weights = recipe.weights
    for place in (weights.path, recipe.locator.weights, *weights.folders.values()):
        if place.startswith(("\\\\", "//", "\\/", "/\\")):
            raise ImageError(
                f"the record takes weights from another machine, {place}",
                "copy them to this machine and edit the picture anew",
            )


def _text(value: Any, optional: bool = False) -> str | None:
    if not (isinstance(value, str) or (optional and value is None)):
        raise TypeError(f"{value!r:.40} is no text")
    return value


def _texts(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list):
        raise TypeError(f"{values!r:.40} is no list")
    return tuple(str(_text(value)) for value in values)


def _number(value: Any, optional: bool = False) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**32
    if not (whole or (optional and value is None)):
        raise TypeError(f"{value!r:.40} is no whole number")
    return value if whole else None
