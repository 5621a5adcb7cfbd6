"""The weights of CA²: visual tokens, their keys and values per layer, and the score that holds them back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, cast

import torch
from diffusers import ConfigMixin, ModelMixin
from diffusers.configuration_utils import register_to_config
from einops import rearrange, repeat
from torch import Tensor, nn

from faceedit.errors import UsageError

_CROSS_ATTENTION = "attn2.processor"

# Layer number -> keys and values [B, tokens, C] of the visual tokens.
VisualKeys = Mapping[str, tuple[Tensor, Tensor]]


def cross_attention_layers(net: Any) -> dict[str, Any]:
    """IP-Adapter's number ("1", "3", ...) -> cross-attention module of a UNet or reference net.

    The number is the layer's position among all attention processors, in the order down, up, mid.

    Raises:
        UsageError: the net has none, as BrushNet's layout.
    """
    found = {
        str(number): net.get_submodule(name.removesuffix(".processor"))
        for number, name in enumerate(net.attn_processors)
        if name.endswith(_CROSS_ATTENTION)
    }
    if not found:
        raise UsageError("this net has no cross-attention layer", "CA² stands on one that looks at the text")
    return found


class ImageProjection(nn.Module):
    """A vision encoder's answer as tokens beside those of the text, by IP-Adapter's key names.

    Args:
        image_dim: width E of the embedding, or of the hidden states.
        text_dim: width D of the text's tokens.
        tokens: how many tokens one embedding becomes; 0: one per hidden state.
    """

    def __init__(self, image_dim: int, text_dim: int, tokens: int) -> None:
        super().__init__()
        self.tokens = tokens
        self.proj = nn.Linear(image_dim, text_dim * max(tokens, 1))
        self.norm = nn.LayerNorm(text_dim)

    def forward(self, features: Tensor) -> Tensor:
        """Tokens [B, n, D] of embeddings [B, E] or, where `tokens` is 0, of hidden states [B, n, E]."""
        x = self.proj(features)
        tokens: Tensor = self.norm(rearrange(x, "b (n d) -> b n d", n=self.tokens) if self.tokens else x)
        return tokens


class AdapterLayer(nn.Module):
    """One layer's keys and values for the visual tokens, and its score predictor (CA-Edit eqs 3 and 4).

    Args:
        width: C of the layer's queries.
        text_dim: D of the tokens.
        pooled_dim: P of the pooled text; 0: no score predictor.
        start: score of the fresh predictor, in (0, 1).
    """

    def __init__(self, width: int, text_dim: int, pooled_dim: int, start: float) -> None:
        super().__init__()
        self.to_k_ip = nn.Linear(text_dim, width, bias=False)
        self.to_v_ip = nn.Linear(text_dim, width, bias=False)
        if pooled_dim:
            last = nn.Linear(width, 2)
            nn.init.zeros_(last.weight)
            # The score starts the same everywhere, and where it is told to, not at the 0.5 of two zero logits.
            with torch.no_grad():
                last.bias.copy_(torch.tensor([0.0, math.log(start / (1 - start))]))
            self.score = nn.Sequential(nn.Linear(width + pooled_dim, width), nn.SiLU(), last)

    def project(self, visual: Tensor) -> tuple[Tensor, Tensor]:
        """K_vis and V_vis [B, n, C] of tokens [B, n, D] (eqs 2 and 4)."""
        return self.to_k_ip(visual), self.to_v_ip(visual)

    def logits(self, Z: Tensor, pooled: Tensor) -> Tensor:
        """Eq. 3 before its softmax, [B, n, 2] (keep, suppress) of hidden states Z [B, n, C] and pooled text [B, P]."""
        f_pool = repeat(pooled, "b p -> b n p", n=Z.shape[1])
        logits: Tensor = self.score(torch.cat([Z, f_pool], dim=-1))
        return logits


class ConditionAdapter(ModelMixin, ConfigMixin):  # type: ignore[misc]
    """The causality-aware condition adapter (CA-Edit eqs 2 to 4) with IP-Adapter's key names.

    `image_proj.{proj,norm}`, `ip_adapter.{i}.to_{k,v}_ip.weight` as published for SD 1.5, and ours beside them,
    `ip_adapter.{i}.score.{0,2}`. `faceedit.attention.ca2` puts it into a net.

    Args:
        widths: layer number -> C of that layer's queries.
        image_dim: width E of the vision encoder's embedding (or of its hidden states where `tokens` is 0).
        text_dim: D of the text's tokens.
        pooled_dim: P of the pooled text that the score predictor reads; 0: no predictor, as in IP-Adapter's files.
        tokens: visual tokens per embedding; 0: project hidden states, one token each.
        score_start: the score of a fresh predictor everywhere. The default leans to the text: an untrained gate lets
            little of the old attribute through inside the mask.
    """

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        widths: dict[str, int],
        image_dim: int,
        text_dim: int,
        pooled_dim: int = 0,
        tokens: int = 4,
        score_start: float = 0.8,
    ) -> None:
        super().__init__()
        self.image_proj = ImageProjection(image_dim, text_dim, tokens)
        self.ip_adapter = nn.ModuleDict(
            {number: AdapterLayer(width, text_dim, pooled_dim, score_start) for number, width in widths.items()}
        )

    @classmethod
    def from_net(
        cls, net: Any, image_dim: int, pooled_dim: int = 0, tokens: int = 4, score_start: float = 0.8
    ) -> ConditionAdapter:
        """A fresh adapter for a net's cross-attention layers; visual keys and values start as the text's.

        Args:
            net: reference net or UNet; the other arguments are the class's.

        Raises:
            UsageError: the net has no cross-attention.
        """
        layers = cross_attention_layers(net)
        widths = {number: attn.to_q.out_features for number, attn in layers.items()}
        text_dim = next(iter(layers.values())).to_k.in_features
        adapter: ConditionAdapter = cls(widths, image_dim, text_dim, pooled_dim, tokens, score_start)
        for number, attn in layers.items():
            layer = adapter.layer(number)
            layer.to_k_ip.weight.data.copy_(attn.to_k.weight)
            layer.to_v_ip.weight.data.copy_(attn.to_v.weight)
        return adapter

    @property
    def has_score(self) -> bool:
        """Whether it holds a score predictor; IP-Adapter's files hold none."""
        return bool(self.config.pooled_dim)

    def visual_tokens(self, features: Tensor) -> Tensor:
        """f_vis [B, n, D] of a vision encoder's embeddings [B, E], or of its hidden states where `tokens` is 0.

        The unconditional half of classifier-free guidance takes zeros for the features (IP-Adapter's way).
        """
        tokens: Tensor = self.image_proj(features)
        return tokens

    def project_kv(self, visual: Tensor) -> VisualKeys:
        """K_vis and V_vis of every layer (eqs 2 and 4) for tokens [B, n, D]; they hold for all timesteps."""
        return {number: self.layer(number).project(visual) for number in self.ip_adapter}

    def layer(self, number: str) -> AdapterLayer:
        """One layer's weights, by IP-Adapter's number."""
        return cast(AdapterLayer, self.ip_adapter[number])
