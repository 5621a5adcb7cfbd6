"""The parts that all attention processors share, against diffusers' own processor."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from diffusers.models.attention_processor import Attention
from torch import Tensor

from faceedit.attention.layer import installed, project_out, split_heads
from faceedit.models.random import random_components


class Plain:
    """Self-attention by our parts and nothing else."""

    def __call__(self, attn: Any, hidden_states: Tensor, *_: Any, **__: Any) -> Tensor:
        q, k, v = (split_heads(attn, to(hidden_states)) for to in (attn.to_q, attn.to_k, attn.to_v))
        return project_out(attn, F.scaled_dot_product_attention(q, k, v), hidden_states)


@pytest.mark.parametrize(("residual", "factor"), [(False, 1.0), (True, 1.0), (False, 2.0), (True, 2**0.5)])
def test_a_layer_ends_as_diffusers_ends_it(residual: bool, factor: float) -> None:
    """Breaks when heads are taken apart in another order, or the residual or the factor is left out."""
    torch.manual_seed(0)
    attn = Attention(24, heads=3, dim_head=8, residual_connection=residual, rescale_output_factor=factor)
    hidden = torch.randn(2, 7, 24)
    expected = attn(hidden)
    attn.set_processor(Plain())
    assert torch.equal(attn(hidden), expected)


def test_only_the_named_processors_are_exchanged_and_all_come_back() -> None:
    """Breaks when a layer that was not named loses its processor, or a failed block leaves one of ours behind."""
    unet = random_components(seed=0).unet
    before = dict(unet.attn_processors)
    name = next(iter(before))
    ours = {name: Plain()}
    with pytest.raises(ZeroDivisionError), installed(unet, ours):
        assert unet.attn_processors == {**before, **ours}
        raise ZeroDivisionError
    assert unet.attn_processors == before
    assert list(ours) == [name], "what was handed in is the caller's"
