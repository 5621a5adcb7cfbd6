"""The mean cross-attention of chosen tokens, read beside a running network (CA-Edit eqs 7 and 11)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from einops import reduce
from torch import Tensor, nn

from faceedit.attention.capture import CROSS_ATTENTION
from faceedit.attention.layer import split_heads
from faceedit.errors import UsageError


@dataclass
class ContentAttention:
    """What the layers of the latest pass gave, one map [B, side, side] each."""

    maps: list[Tensor] = field(default_factory=list)

    def mean(self, size: tuple[int, int]) -> Tensor:
        """A_txt: the mean over the layers, each bilinearly resized to `size`; float32 [B, h, w] in [0, 1].

        The layers' maps are forgotten, so that the next pass starts afresh.
        """
        by_side: dict[int, list[Tensor]] = {}
        for values in self.maps:
            by_side.setdefault(values.shape[-1], []).append(values)
        # Resizing is linear: the maps of one size are summed first and resized once.
        sums = [torch.stack(maps).sum(0)[:, None] for maps in by_side.values()]
        grown = [F.interpolate(total, size, mode="bilinear", align_corners=False)[:, 0] for total in sums]
        mean = torch.stack(grown).sum(0) / len(self.maps)
        self.maps.clear()
        return mean


def text_layers(net: Any) -> list[Any]:
    """The attention modules by which a network reads its text; none in BrushNet's layout."""
    suffix = f".{CROSS_ATTENTION.partition('.')[0]}"
    return [module for name, module in net.named_modules() if name.endswith(suffix)]


@contextmanager
def content_attention(layers: Sequence[Any], rows: slice, tokens: Sequence[int]) -> Iterator[ContentAttention]:
    """Reads the mean attention of some tokens over heads and layers while a network runs, and changes nothing in it.

    Queries and keys are taken where the layers compute them, and only the softmax of the rows asked for is computed
    once more; processors, whichever they are, stay in place and the network's answer is the same to the last bit.

    Args:
        layers: of `text_layers`, all that are to count.
        rows: rows of the batch, e.g. those with the target sentence.
        tokens: positions in the sentence, at least one. The mean over all positions would be the same constant at every
            cell, 1 over their number, since a softmax sums to 1.

    Raises:
        UsageError: no layer reads text, or no token is named.
    """
    if not layers:
        raise UsageError("this network has no cross-attention layer", "maps need a text-conditioned network")
    if not tokens:
        raise UsageError("the sentence has no word to look for", "name the attribute in words")
    seen = ContentAttention()
    hooks = [hook for layer in layers for hook in _hooks(layer, rows, list(tokens), seen.maps)]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def _hooks(layer: Any, rows: slice, tokens: list[int], maps: list[Tensor]) -> list[Any]:
    """Two hooks that turn a layer's query and key into its map; the query comes first in every processor."""
    queries: list[Tensor] = []

    def keep_query(_module: nn.Module, _args: Any, q: Tensor) -> None:
        queries.append(q.detach()[rows])

    def add_map(_module: nn.Module, _args: Any, k: Tensor) -> None:
        maps.append(_map(layer, queries.pop(), k.detach()[rows], tokens))

    return [layer.to_q.register_forward_hook(keep_query), layer.to_k.register_forward_hook(add_map)]


@torch.no_grad()
def _map(layer: Any, q: Tensor, k: Tensor, tokens: list[int]) -> Tensor:
    """Softmax over all tokens (Vaswani et al. 2017, eq. 1), then the mean of the chosen ones over the heads."""
    q, k = (split_heads(layer, x).float() for x in (q, k))
    weights = (q * layer.scale @ k.transpose(-1, -2)).softmax(-1)
    share = torch.zeros(k.shape[2], device=k.device)
    share[tokens] = 1 / len(tokens)
    side = round(q.shape[2] ** 0.5)
    mean: Tensor = reduce(weights @ share, "b heads (h w) -> b h w", "mean", h=side)
    return mean
