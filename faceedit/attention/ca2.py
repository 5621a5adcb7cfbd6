"""CA²: visual attention beside the text's, held back inside the mask by a score (CA-Edit eqs 2 to 6)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from faceedit.attention.layer import installed, project_out, split_heads
from faceedit.errors import UsageError, WeightsError
from faceedit.models.condition_adapter import AdapterLayer, ConditionAdapter, VisualKeys, cross_attention_layers

SCORES = ("learned", "fixed", "none")
NORMALISATIONS = ("softmax", "spatial_minmax")


@dataclass
class Seen:
    """What the latest forward pass saw, by IP-Adapter's layer number.

    Attributes:
        scores: Score of eq. 3, [B, h, w] in [0, 1], before the mask; keeps its gradient. Empty unless learned.
    """

    scores: dict[str, Tensor] = field(default_factory=dict)

    def mean_score(self, size: tuple[int, int]) -> Tensor:
        """Average of the layers' scores at one size, [B, h, w]."""
        return torch.stack([_resized(score, size) for score in self.scores.values()]).mean(0)


@contextmanager
def condition_adapter(
    net: Any,
    adapter: ConditionAdapter,
    visual: Tensor | VisualKeys,
    pooled: Tensor,
    mask: Tensor,
    score: str = "learned",
    value: float = 1.0,
    normalisation: str = "softmax",
) -> Iterator[Seen]:
    """CA² on all cross-attention layers of a net while the block runs; its processors are put back afterwards.

    A layer answers Z = F_txt + F_vis * (1 - Score * M) (eqs 5 and 6). Scaling a position's whole row of visual
    attention weights is the same as scaling its sum of values, so no attention matrix is made. Where M is 0 this is
    IP-Adapter, where Score = M = 1 the text alone.

    Args:
        net: reference net or UNet that the adapter was made for.
        adapter: on the net's device, in its dtype.
        visual: tokens f_vis [B, n, D] from `adapter.visual_tokens`, or what `adapter.project_kv` makes of them: those
            are the same at every timestep.
        pooled: pooled text [B, P], for the unconditional half that of ""; read only by a learned score.
        mask: M, float [B or 1, 1, h, w] in [0, 1], 1 = edit, at the latents' size; area-averaged for smaller layers.
        score: learned: the score predictor (eq. 3); fixed: `value` everywhere; none: nothing is held back (parallel
            injection).
        value: the fixed score in [0, 1].
        normalisation: softmax: over the two logits of a position; spatial_minmax: their difference, stretched over the
            positions of a picture so that the least is 0 and the most 1 (0 where all are equal).

    Raises:
        WeightsError: the adapter belongs to another net, or holds no score predictor and `score` is learned.
        UsageError: an unknown score or normalisation, or a net without cross-attention.
    """
    for given, known in ((score, SCORES), (normalisation, NORMALISATIONS)):
        if given not in known:
            raise UsageError(f"unknown score {given!r}", f"it must be one of {', '.join(known)}")
    if score == "learned" and not adapter.has_score:
        raise WeightsError("these adapter weights hold no score predictor", "set ca_edit.score to fixed or none")
    layers = cross_attention_layers(net)
    widths = {number: attn.to_q.out_features for number, attn in layers.items()}
    if widths != dict(adapter.config.widths):
        raise WeightsError(
            f"the adapter has layers {dict(adapter.config.widths)}, this net {widths}",
            "take an adapter that was made for this net",
        )
    keys = adapter.project_kv(visual) if isinstance(visual, Tensor) else visual
    gate = _Gate(score, value, normalisation, pooled, _pyramid(mask))
    seen = Seen()
    processors = {
        name: _Ca2(str(number), adapter.layer(str(number)), keys[str(number)], gate, seen)
        for number, name in enumerate(net.attn_processors)
        if str(number) in layers
    }
    with installed(net, processors):
        yield seen


@dataclass(frozen=True)
class _Gate:
    """1 - Score * M of eq. 5; `masks` by number of positions."""

    score: str
    value: float
    normalisation: str
    pooled: Tensor
    masks: dict[int, Tensor]

    def mask(self, Z: Tensor) -> Tensor:
        """M at a layer's size, [B or 1, h, w]."""
        return self.masks[Z.shape[1]].to(Z)

    def scores(self, layer: AdapterLayer, Z: Tensor) -> Tensor | float:
        """Score [B, n] of eq. 3 for hidden states Z [B, n, C], or one for all."""
        if self.score != "learned":
            return self.value if self.score == "fixed" else 0.0
        logits = layer.logits(Z, self.pooled.to(Z))
        if self.normalisation == "softmax":
            return logits.softmax(-1)[..., 1]
        contrast = logits[..., 1] - logits[..., 0]
        low, high = contrast.amin(1, keepdim=True), contrast.amax(1, keepdim=True)
        return (contrast - low) / (high - low).clamp_min(1e-6)


@dataclass(frozen=True)
class _Ca2:
    """Stands in for one cross-attention layer's processor."""

    number: str
    layer: AdapterLayer
    visual: tuple[Tensor, Tensor]
    gate: _Gate
    seen: Seen

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        **_kwargs: Any,
    ) -> Tensor:
        Z, f_txt = hidden_states, encoder_hidden_states
        Q, K_txt, V_txt, K_vis, V_vis = (
            split_heads(attn, x) for x in (attn.to_q(Z), attn.to_k(f_txt), attn.to_v(f_txt), *self.visual)
        )
        F_txt = F.scaled_dot_product_attention(Q, K_txt, V_txt, attn_mask=attention_mask)
        F_vis = F.scaled_dot_product_attention(Q, K_vis, V_vis)
        M = self.gate.mask(Z)
        score = self.gate.scores(self.layer, Z)
        if isinstance(score, Tensor):
            self.seen.scores[self.number] = rearrange(score, "b (h w) -> b h w", h=M.shape[1])
        open_ = 1 - score * rearrange(M, "b h w -> b (h w)")
        return project_out(attn, F_txt + rearrange(open_, "b n -> b 1 n 1") * F_vis, Z)


def _pyramid(mask: Tensor) -> dict[int, Tensor]:
    """Number of positions -> M [B, h, w], for the latents' size and each halving of it that a UNet makes."""
    h, w = mask.shape[-2:]
    found = {h * w: mask[:, 0]}
    while h * w > 1:
        h, w = (h + 1) // 2, (w + 1) // 2
        found[h * w] = F.adaptive_avg_pool2d(mask, (h, w))[:, 0]
    return found


def _resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    """Maps [B, h, w] in float32 at another size, bilinear."""
    return F.interpolate(maps[:, None].float(), size, mode="bilinear", antialias=False)[:, 0]
