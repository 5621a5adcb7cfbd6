"""CA-Edit: a reference net and the causality-aware condition adapter beside a frozen UNet, blended, with STFG."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from torch import Tensor

from faceedit.attention.ca2 import Seen, condition_adapter
from faceedit.editors.base import Trajectory
from faceedit.editors.blended_editor import BlendedEditor
from faceedit.editors.ca_edit.conditions import Conditions, end_positions, known_surroundings, visual_keys
from faceedit.editors.ca_edit.parts import Parts, choose_parts
from faceedit.models.condition_adapter import VisualKeys
from faceedit.models.residual_unet import predict_with_residuals
from faceedit.models.stable_diffusion import StableDiffusion
from faceedit.request import EditText


class CaPredictor:
    """ε_θ(z_t, t, txt, x) of CA-Edit: the frozen UNet with the residuals of a reference net that CA² works in.

    Args:
        parts: the networks.
        backbone: of the frozen UNet.
        conditions: of this edit.
        options: the recipe's section `ca_edit`.
    """

    def __init__(self, parts: Parts, backbone: StableDiffusion, conditions: Conditions, options: Any) -> None:
        self.parts, self.backbone, self.conditions, self.options = parts, backbone, conditions, options
        self.text_net = parts.host
        self.maps: dict[str, Tensor] = {}

    def __call__(self, z: Tensor, t: Tensor, text: Tensor) -> Tensor:
        """ε, as `NoisePredictor` says; rows are [unconditional, conditional] halves, or all of the one kind."""
        net, unet = self.parts.reference_net, self.parts.unet
        told = self.conditions.for_rows(len(z))
        x = z.to(self.backbone.dtype)
        with self._adapted(told, text) as seen:
            if net is None:
                eps: Tensor = unet(x, t, encoder_hidden_states=text).sample
            else:
                residuals = net(x, t, text, told.known)
                eps = predict_with_residuals(unet, x, t, text, residuals)
        if seen is not None and seen.scores:
            conditional = seen.mean_score((z.shape[2], z.shape[3]))[-(len(z) // self.conditions.kinds) :]
            self.maps = {"score": conditional.detach().mean(0)}
        return eps.float()

    @contextmanager
    def _adapted(self, told: Conditions, text: Tensor) -> Iterator[Seen | None]:
        adapter = self.parts.adapter
        if adapter is None:
            yield None
            return
        with condition_adapter(
            self.parts.host,
            adapter,
            told.visual,
            told.pooled(text),
            told.mask,
            score=self.parts.score,
            value=self.options.fixed_score,
            normalisation=self.options.score_scale,
        ) as seen:
            yield seen


class CaEditor(BlendedEditor[CaPredictor]):
    """CA-Edit; what its weights do not hold it does without, and `notes` say so.

    Args:
        recipe: uses what `BlendedEditor` does, and `ca_edit`.
        components: an SD 1.x backbone with 4 channels; `reference_net`, `adapter` and `vision` where there are any.

    Raises:
        UsageError: a 9-channel UNet.
        WeightsError: parts that do not fit each other.
    """

    def __init__(self, recipe: Any, components: Any) -> None:
        super().__init__(recipe, components)
        self.ca_options = recipe.ca_edit
        self.parts = choose_parts(components, recipe.ca_edit, seam=recipe.stfg.enabled)
        self.notes = self.parts.notes

    def predictor(self, trajectory: Trajectory, edit: EditText, pixel_mask: Tensor, mask: Tensor) -> CaPredictor:
        """The networks with the conditions of this edit; the picture is encoded here and at no step."""
        pixels, parts, dtype = trajectory.pixels, self.parts, self.backbone.dtype
        known: Tensor | None = None
        visual: VisualKeys = {}
        if parts.reference_net is not None:
            known = known_surroundings(self.backbone, pixels, pixel_mask, mask).to(dtype)
        if parts.adapter is not None:
            shown = pixels * (pixel_mask < 0.5) if self.ca_options.vision == "blanked" else pixels
            visual = visual_keys(self.components, parts.adapter, shown, self.ca_options.unguided_vision)
        ends = end_positions(self.backbone.tokenizer, [self.away(edit), edit.target])
        return CaPredictor(parts, self.backbone, Conditions(known, mask, visual, ends), self.ca_options)

    def source_predictor(self, predict: CaPredictor, trajectory: Trajectory) -> CaPredictor:
        """The same networks and mask under the source sentence: inversion and sampling follow the same field."""
        ends = end_positions(self.backbone.tokenizer, [trajectory.source])
        conditions = replace(predict.conditions.conditional(), ends=ends)
        return CaPredictor(self.parts, self.backbone, conditions, self.ca_options)
