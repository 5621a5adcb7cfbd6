"""What MAG-Edit knows of a portrait before any edit: how it goes into the noise, and how it comes back unedited."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from faceedit.editors.base import Float3, Trajectory, finite
from faceedit.models.stable_diffusion import to_model_range
from faceedit.samplers.ddim import DdimSchedule
from faceedit.samplers.inversion import conditional_chain, ddim_chain, null_at
from faceedit.samplers.null_text import null_text

INVERSIONS = ("null-text", "direct", "npi")
# Counts up whenever this code would give other numbers, so that none are taken from a disk that older code wrote.
FORMAT = 1


@dataclass(frozen=True)
class MagTrajectory(Trajectory):
    """The reconstruction branch, which every edit of the portrait runs beside.

    Attributes:
        chain: float32 [T + 1, 1, C, h, w], its latents in denoising order: entry i is before step i, the last one is
            what the branch ends in (z_0 itself for "direct").
        null: float32 [T, 77, D], the null embedding of each step, or [1, 77, D] where one serves all of them.
        inversion: one of `INVERSIONS`.
    """

    chain: Tensor
    null: Tensor
    inversion: str

    def null_at(self, step: int) -> Tensor:
        """The null embedding float32 [1, 77, D] of a step, counted from 0."""
        return null_at(self.null, step)

    def to_tensors(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """As in `Trajectory`; `from_tensors` takes them back."""
        tensors, texts = super().to_tensors()
        return {**tensors, "chain": self.chain, "null": self.null}, {**texts, "inversion": self.inversion}

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, Tensor], texts: Mapping[str, str], device: torch.device
    ) -> MagTrajectory:
        """The trajectory that `to_tensors` took apart, bit by bit, on `device`.

        Raises:
            KeyError: a part is missing.
        """
        placed = {name: tensors[name].to(device) for name in ("pixels", "latents", "chain", "null")}
        return cls(**placed, source=texts["source"], inversion=texts["inversion"])


def trajectory_settings(backbone: Any, schedule: DdimSchedule, inversion: str, guidance: float) -> dict[str, Any]:
    """What a trajectory depends on besides crop, sentence, weights and device; see `KeepsTrajectories`.

    Args:
        backbone, schedule, inversion, guidance: as in `invert_portrait`.
    """
    return {
        "format": FORMAT,
        "inversion": inversion,
        "timesteps": schedule.timesteps.tolist(),
        "alpha_bar": schedule.alpha_bar.tolist(),
        "scaling_factor": backbone.scaling_factor,
        "guidance": guidance if inversion == "null-text" else None,
    }


def invert_portrait(
    backbone: Any,
    pixels: Float3,
    source: str,
    schedule: DdimSchedule,
    inversion: str,
    guidance: float,
) -> MagTrajectory:
    """The trajectory of a portrait.

    - "null-text" (Mokady et al.): the branch is the guided reconstruction under optimised null embeddings.
    - "direct" (Ju et al., "PnP Inversion: Boosting Diffusion-based Editing with 3 Lines of Code"): at each step the
      branch's deviation from the inversion's chain is added back, which puts it on that chain; so the chain is the
      branch and nothing needs to be predicted for it.
    - "npi" (Miyake et al., "Negative-prompt Inversion"): the source sentence stands for the empty one, and guidance
      cancels in the branch.

    Args:
        backbone: a `StableDiffusion`.
        pixels: float32 [S, S, 3] in [0, 1].
        source: sentence that describes them.
        schedule: T steps.
        inversion: one of `INVERSIONS`.
        guidance: w; only "null-text" depends on it.

    Raises:
        NumericError: a non-finite value.
        UsageError: the sentence is too long for the text encoder.
    """
    batch = to_model_range(pixels).to(backbone.device)
    z0 = finite(backbone.encode_image(batch), "the encoded picture")
    text, empty = backbone.encode_text([source]), backbone.encode_text([""]).float()

    def predict_noise(z: Tensor, t: Tensor, embedding: Tensor) -> Tensor:
        eps: Tensor = backbone.predict_noise(z, t, embedding.to(backbone.dtype))
        return eps

    with torch.no_grad():
        inverted = finite(ddim_chain(lambda z, t: predict_noise(z, t, text), z0, schedule), "the inverted picture")
    if inversion == "null-text":
        found = null_text(predict_noise, inverted, text, empty, schedule, guidance)
        return MagTrajectory(batch, z0, source, finite(found.chain, "the reconstruction"), found.null, inversion)
    with torch.no_grad():
        if inversion == "npi":
            chain = conditional_chain(predict_noise, inverted[0], text, schedule)
            return MagTrajectory(batch, z0, source, finite(chain, "the reconstruction"), text.float(), inversion)
        return MagTrajectory(batch, z0, source, inverted, empty, inversion)
