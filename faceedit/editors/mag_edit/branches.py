"""The two branches of one edit: the reconstruction's attention, and the editing branch that takes it over."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from math import isqrt
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from faceedit.attention.align import Alignment
from faceedit.attention.call import Layer
from faceedit.attention.control import AttentionControl
from faceedit.attention.inject import Injection, Maps
from faceedit.editors.mag_edit.constraints import Word, constraint_loss, spatial_ratio, token_ratio
from faceedit.editors.mag_edit.edit_words import EditWords
from faceedit.editors.mag_edit.plan import MagPlan
from faceedit.samplers.blended import latent_mask
from faceedit.samplers.ddim import guided


@dataclass(frozen=True)
class Texts:
    """Token features [1, 77, D] of the sentences of an edit."""

    source: Tensor
    target: Tensor
    negative: Tensor


class Branches:
    """What one edit does with the UNet; made anew for every edit.

    Args:
        backbone: a `StableDiffusion`.
        texts: its sentences.
        null: [1, 77, D], the null embedding where it is the same at all steps, else None.
        words: columns that are read and taken over.
        plan: when and how much.
        mask: float32 [1, 1, S, S].
        options: uses `balance`, `self_side`, `reweight` and `exact_reference`.
    """

    def __init__(
        self,
        backbone: Any,
        texts: Texts,
        null: Tensor | None,
        words: EditWords,
        plan: MagPlan,
        mask: Tensor,
        options: Any,
    ) -> None:
        self.backbone, self.texts, self.words, self.plan = backbone, texts, words, plan
        self.plain: bool = options.exact_reference
        self.self_side: int = options.self_side
        self.pair = None if null is None else torch.cat([null, texts.target])
        constant = [texts.source, texts.target, texts.negative, *([] if self.pair is None else [self.pair])]
        self.control = AttentionControl(backbone.unet, [] if self.plain else constant, explicit=self.plain)
        self.constraint = token_ratio if plan.constraint == "token" else partial(spatial_ratio, balance=options.balance)
        # A region that is too small for any cell of a grid keeps its strongest one.
        grids = {side: latent_mask(mask, (side, side), 0.5) for side in plan.sides}
        self.mask_at = {side * side: rearrange(grid, "1 1 h w -> (h w)") for side, grid in grids.items()}
        self.weights = self._column_weights(options.reweight)
        self.seen: Tensor | None = None

    def reconstruction(self, i: int, z: Tensor, t: Tensor) -> tuple[Maps, Maps]:
        """Cross- and self-attention of the reconstruction branch at step `i` as far as it is taken over, [heads, q, k].

        Args:
            i: step, from 0.
            z: float32 [1, C, h, w], the branch's latents.
            t: timestep.
        """
        plan = self.plan

        def wanted(layer: Layer) -> bool:
            return i < plan.cross_until if layer.cross else i < plan.own_until and layer.side <= self.self_side

        if i >= max(plan.cross_until, plan.own_until):
            return {}, {}
        with torch.no_grad(), self.control.recording(wanted) as maps:
            self.backbone.predict_noise(z, t, self.texts.source)
        # The plain way keeps every map; what is not wanted is left out here.
        kept = {name: m for name, m in maps.items() if wanted(self.control.layers[name])}
        cross = {name: m for name, m in kept.items() if self.control.layers[name].cross}
        return cross, {name: m for name, m in kept.items() if name not in cross}

    def gradient_at(self, i: int, source: Tensor, t: Tensor, maps: tuple[Maps, Maps]) -> Callable[[Tensor], Tensor]:
        """The gradient of step `i` as a function of the editing branch's latents.

        Args:
            i: step, from 0.
            source: the reconstruction's latents, from which the plain way makes the maps again every time.
            t: timestep.
            maps: what `reconstruction` gave.
        """
        return lambda z: self.gradient(z, t, self.reconstruction(i, source, t) if self.plain else maps)

    def gradient(self, z: Tensor, t: Tensor, maps: tuple[Maps, Maps]) -> Tensor:
        """∇_z of λ_p L - λ_ng L_ng (eqs 5 to 7) at the editing branch's latents, float32 [1, C, h, w]."""
        total = torch.zeros_like(z)
        if self.words.new:
            g = self._gradient_of(z, t, self.texts.target, self.words.alignment, self.words.new, maps)
            total = total + self.plan.scale * g
        if self.words.lost:
            words = self.words
            g = self._gradient_of(z, t, self.texts.negative, words.negative_alignment, words.lost, maps)
            total = total - self.plan.negative_scale * g
        return total

    def predict(self, i: int, z: Tensor, t: Tensor, null: Tensor, maps: tuple[Maps, Maps], scale: float) -> Tensor:
        """Guided ε [1, C, h, w] of the editing branch with the reconstruction's attention in its conditional half."""
        text = torch.cat([null, self.texts.target]) if self.pair is None else self.pair
        both = torch.cat([z, z])
        if i >= max(self.plan.cross_until, self.plan.own_until):
            eps = self.backbone.predict_noise(both, t, text)
        else:
            injection = Injection.of(*maps, self.words.alignment, self.weights)
            watched = self.plan.sides if maps[0] else ()
            with self.control.injecting(injection, watched) as seen:
                eps = self.backbone.predict_noise(both, t, text)
            if self.words.new and seen:
                self.seen = attention_picture(seen, self.words.new)
        uncond, cond = eps.chunk(2)
        return guided(uncond, cond, scale)

    def _gradient_of(
        self, z: Tensor, t: Tensor, text: Tensor, alignment: Alignment, words: Sequence[Word], maps: tuple[Maps, Maps]
    ) -> Tensor:
        z = z.detach().requires_grad_()
        injection = Injection.of(*maps, alignment, self.weights if text is self.texts.target else None)
        with torch.enable_grad():
            with self.control.injecting(injection, self.plan.sides, only_maps=True) as seen:
                self.backbone.predict_noise(z, t, text)
            loss = constraint_loss(seen, words, self.mask_at, self.constraint)
        (g,) = torch.autograd.grad(loss, z)
        self.seen = attention_picture({name: m.detach() for name, m in seen.items()}, words)
        return g

    def _column_weights(self, factor: float) -> Tensor | None:
        """Factors on the target's columns for attention re-weighting, or None where nothing is re-weighted."""
        if factor == 1:
            return None
        weights = torch.ones(self.texts.target.shape[1], device=self.texts.target.device)
        weights[[token for word in self.words.new for token in word.tokens]] = factor
        return weights


def attention_picture(maps: Maps, words: Sequence[Word]) -> Tensor:
    """Mean map of the words over heads, tokens and the layers of the largest side, float32 [side, side], at most 1."""
    queries = max(m.shape[1] for m in maps.values())
    tokens = [token for word in words for token in word.tokens]
    mean = torch.stack([m[..., tokens].mean((0, 2)) for m in maps.values() if m.shape[1] == queries]).mean(0)
    return rearrange(mean / mean.max(), "(h w) -> h w", h=isqrt(queries))
