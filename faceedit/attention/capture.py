"""Cross-attention maps of a diffusers UNet, captured while it runs."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from faceedit.attention.layer import installed, project_out
from faceedit.errors import UsageError

CROSS_ATTENTION = "attn2.processor"


@dataclass(frozen=True)
class AttentionMap:
    """One layer's softmax over the tokens.

    Attributes:
        layer: the processor's name in `unet.attn_processors`.
        side: height and width of the layer's feature map.
        weights: float [B, heads, side * side, tokens], rows sum to 1; keeps its gradient.
    """

    layer: str
    side: int
    weights: Tensor


@dataclass
class Captured:
    """The maps of the latest forward passes, in the order in which the layers ran."""

    maps: list[AttentionMap] = field(default_factory=list)

    def clear(self) -> None:
        """Forget what was captured; call it between forward passes that are not to be mixed."""
        self.maps.clear()

    def at(self, side: int) -> list[AttentionMap]:
        """The maps of one size.

        Raises:
            UsageError: no captured layer has that size.
        """
        found = [m for m in self.maps if m.side == side]
        if not found:
            sides = sorted({m.side for m in self.maps})
            raise UsageError(f"no cross-attention layer works at {side} x {side}", f"the captured sizes are: {sides}")
        return found

    def mean(self, side: int) -> Tensor:
        """Average over the layers of one size and their heads, [B, side * side, tokens]."""
        return torch.stack([m.weights.mean(1) for m in self.at(side)]).mean(0)


@contextmanager
def capture_cross_attention(unet: Any, sides: Collection[int]) -> Iterator[Captured]:
    """Capture the maps of all cross-attention layers whose feature map is as large as one of `sides`.

    Those layers compute their softmax openly; the others keep their own processor. The UNet's processors are put back
    when the block is left, whatever happens in it.

    Raises:
        UsageError: the UNet has no cross-attention layer.
    """
    captured = Captured()
    processors = {
        name: _Capturing(name, inner, frozenset(sides), captured)
        for name, inner in unet.attn_processors.items()
        if name.endswith(CROSS_ATTENTION)
    }
    if not processors:
        raise UsageError("this UNet has no cross-attention layer", "maps need a text-conditioned UNet")
    with installed(unet, processors):
        yield captured


class _Capturing:
    """Stands in for one layer's processor (Vaswani et al. 2017, eq. 1, with the softmax kept)."""

    def __init__(self, layer: str, inner: Any, sides: frozenset[int], captured: Captured) -> None:
        self.layer, self.inner, self.sides, self.captured = layer, inner, sides, captured

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        **kwargs: Any,
    ) -> Tensor:
        side = round(hidden_states.shape[1] ** 0.5)
        if side not in self.sides or side * side != hidden_states.shape[1] or encoder_hidden_states is None:
            result: Tensor = self.inner(attn, hidden_states, encoder_hidden_states, attention_mask, **kwargs)
            return result
        text = attn.norm_encoder_hidden_states(encoder_hidden_states) if attn.norm_cross else encoder_hidden_states
        mask = attn.prepare_attention_mask(attention_mask, text.shape[1], len(text))
        q, k, v = (attn.head_to_batch_dim(x) for x in (attn.to_q(hidden_states), attn.to_k(text), attn.to_v(text)))
        weights = attn.get_attention_scores(q, k, mask)
        self.captured.maps.append(
            AttentionMap(self.layer, side, rearrange(weights, "(b h) q t -> b h q t", h=attn.heads))
        )
        heads = rearrange(torch.bmm(weights, v), "(b h) n d -> b h n d", h=attn.heads)
        return project_out(attn, heads, hidden_states)
