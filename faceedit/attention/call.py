"""One call of one attention layer, with its queries, keys, values and softmax in reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from faceedit.attention.layer import split_heads


@dataclass(frozen=True)
class Layer:
    """An attention layer as it comes up in a pass: its processor's name, its feature map's side, text or own keys."""

    name: str
    side: int
    cross: bool


@dataclass(frozen=True)
class Call:
    """What a layer's processor is called with.

    Attributes:
        layer: which one.
        attn: the diffusers `Attention` with its projections.
        hidden: [B, n, C], what the queries come from.
        keys_from: [B, k, D], what keys and values come from: the text, or `hidden` itself.
    """

    layer: Layer
    attn: Any
    hidden: Tensor
    keys_from: Tensor

    def queries(self, rows: slice = slice(None)) -> Tensor:
        """[rows, heads, n, d]."""
        return split_heads(self.attn, self.attn.to_q(self.hidden[rows]))

    def keys_and_values(self) -> tuple[Tensor, Tensor]:
        """Two of [B, heads, k, d]."""
        return split_heads(self.attn, self.attn.to_k(self.keys_from)), self.values()

    def values(self) -> Tensor:
        """[B, heads, k, d]."""
        return split_heads(self.attn, self.attn.to_v(self.keys_from))

    def softmax(self, q: Tensor, k: Tensor) -> Tensor:
        """Weights float32 [B, heads, n, k], whatever the network runs in."""
        scores: Tensor = q.float() @ k.float().transpose(-1, -2) * self.attn.scale
        return scores.softmax(-1)


class TextCache:
    """Keys and values of texts that do not change, made once per layer.

    Args:
        texts: the very tensors [B, k, D] that the network will be called with.
    """

    def __init__(self, texts: Sequence[Tensor]) -> None:
        self.texts = tuple(texts)
        self._found: dict[tuple[str, int], tuple[Tensor, Tensor]] = {}

    def keys_and_values(self, call: Call) -> tuple[Tensor, Tensor]:
        """Those of a call, two of [B, heads, k, d]."""
        number = next((i for i, text in enumerate(self.texts) if text is call.keys_from), None)
        if number is None:
            return call.keys_and_values()
        place = (call.layer.name, number)
        if place not in self._found:
            self._found[place] = call.keys_and_values()
        return self._found[place]
