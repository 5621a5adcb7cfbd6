"""What an editing branch takes from a reconstruction branch's attention (Prompt-to-Prompt; MAG-Edit eq. 4).

All maps are those of the conditional branch: the last row of a batch. Rows before it run as they always do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from faceedit.attention.align import Alignment
from faceedit.attention.call import Call, Layer, TextCache

Maps = dict[str, Tensor]
"""Processor's name -> softmax weights, float32 [heads, side * side, keys], in the order in which the layers ran."""


class EnoughError(Exception):
    """Ends a pass that has seen all that it was started for; never leaves `AttentionControl`."""


@dataclass(frozen=True)
class Injection:
    """What the editing branch takes over at one step.

    Attributes:
        cross: reconstructed cross-attention by layer, its columns already those of the target sentence.
        own: reconstructed self-attention by layer, taken over whole.
        common: bool [tokens], the columns that are taken over.
        weights: float32 [tokens], factors on the columns afterwards (attention re-weighting), or None.
    """

    cross: Mapping[str, Tensor] = field(default_factory=dict)
    own: Mapping[str, Tensor] = field(default_factory=dict)
    common: Tensor | None = None
    weights: Tensor | None = None

    @staticmethod
    def of(
        cross: Mapping[str, Tensor], own: Mapping[str, Tensor], alignment: Alignment, weights: Tensor | None
    ) -> Injection:
        """From the reconstruction branch's maps over the source sentence's tokens."""
        if not cross:
            return Injection(own=own)
        device = next(iter(cross.values())).device
        source_of, common = alignment.source_of.to(device), alignment.common.to(device)
        return Injection({name: m[..., source_of] for name, m in cross.items()}, own, common, weights)

    def mixed(self, layer: str, weights: Tensor) -> Tensor:
        """Eq. 4: the reconstruction's columns for common tokens, the branch's own for new ones.

        As in the released code the rows are not brought back to a sum of 1.

        Args:
            layer: whose map it is.
            weights: float32 [heads, side * side, tokens] of the editing branch.
        """
        if layer not in self.cross or self.common is None:
            return weights
        weights = torch.where(self.common, self.cross[layer], weights)
        return weights if self.weights is None else weights * self.weights


@dataclass
class Recording:
    """A pass that keeps the wanted maps of the last row, and ends after the layer `stop`."""

    wanted: Callable[[Layer], bool]
    stop: str | None
    explicit: bool
    maps: Maps = field(default_factory=dict)

    def attend(self, call: Call, cache: TextCache) -> Tensor:
        """The heads' answer [B, heads, n, d]."""
        k, v = cache.keys_and_values(call)
        q = call.queries()
        if not (self.explicit or self.wanted(call.layer)):
            return F.scaled_dot_product_attention(q, k, v, scale=call.attn.scale)
        weights = call.softmax(q, k)
        self.maps[call.layer.name] = weights[-1]
        if call.layer.name == self.stop:
            raise EnoughError
        return weights.to(v.dtype) @ v


@dataclass
class Injecting:
    """A pass that puts the reconstruction's maps into the last row and keeps the cross-attention of watched sides."""

    injection: Injection
    watched: frozenset[int]
    stop: str | None
    explicit: bool
    maps: Maps = field(default_factory=dict)
    _everything: Maps = field(default_factory=dict)

    def attend(self, call: Call, cache: TextCache) -> Tensor:
        """The heads' answer [B, heads, n, d]."""
        name = call.layer.name
        watched = call.layer.cross and call.layer.side in self.watched
        if self.explicit:
            return self._openly(call, cache, watched)
        if name in self.injection.own:
            # The weights are given: of this layer only the values are needed.
            v = call.values()
            return _rows(call, v, lambda: self.injection.own[name].to(v.dtype) @ v[-1:], call.keys_and_values)
        k, v = cache.keys_and_values(call)
        if not (watched or name in self.injection.cross):
            return F.scaled_dot_product_attention(call.queries(), k, v, scale=call.attn.scale)
        weights = self.injection.mixed(name, call.softmax(call.queries(slice(-1, None)), k[-1:])[0])
        if watched:
            self.maps[name] = weights
        if name == self.stop:
            raise EnoughError
        return _rows(call, v, lambda: weights.to(v.dtype) @ v[-1:], lambda: (k, v))

    def _openly(self, call: Call, cache: TextCache, watched: bool) -> Tensor:
        """The plain way: every map is made and kept, then replaced."""
        name = call.layer.name
        k, v = cache.keys_and_values(call)
        every = call.softmax(call.queries(), k)
        weights = self.injection.own.get(name)
        if weights is None:
            weights = self.injection.mixed(name, every[-1]) if call.layer.cross else every[-1]
        self._everything[name] = weights
        if watched:
            self.maps[name] = weights
        mixed = weights[None] if len(every) == 1 else torch.cat([every[:-1], weights[None]])
        return mixed.to(v.dtype) @ v


def _rows(
    call: Call, v: Tensor, last: Callable[[], Tensor], keys_and_values: Callable[[], tuple[Tensor, Tensor]]
) -> Tensor:
    """The last row's own answer below the fused attention of those before it."""
    if len(v) == 1:
        return last()
    k, _ = keys_and_values()
    above = F.scaled_dot_product_attention(call.queries(slice(0, -1)), k[:-1], v[:-1], scale=call.attn.scale)
    return torch.cat([above, last()])
