"""Value fusion under torch.compile's own lowering, where operations that change their input are rewritten."""

from __future__ import annotations

import pytest
import torch
from diffusers import FluxTransformer2DModel
from torch._dynamo.testing import CompileCounterWithBackend

from faceedit.attention.value_bank import Key, ValueBank
from faceedit.attention.value_fusion import ValueFusion, dual, inject, store

TOKENS, TEXT, BLOCKS = 16, 5, 5
KEYS: tuple[Key, ...] = (("n", 1), ("m", 2))


@pytest.fixture
def transformer() -> FluxTransformer2DModel:
    torch.manual_seed(0)
    config = {"in_channels": 16, "num_layers": 2, "num_single_layers": 3, "attention_head_dim": 16}
    widths = {"num_attention_heads": 2, "joint_attention_dim": 24, "pooled_projection_dim": 24}
    return FluxTransformer2DModel(**config, **widths, axes_dims_rope=(4, 6, 6)).eval().requires_grad_(False)


@torch.no_grad()
def run(transformer: FluxTransformer2DModel, rows: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(rows)
    out: torch.Tensor = transformer(
        hidden_states=torch.randn(rows, TOKENS, 16, generator=generator),
        encoder_hidden_states=torch.randn(rows, TEXT, 24, generator=generator),
        pooled_projections=torch.randn(rows, 24, generator=generator),
        timestep=torch.full((rows,), 0.5),
        img_ids=torch.zeros(TOKENS, 3),
        txt_ids=torch.zeros(TEXT, 3),
        return_dict=False,
    )[0]
    return out


def test_lowered_graphs_store_inject_and_mix_as_plain_ones(transformer: FluxTransformer2DModel) -> None:
    """Breaks when the compiler drops or reorders the change of the values, or every act needs graphs of its own."""
    mask = torch.linspace(0, 1, TOKENS)[None, :, None]
    fusion, bank = ValueFusion(transformer, BLOCKS, TOKENS), ValueBank(KEYS, BLOCKS)

    def walk(key: Key) -> list[torch.Tensor]:
        results = []
        for act, rows in ((store(bank, key), 1), (inject(bank, key, mask * 0.5), 1), (dual(mask), 2)):
            with fusion.acting(act):
                results.append(run(transformer, rows))
        return [*results, bank.read(key, BLOCKS - 1).clone(), run(transformer)]

    plain = [walk(key) for key in KEYS]
    torch.compiler.reset()
    counter = CompileCounterWithBackend("aot_eager")
    transformer.compile_repeated_blocks(fullgraph=True, backend=counter)
    graphs = []
    for key, expected in zip(KEYS, plain, strict=True):
        torch.testing.assert_close(walk(key), expected, rtol=1e-5, atol=1e-6)
        graphs.append(counter.frame_count)
    torch.compiler.reset()
    # A walk calls 20 blocks: of two kinds, with our processors and diffusers' own, in one row and in two.
    assert graphs[0] <= 12 and graphs[1] == graphs[0]
