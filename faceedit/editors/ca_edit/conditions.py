"""What CA-Edit's networks are told of one edit and what does not change over its steps (CA-Edit eq. 2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from einops import repeat
from torch import Tensor

from faceedit.models.clip import vision_input
from faceedit.models.condition_adapter import VisualKeys
from faceedit.models.stable_diffusion import StableDiffusion


@dataclass(frozen=True)
class Conditions:
    """The conditions of a batch's kinds of rows: [unconditional, conditional], or one kind.

    Attributes:
        known: masked-picture latents and mask [1, 5, h, w], the same for all rows; `None` without a reference net.
        mask: M on the latent grid, [1, 1, h, w].
        visual: keys and values of the visual tokens by layer, [kinds, n, C]; empty without an adapter.
        ends: position of each kind's end token, int64 [kinds].
    """

    known: Tensor | None
    mask: Tensor
    visual: VisualKeys
    ends: Tensor

    @property
    def kinds(self) -> int:
        """How many kinds of rows."""
        return len(self.ends)

    def conditional(self) -> Conditions:
        """The conditional kind alone."""
        visual = {number: (key[-1:], value[-1:]) for number, (key, value) in self.visual.items()}
        return Conditions(self.known, self.mask, visual, self.ends[-1:])

    def for_rows(self, count: int) -> Conditions:
        """The same for a batch of `count` rows, each kind's rows together."""
        k = count // self.kinds
        return Conditions(
            None if self.known is None else repeat(self.known, "1 c h w -> b c h w", b=count),
            self.mask,
            {number: (_rows(key, k), _rows(value, k)) for number, (key, value) in self.visual.items()},
            _rows(self.ends, k),
        )

    def pooled(self, text: Tensor) -> Tensor:
        """f_pool of eq. 3, [B, D]: each row's feature of the end token, after the encoder's final layer norm.

        Args:
            text: token features [B, 77, D] of as many rows as there are `ends`.
        """
        return text[torch.arange(len(text)), self.ends]


def _rows(x: Tensor, k: int) -> Tensor:
    return repeat(x, "kinds ... -> (kinds k) ...", k=k)


@torch.no_grad()
def known_surroundings(backbone: StableDiffusion, pixels: Tensor, pixel_mask: Tensor, mask: Tensor) -> Tensor:
    """Latents of the picture with the region greyed out, then the mask, [1, 5, h, w].

    The picture is greyed before it is encoded, as in training: the encoder sees beyond a cell, and latents masked
    afterwards would let the old attribute through.
    """
    return torch.cat([backbone.encode_image(pixels * (pixel_mask < 0.5)), mask], dim=1)


def end_positions(tokenizer: Any, sentences: Sequence[str]) -> Tensor:
    """Where each sentence's end token stands, int64 [B]."""
    limit = tokenizer.model_max_length
    ids = tokenizer(list(sentences), padding="max_length", max_length=limit, return_tensors="pt")["input_ids"]
    # Padding may be the end token as well: the first one ends the sentence.
    ends: Tensor = (ids == tokenizer.eos_token_id).int().argmax(1)
    return ends


@torch.no_grad()
def visual_keys(components: Any, adapter: Any, pixels: Tensor, unguided: str = "nothing") -> VisualKeys:
    """K_vis and V_vis of every layer, [2, n, C]: for the unconditional half and for the conditional one.

    Args:
        components: with the vision encoder that the adapter was trained with.
        adapter: `ConditionAdapter`.
        pixels: [1, 3, S, S] in [-1, 1].
        unguided: what the unconditional half is shown: nothing, which are zeros as in IP-Adapter, or the picture.
    """
    answer = components.vision(pixel_values=vision_input(components, pixels / 2 + 0.5))
    features = answer.image_embeds if adapter.config.tokens else answer.last_hidden_state
    first = torch.zeros_like(features) if unguided == "nothing" else features
    features = torch.cat([first, features]).to(adapter.dtype)
    keys: VisualKeys = adapter.project_kv(adapter.visual_tokens(features))
    return keys
