"""What Flux-Sculptor knows of a portrait before any edit: its way into the noise, and what is kept from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from faceedit.attention.value_bank import Key, ValueBank
from faceedit.attention.value_fusion import store
from faceedit.editors.base import Float3, Trajectory, finite
from faceedit.editors.flux_sculptor.backbone import SculptBackbone
from faceedit.editors.flux_sculptor.plan import SculptPlan
from faceedit.models.flux import FluxText, pack
from faceedit.models.layerwise import rests_in_8_bits
from faceedit.models.stable_diffusion import to_model_range
from faceedit.samplers.flow import MIDPOINT, NODE, Evaluation

# Counts up whenever this code would give other numbers, so that none are taken from a disk that older code wrote.
FORMAT = 1


@dataclass(frozen=True)
class FluxTrajectory(Trajectory):
    """The inversion of a portrait, which serves any number of edits with any mask.

    Attributes:
        path: float32 [K + 1, L, 4C], packed latents at t_0 to t_K; the first are the picture's, the last its noise.
        midpoints: float32 [K, L, 4C], those in the middle of each step; [0, L, 4C] with a solver that has none.
        solver: its name.
        bank: the source's attention values, or one that is still to be filled; `None` where nothing is kept. It is no
            part of what goes to disk: its values are made again, bit by bit, from `path` and `midpoints`.
    """

    path: Tensor
    midpoints: Tensor
    solver: str
    bank: ValueBank | None = None

    def at(self, key: Key) -> Tensor:
        """The latents [1, L, 4C] of an evaluation of the inversion."""
        kind, number = key
        return self.path[number, None] if kind == NODE else self.midpoints[number - 1, None]

    def line(self, share: float) -> Tensor:
        """Eq. 10: on the straight line from the picture, 0, to its noise, 1; [1, L, 4C]."""
        return torch.lerp(self.path[:1], self.path[-1:], share)

    def to_tensors(self) -> tuple[dict[str, Tensor], dict[str, str]]:
        """As in `Trajectory`; `from_tensors` takes them back."""
        tensors, texts = super().to_tensors()
        return {**tensors, "path": self.path, "midpoints": self.midpoints}, {**texts, "solver": self.solver}

    @classmethod
    def from_tensors(
        cls, tensors: Mapping[str, Tensor], texts: Mapping[str, str], device: torch.device, bank: ValueBank | None
    ) -> FluxTrajectory:
        """The trajectory that `to_tensors` took apart, bit by bit, on `device`, with a bank to be filled.

        Raises:
            KeyError: a part is missing.
        """
        placed = {name: tensors[name].to(device) for name in ("pixels", "latents", "path", "midpoints")}
        return cls(**placed, source=texts["source"], solver=texts["solver"], bank=bank)


def trajectory_settings(backbone: SculptBackbone, plan: SculptPlan, guidance: float) -> dict[str, Any]:
    """What a trajectory depends on besides crop, sentence, weights and device; see `KeepsTrajectories`.

    Args:
        backbone, plan, guidance: as in `invert_portrait`.
    """
    flux = backbone.flux
    return {
        "format": FORMAT,
        "solver": plan.solver,
        "times": plan.times.tolist(),
        "guidance": guidance,
        "scaling": [flux.scaling_factor, flux.shift_factor],
        "text_tokens": flux.text_tokens,
        "in_8_bits": rests_in_8_bits(flux.transformer),
    }


@torch.no_grad()
def invert_portrait(
    backbone: SculptBackbone, pixels: Float3, source: str, plan: SculptPlan, guidance: float, bank: ValueBank | None
) -> FluxTrajectory:
    """Follow the flow from the picture into its noise, and keep the values that an edit will read.

    Args:
        backbone: FLUX.1.
        pixels: float32 [S, S, 3] in [0, 1].
        source: sentence that describes them.
        plan: times and solver, and what an edit reads.
        guidance: 1 in the paper's code; more leads astray.
        bank: filled on the way; `None` keeps nothing.

    Raises:
        NumericError: a non-finite value.
        UsageError: the sentence is too long for the text encoder.
    """
    flux = backbone.flux
    batch = to_model_range(pixels).to(flux.device)
    text = flux.encode_text([source])
    z0 = finite(flux.encode_image(batch), "the encoded picture")
    path, midpoints = [pack(z0)], [pack(z0)[:0]]

    def velocity(z: Tensor, where: Evaluation) -> Tensor:
        if where.kind == MIDPOINT:
            midpoints.append(z)
        key = plan.own_key(where)
        act = None if bank is None or key is None else store(bank, key)
        return backbone.velocity(z, where.t, text, guidance, act)

    for _, z in plan.solve(velocity, path[0], plan.times):
        path.append(finite(z, "the inverted picture"))
    return FluxTrajectory(batch, z0, source, torch.cat(path), torch.cat(midpoints), plan.solver, bank)


def fill(
    bank: ValueBank, backbone: SculptBackbone, known: FluxTrajectory, plan: SculptPlan, text: FluxText, guidance: float
) -> None:
    """Put into a bank what it lacks of the values that an edit reads, the very bits that the inversion met.

    Args:
        bank, backbone, known, plan: that belong together.
        text: the source sentence, one row.
        guidance: that of the inversion.
    """
    for key in plan.keys:
        if bank.lacks(key):
            backbone.velocity(known.at(key), plan.time_of(key), text, guidance, store(bank, key))
