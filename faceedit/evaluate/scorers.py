"""The two bundled networks that score portraits, the judge and the CLIP pair, whatever editor is measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, cast

import numpy as np
import torch
from einops import rearrange

from faceedit.evaluate.judge import Judge, load_judge
from faceedit.evaluate.scores import Vector
from faceedit.models.clip import image_features, text_features
from faceedit.models.loader import load_components
from faceedit.models.plan import device_plan
from faceedit.recipe import load_recipe
from faceedit.recipe_schema import DeviceOptions
from faceedit.request import Bytes3
from faceedit.resources import bundled_weights_dir

MINI = "mini/inpaint"
CLIP_PARTS = ("text_encoder", "tokenizer", "vision", "image_processor")


class Classifier(Protocol):
    """Anything that tells the attributes of portraits."""

    def predict(self, images: Sequence[Bytes3]) -> Sequence[Mapping[str, str]]:
        """Field -> value of every picture, uint8 [S, S, 3] of one size."""


class JudgedPictures:
    """The judge for 8-bit pictures."""

    def __init__(self, judge: Judge) -> None:
        self.judge = judge

    def predict(self, images: Sequence[Bytes3]) -> Sequence[Mapping[str, str]]:
        """Field -> the likeliest value of every picture, uint8 [S, S, 3] of one size."""
        return self.judge.values(_as_batch(images))

    def identity(self, images: Sequence[Bytes3]) -> Vector:
        """Unit vectors, float32 [B, D], that are close where the judge sees the same person; pictures as above.

        It stands in for a face recogniser, which knows no rendered faces: the judge tells age, gender, skin, nose, chin
        and the like, and its last features hold them in place on the picture.
        """
        return cast(Vector, self.judge.embedding(_as_batch(images)).numpy())


class ClipPair:
    """A CLIP text and vision encoder of one embedding space.

    Its figures compare edits by one and the same pair only; a CLIP that was trained on rendered portraits has another
    scale than the published ones.

    Args:
        components: needs `text_encoder` (with projection), `vision` and `tokenizer`.
    """

    def __init__(self, components: Any) -> None:
        self.components = components

    def images(self, pictures: Sequence[Bytes3]) -> Vector:
        """Unit embeddings, float32 [B, D], of uint8 pictures [S, S, 3] of one size."""
        batch = np.stack(pictures).astype(np.float32) / np.float32(255)
        return cast(Vector, image_features(self.components, batch).cpu().numpy())

    def sentences(self, sentences: Sequence[str]) -> Vector:
        """Unit embeddings, float32 [B, D], of sentences."""
        return cast(Vector, text_features(self.components, sentences).cpu().numpy())


def bundled_judge() -> JudgedPictures:
    """The judge of the bundled set, on the CPU.

    Raises:
        WeightsError: it is missing or damaged.
    """
    return JudgedPictures(load_judge(bundled_weights_dir() / load_recipe(MINI).weights.path / "judge"))


def bundled_clip() -> ClipPair:
    """The CLIP pair of the bundled set, on the CPU in float32.

    Raises:
        WeightsError: it is missing or damaged.
    """
    plan = device_plan(DeviceOptions(), device="cpu", dtype="fp32")
    return ClipPair(load_components(load_recipe(MINI).weights, plan, CLIP_PARTS))


def _as_batch(images: Sequence[Bytes3]) -> torch.Tensor:
    batch = torch.from_numpy(np.stack(images)).float() / 127.5 - 1
    return rearrange(batch, "b h w c -> b c h w")
