"""Flux-Sculptor ("Text-Driven Rich-Attribute Portrait Editing through Decomposed Spatial Flow Control"): S2D-EC."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from faceedit.attention.value_bank import ValueBank
from faceedit.attention.value_fusion import dual, inject
from faceedit.editors.base import Float3, Step, Trajectory, finite
from faceedit.editors.flux_sculptor.backbone import SculptBackbone
from faceedit.editors.flux_sculptor.plan import SculptPlan, plan_edit
from faceedit.editors.flux_sculptor.token_mask import TokenMask, token_mask
from faceedit.editors.flux_sculptor.trajectory import FluxTrajectory, fill, invert_portrait, trajectory_settings
from faceedit.errors import NothingToEditError, UsageError
from faceedit.models.flux import Flux, FluxText, unpack
from faceedit.models.layerwise import rests_in_8_bits
from faceedit.models.stable_diffusion import to_model_range
from faceedit.request import EditText
from faceedit.samplers.ddim import guided
from faceedit.samplers.flow import Arrival, Evaluation
from faceedit.samplers.flow_schedule import flow_schedule

# Rows of an edit's encoded sentences.
SOURCE, TARGET, AWAY = range(3)
IN_8_BITS = "the transformer's weights rest in 8 bits, which changes the result a little (device.memory)"


class FluxSculptorEditor:
    """An inverted portrait, led back under another sentence while the source is held outside the mask.

    Nothing in it is random.

    Args:
        recipe: uses `size`, `sampling` (steps, guidance, strength) and `flux_sculptor`.
        components: a FLUX.1 backbone.

    Raises:
        UsageError: a size that is no whole number of tokens, more structure steps than steps, more value blocks than
            blocks, a transformer whose values are out of reach.
    """

    def __init__(self, recipe: Any, components: Any) -> None:
        self.components = components
        self.size: int = recipe.size
        self.sampling = recipe.sampling
        self.options = recipe.flux_sculptor
        self.flux = Flux(components, self.options.text_tokens)
        self.backbone = SculptBackbone(self.flux, self.size, self.options.value_blocks)
        schedule = flow_schedule(self.flux.scheduler_config, self.sampling.steps, self.backbone.tokens)
        self.plan: SculptPlan = plan_edit(self.options, schedule.times, self.sampling.strength)

    @property
    def notes(self) -> tuple[str, ...]:
        """That weights rest in 8 bits, where they do: `device.memory: auto` may have chosen it."""
        return (IN_8_BITS,) if rests_in_8_bits(self.flux.transformer) else ()

    def invert(self, pixels: Float3, source: str) -> FluxTrajectory:
        """Lead the crop into its noise; the trajectory serves any number of edits."""
        guidance = self.options.inversion_guidance
        return invert_portrait(self.backbone, pixels, source, self.plan, guidance, self._new_bank())

    def encode(self, pixels: Float3, source: str) -> Trajectory:
        """As in `Encodes`."""
        batch = to_model_range(pixels).to(self.flux.device)
        return Trajectory(batch, finite(self.flux.encode_image(batch), "the encoded picture"), source)

    def trajectory_settings(self) -> Mapping[str, Any]:
        """As in `KeepsTrajectories`."""
        return trajectory_settings(self.backbone, self.plan, self.options.inversion_guidance)

    def restore(self, tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> FluxTrajectory:
        """As in `KeepsTrajectories`; the first edit fills its bank."""
        return FluxTrajectory.from_tensors(tensors, texts, self.flux.device, self._new_bank())

    @torch.no_grad()
    def edit(
        self,
        trajectory: Trajectory,
        edit: EditText,
        mask: NDArray[np.float32],
        generator: torch.Generator,  # noqa: ARG002 - nothing here is random
    ) -> Iterator[Step]:
        """S2D-EC from the noise back to a picture (eqs 10 to 16).

        `Step.maps` holds "mask", M on the grid of tokens, and "change", how far each token is from where the inversion
        was at that time, the farthest at 1.

        Raises:
            NothingToEditError: the mask is empty.
            NumericError: latents that are not finite.
            UsageError: a sentence that is too long, or a trajectory of another solver or number of steps.
        """
        known, plan, flux = cast(FluxTrajectory, trajectory), self.plan, self.flux
        if (known.solver, len(known.path)) != (plan.solver, len(plan) + 1):
            made = f"{known.solver} in {len(known.path) - 1} steps"
            raise UsageError(f"the trajectory was made by {made}, not {plan.solver} in {len(plan)}", "invert again")
        if not mask.any():
            raise NothingToEditError("the mask is empty", "choose a larger region")
        pixel_mask = rearrange(torch.from_numpy(mask), "h w -> 1 1 h w").to(flux.device).clamp(0, 1)
        m = token_mask(pixel_mask, self.backbone.size, known.latents.shape[1], self.options)
        sentences = [known.source, edit.target, edit.negative or known.source]
        branch = _Branch(self, known, m, flux.encode_text(sentences))
        for arrival, z in plan.solve(branch.velocity, known.path[-1:], plan.descending, branch.fuse):
            number = len(plan) + 1 - arrival.step
            finite(z, f"step {number}")
            maps = {"mask": m.grid, "change": self._change(z, known.path[arrival.node])}
            yield Step(number, len(plan), unpack(z, self.backbone.size), maps)

    def decode(self, latents: Tensor) -> Float3:
        """The VAE's picture of the latents."""
        image: Float3 = self.flux.decode_image(latents)[0]
        return image

    def bank_for(self, known: FluxTrajectory) -> ValueBank | None:
        """The trajectory's own bank where it serves this editor's edits, else a new one, or `None` for dual."""
        if known.bank is not None and known.bank.serves(self.plan.keys, self.plan.blocks):
            return known.bank
        return self._new_bank()

    def _new_bank(self) -> ValueBank | None:
        return self.backbone.new_bank(self.plan.keys, self.options.bank)

    def _change(self, z: Tensor, source: Tensor) -> Tensor:
        far = (z[0] - source).square().mean(-1).sqrt()
        rows, columns = self.backbone.size
        return rearrange(far / far.max().clamp(min=1e-12), "(h w) -> h w", h=rows, w=columns)


class _Branch:
    """What one edit asks of the transformer, and what it holds on to.

    Args:
        editor: whose plan and options hold.
        known: the inversion.
        mask: M.
        texts: source, target and the sentence that classifier-free guidance leads away from.
    """

    def __init__(self, editor: FluxSculptorEditor, known: FluxTrajectory, mask: TokenMask, texts: FluxText) -> None:
        self.backbone, self.plan, self.options = editor.backbone, editor.plan, editor.options
        self.guidance: float = editor.sampling.guidance
        self.known, self.mask, self.texts = known, mask, texts
        self.value_mask = mask.values.to(editor.flux.dtype)
        self.bank = editor.bank_for(known)
        if self.bank is not None:
            fill(self.bank, self.backbone, known, self.plan, texts[SOURCE:TARGET], self.options.inversion_guidance)

    def velocity(self, z: Tensor, where: Evaluation) -> Tensor:
        """v [1, L, 4C] of the edit's latents, with the source's values mixed in where the plan says so."""
        v = self._velocity(z, where, TARGET)
        if self.plan.passes == 1:
            return v
        return guided(self._velocity(z, where, AWAY), v, self.options.true_cfg_scale)

    def _velocity(self, z: Tensor, where: Evaluation, sentence: int) -> Tensor:
        key, text = self.plan.source_key(where), self.texts[sentence : sentence + 1]
        if key is None:
            return self.backbone.velocity(z, where.t, text, self.guidance)
        if self.bank is not None:
            act = inject(self.bank, key, self.value_mask)
            return self.backbone.velocity(z, where.t, text, self.guidance, act)
        both = torch.cat([self.known.at(key), z])
        times = (self.plan.time_of(key), where.t)
        guidance = (self.options.inversion_guidance, self.guidance)
        texts = self.texts[[SOURCE, sentence]]
        return self.backbone.velocity(both, times, texts, guidance, dual(self.value_mask))[1:]

    def fuse(self, z: Tensor, arrival: Arrival) -> Tensor | None:
        """Eq. 13 in the first T steps: the source's latents outside the mask."""
        if not self.plan.fuses_latents(arrival.step):
            return None
        on_line = self.options.source_path == "line"
        source = self.known.line(arrival.t / self.plan.last) if on_line else self.known.path[arrival.node, None]
        return torch.lerp(source, z, self.mask.latents)
