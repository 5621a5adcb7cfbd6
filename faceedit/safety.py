"""The safety checker of the published Stable Diffusion backbones: shown every edit.

It compares CLIP's view of the edited crop with a fixed list of concepts, most of them sexual. A finding blocks the
result or marks it, as the recipe says; the picture is never replaced by a black one.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceedit.errors import SafetyError, WeightsError
from faceedit.models import manifest
from faceedit.models.jsonfile import read_config
from faceedit.models.places import weights_folder
from faceedit.models.tensors import weight_files
from faceedit.models.verified import require_verified
from faceedit.recipe_schema import Recipe

PART = "safety_checker"
OFF, CLEAR, FLAGGED = "off", "clear", "flagged"
_PULL = "faceedit weights pull --recipe NAME fetches it; --set safety=off goes without"


def finding(recipe: Recipe, pixels: NDArray[np.float32]) -> str:
    """What the checker says about an edited crop.

    Args:
        recipe: its `safety` says whether to look, and whether a finding blocks.
        pixels: float32 [S, S, 3] in [0, 1].

    Returns:
        "off" where the recipe does not look, else "clear" or "flagged".

    Raises:
        SafetyError: flagged, and the recipe blocks.
        WeightsError: the weights hold no checker, or a damaged one.
    """
    if recipe.safety == "off":
        return OFF
    folder, variant = require_checker(recipe), recipe.weights.variant
    if not is_flagged(load_checker(folder, variant), pixels):
        return CLEAR
    if recipe.safety == "block":
        raise SafetyError(
            "the safety checker flagged the edit; nothing was written",
            "try another seed or wording; --set safety=flag keeps such results and marks them",
        )
    return FLAGGED


def require_checker(recipe: Recipe, hashes: bool = True) -> Path | None:
    """The checker's folder, looked at before any model is loaded; `None` where the recipe does not look.

    `hashes` as in `faceedit.models.places.weights_folder`.

    Raises:
        WeightsError: it is not there, or not whole.
    """
    if recipe.safety == "off":
        return None
    if recipe.weights.kind == "random":
        raise WeightsError("random weights hold no safety checker", "set safety=off")
    root = weights_folder(recipe.weights, hashes)
    if read_config(root / "model_index.json").get(PART, [None, None])[1] is None or not (root / PART).is_dir():
        raise WeightsError(f"{root} holds no safety checker", _PULL)
    files = weight_files(root / PART, recipe.weights.variant)
    known = manifest.by_repository(recipe.weights.repository)
    if hashes and recipe.weights.kind == "hub" and known is not None:
        require_verified(known, root, files)
    return root / PART


@cache
def load_checker(folder: Path, variant: str = "") -> Any:
    """The checker of a folder, strictly loaded, on the CPU in fp32, kept for the next edit.

    On the CPU its verdict is the same beside every device and precision, and it takes no room from the backbone.

    Raises:
        WeightsError: its class, configuration, keys or numbers are not what they should be.
    """
    from faceedit.models.components import component_class
    from faceedit.models.keys import renamer
    from faceedit.models.loader import empty_module
    from faceedit.models.tensors import load_into

    config = read_config(folder / "config.json")
    kind = component_class(PART, str((config.get("architectures") or [""])[0]))
    module = empty_module(kind, config, folder)
    load_into(module, weight_files(folder, variant), PART, rename=renamer(module))
    return module.eval().requires_grad_(False)


def is_flagged(checker: Any, pixels: NDArray[np.float32]) -> bool:
    """Whether a picture, float32 [H, W, 3] in [0, 1], is closer to one of the concepts than its threshold.

    The picture is resized to the encoder's size, square or not, and normalised with CLIP's published statistics.
    """
    import torch
    import torch.nn.functional as F
    from einops import rearrange

    from faceedit.models.clip import PUBLISHED_MEAN, PUBLISHED_STD

    side = checker.config.vision_config.image_size
    x = rearrange(torch.from_numpy(np.ascontiguousarray(pixels, dtype=np.float32)), "h w c -> 1 c h w")
    x = F.interpolate(x, (side, side), mode="bicubic", antialias=True).clamp(0, 1)
    mean, std = (rearrange(torch.tensor(values), "c -> c 1 1") for values in (PUBLISHED_MEAN, PUBLISHED_STD))
    with _without_its_warning():
        # The second argument would come back black; a scrap takes the picture's place.
        _, flags = checker((x - mean) / std, np.zeros((1, 1, 1, 3), np.float32))
    return bool(flags[0])


@contextmanager
def _without_its_warning() -> Iterator[None]:
    # It announces that a black image is returned instead, which is not so here.
    logger = logging.getLogger("diffusers.pipelines.stable_diffusion.safety_checker")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
