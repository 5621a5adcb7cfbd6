"""Skin transition frequency guidance around any editor's noise prediction (CA-Edit eqs 7 to 10)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from faceedit.attention.align import find_words
from faceedit.attention.content import ContentAttention, content_attention, text_layers
from faceedit.request import EditText
from faceedit.samplers.ddim import alphas_cumprod, predict_z0
from faceedit.samplers.low_pass import centred_band, low_pass, quadrant_band
from faceedit.samplers.stfg import (
    boundary_region,
    boundary_region_appendix,
    boundary_region_least,
    closed_form_gradient,
    guided_by_seam,
    network_gradient,
    relative_strength,
)

REGIONS = {"inside": boundary_region, "least": boundary_region_least, "appendix": boundary_region_appendix}


class SeamGuidance:
    """STFG for one edit; what does not change over the steps, z'_0 first of all, is computed once.

    Args:
        options: the recipe's section `stfg`.
        net: the network whose attention to the text bounds the region: the reference net, or the UNet.
        tokenizer: of the text encoder.
        edit: its words say which tokens count.
        z0: clean latents of the original, float32 [1, C, h, w].
        mask: on the latent grid, float32 [1, 1, h, w].
        candidates: rows per half of a guided batch.
        scheduler_config: for ᾱ.
    """

    def __init__(
        self,
        options: Any,
        net: Any,
        tokenizer: Any,
        edit: EditText,
        z0: Tensor,
        mask: Tensor,
        candidates: int,
        scheduler_config: Mapping[str, Any],
    ) -> None:
        self.options, self.layers = options, text_layers(net)
        self.rows, self.tokens = named_in(tokenizer, edit, options.words, candidates)
        self.mask = mask[0, 0]
        self.size = (z0.shape[2], z0.shape[3])
        self.band = quadrant_band(self.size) if options.band == "quadrant" else centred_band(self.size, options.radius)
        self.low_original = low_pass(z0, self.band)
        self.alpha_bar = alphas_cumprod(scheduler_config)
        self.maps: dict[str, Tensor] = {}

    def __call__(self, denoise: Callable[[Tensor], Tensor], z: Tensor, t: Tensor) -> Tensor:
        """ε̂ of eq. 10; afterwards `maps` holds this step's "attention" and "boundary", averaged over the candidates.

        Args:
            denoise: z_t [B, C, h, w] -> ε of the same shape, classifier-free guidance included; runs `net` once.
            z: z_t.
            t: its timestep, a scalar.
        """
        alpha_bar = self.alpha_bar[t.cpu()]
        with content_attention(self.layers, self.rows, self.tokens) as seen:
            if self.options.gradient == "networks":
                eps, region, gradient = network_gradient(
                    denoise, lambda: self._region(seen), z, self.low_original, self.band, alpha_bar
                )
            else:
                eps = denoise(z)
                region, gradient = self._region(seen), None
        low = low_pass(predict_z0(z, eps, alpha_bar), self.band)
        if gradient is None:
            gradient = closed_form_gradient(low, self.low_original, region, self.band, alpha_bar)
        strength: Tensor | float = self.options.strength
        if self.options.unit == "relative":
            strength = relative_strength(
                self.options.strength, eps, gradient, low - self.low_original, region, self.band, alpha_bar
            )
        sign = 1 if self.options.sign == "falling" else -1
        return guided_by_seam(eps, gradient, sign * strength, alpha_bar)

    def _region(self, seen: ContentAttention) -> Tensor:
        """Idx, bool [B, h, w], of the pass that has just run."""
        attention = seen.mean(self.size)
        region = REGIONS[self.options.threshold](attention, self.mask)
        self.maps = {"attention": attention.mean(0), "boundary": region.float().mean(0)}
        return region


def named_in(tokenizer: Any, edit: EditText, words: str, candidates: int) -> tuple[slice, tuple[int, ...]]:
    """Which rows of a batch [unconditional, conditional] hold the sentence that names the attribute, and which tokens.

    That is the target sentence; where attributes are only taken away it is the sentence that guidance leads away from.

    Args:
        words: sentence: all of its tokens between start and end; phrase: those of the attribute phrases.

    Raises:
        UsageError: a phrase is not in its sentence.
    """
    away = bool(edit.negative) and all(phrase.remove for phrase in edit.phrases)
    rows = slice(0, candidates) if away else slice(candidates, 2 * candidates)
    sentence = edit.negative if away else edit.target
    if words == "sentence":
        return rows, tuple(range(1, len(tokenizer(sentence)["input_ids"]) - 1))
    named = [phrase for phrase in edit.phrases if phrase.remove == away]
    return rows, tuple(sorted({token for phrase in named for token in find_words(tokenizer, sentence, phrase.text)}))
