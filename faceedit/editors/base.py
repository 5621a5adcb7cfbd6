"""What an editor is: `invert` a portrait once, `edit` it many times, `decode` latents into a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faceedit.errors import NumericError, UsageError
from faceedit.models.components import CONDITION_PARTS
from faceedit.request import EditText

Float3 = NDArray[np.float32]


@dataclass(frozen=True)
class Trajectory:
    """What an editor knows of a portrait before any edit; an inpainting editor needs only its encoded latents.

    Attributes:
        pixels: float32 [1, 3, S, S] in [-1, 1], the crop at the model's size.
        latents: float32 [1, C, h, w], clean scaled latents z_0.
        source: sentence that describes the portrait as it is.
    """

    pixels: Tensor
    latents: Tensor
    source: str

    def to_tensors(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """Its tensors by name and its texts by name, all that `KeepsTrajectories.restore` needs."""
        return {"pixels": self.pixels, "latents": self.latents}, {"source": self.source}


@dataclass(frozen=True)
class Step:
    """One step of the edit loop: number (from 1), total, and the latents [B, C, h, w] after it.

    `maps` are what the method saw at this step, by name ("score", "boundary", "attention"), float32 [h, w] in [0, 1];
    an editor fills them in as far as they fall out of its work anyway.
    """

    number: int
    total: int
    latents: Tensor
    maps: Mapping[str, Tensor] = field(default_factory=dict)


class Editor(Protocol):
    """An editing method over loaded components. It knows no command line, no other editor, no mask's origin."""

    @property
    def size(self) -> int:
        """Side S of the square crop that the models see, in pixels."""

    def invert(self, pixels: Float3, source: str) -> Trajectory:
        """Encode a crop, float32 [S, S, 3] in [0, 1], described by the sentence `source`."""

    def edit(
        self, trajectory: Trajectory, edit: EditText, mask: NDArray[np.float32], generator: torch.Generator
    ) -> Iterator[Step]:
        """Run the edit as a generator of steps; the last step's latents [1, C, h, w] are the result.

        Args:
            trajectory: what `invert` gave.
            edit: source, target and negative sentence.
            mask: float32 [S, S] in [0, 1], 1 = edit.
            generator: CPU generator that all noise is drawn from.
        """

    def decode(self, latents: Tensor) -> Float3:
        """Latents [1, C, h, w] as a picture, float32 [S, S, 3] in [0, 1]. Raises NumericError on non-finite values."""


@runtime_checkable
class KeepsTrajectories(Protocol):
    """What an editor offers besides `Editor` if its inversion is dear enough to be kept on disk."""

    def trajectory_settings(self) -> Mapping[str, Any]:
        """Everything but crop, sentence, weights and device that a trajectory depends on, as JSON values."""

    def restore(self, tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> Trajectory:
        """The trajectory that `to_tensors` took apart, bit by bit.

        Args:
            tensors: on the CPU.
            texts: as stored.

        Raises:
            KeyError: a part is missing.
        """


@runtime_checkable
class Encodes(Protocol):
    """What an editor offers besides `Editor` if its inversion does more than encode."""

    def encode(self, pixels: Float3, source: str) -> Trajectory:
        """The crop as its autoencoder knows it, and nothing inverted; arguments and latents as of `invert`."""


def require_size(recipe: Any) -> None:
    """Raises UsageError where the recipe's editor cannot work at its size, before anything is loaded."""
    if recipe.editor == "flux-sculptor":
        from faceedit.models.flux import require_size as require_tokens

        require_tokens(recipe.weights, recipe.size)


def unused_parts(recipe: Any) -> tuple[str, ...]:
    """Parts of the weights that the recipe's editor never looks at and that need not be loaded for it."""
    if recipe.editor == "flux-sculptor":
        return (*CONDITION_PARTS, "unet", "vision", "image_processor")
    return () if recipe.editor == "ca-edit" else CONDITION_PARTS


@runtime_checkable
class TellsNotes(Protocol):
    """What an editor offers besides `Editor` if its weights may hold less than the whole method."""

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences for the user: what is done instead, and what to expect of it."""


def build_editor(recipe: Any, components: Any) -> Editor:
    """The editor that a recipe names, over loaded components.

    Raises:
        UsageError: no editor of that name, or STFG asked of one that has none.
    """
    # Imported here: an editor's module pulls in its networks, and only one is ever needed.
    if recipe.editor == "inpaint":
        from faceedit.editors.inpaint.editor import InpaintEditor

        return InpaintEditor(recipe, components)
    if recipe.editor == "ca-edit":
        from faceedit.editors.ca_edit.editor import CaEditor

        return CaEditor(recipe, components)
    if recipe.stfg.enabled:
        raise UsageError(f"{recipe.editor} has no STFG", "leave out --stfg, or take --backend inpaint or ca-edit")
    if recipe.editor == "mag-edit":
        from faceedit.editors.mag_edit.editor import MagEditor

        return MagEditor(recipe, components)
    if recipe.editor == "flux-sculptor":
        from faceedit.editors.flux_sculptor.editor import FluxSculptorEditor

        return FluxSculptorEditor(recipe, components)
    raise UsageError(f"unknown editor {recipe.editor!r}", "the editors are: inpaint, ca-edit, mag-edit, flux-sculptor")


def finite(tensor: Tensor, what: str) -> Tensor:
    """`tensor` itself, or NumericError naming `what` where it holds NaN or infinity."""
    if not torch.isfinite(tensor).all():
        raise NumericError(f"{what} holds non-finite values", "try --dtype fp32")
    return tensor
