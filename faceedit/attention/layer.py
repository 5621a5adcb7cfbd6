"""What all attention processors share: heads taken apart and put together, and a place in a network for a while."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from einops import rearrange
from torch import Tensor


def split_heads(attn: Any, x: Tensor) -> Tensor:
    """A layer's projection [B, n, heads * d] as [B, heads, n, d]."""
    return rearrange(x, "b n (h d) -> b h n d", h=attn.heads)


def project_out(attn: Any, heads: Tensor, hidden: Tensor) -> Tensor:
    """A layer's answer [B, n, C], as diffusers' own processors end.

    Args:
        attn: the diffusers `Attention`.
        heads: what its heads answer, [B, heads, n, d].
        hidden: what the layer was called with, [B, n, C], added where the layer has a residual connection.
    """
    projection, dropout = attn.to_out
    out = dropout(projection(rearrange(heads, "b h n d -> b n (h d)")))
    if attn.residual_connection:
        out = out + hidden
    result: Tensor = out / attn.rescale_output_factor
    return result


@contextmanager
def installed(net: Any, processors: Mapping[str, Any]) -> Iterator[None]:
    """The block in which a network runs with some processors exchanged; it has its own back after it.

    Args:
        net: a diffusers model with `attn_processors`.
        processors: by the names of `net.attn_processors`; layers that it does not name keep their own.
    """
    before = dict(net.attn_processors)
    # set_attn_processor empties the mapping that it is given.
    net.set_attn_processor({**before, **processors})
    try:
        yield
    finally:
        net.set_attn_processor(before)
