"""Values of image tokens within reach, on a tiny FLUX transformer."""

from __future__ import annotations

import pytest
import torch
from diffusers.models.attention_dispatch import attention_backend
from diffusers.models.transformers.transformer_flux import FluxAttnProcessor

from faceedit.attention.value_bank import ValueBank
from faceedit.attention.value_fusion import ValueFusion, dual, inject, leave, store
from faceedit.errors import UsageError
from faceedit.models.random_flux import tiny_transformer

TOKENS, TEXT = 16, 5
BLOCKS = 5
KEY = ("n", 1)


@pytest.fixture
def transformer():
    torch.manual_seed(0)
    return tiny_transformer(24).eval().requires_grad_(False)


@torch.no_grad()
def run(transformer, seed=0, rows=1):
    generator = torch.Generator().manual_seed(seed)
    places = torch.cartesian_prod(torch.arange(1.0), torch.arange(4.0), torch.arange(4.0))
    dtype = transformer.dtype
    draw = lambda *shape: torch.randn(shape, generator=generator).to(dtype)  # noqa: E731
    return transformer(
        hidden_states=draw(rows, TOKENS, 16),
        encoder_hidden_states=draw(rows, TEXT, 24),
        pooled_projections=draw(rows, 24),
        timestep=torch.full((rows,), 0.5),
        guidance=torch.full((rows,), 2.0),
        img_ids=places,
        txt_ids=torch.zeros(TEXT, 3),
        return_dict=False,
    )[0]


def heard(transformer, blocks, **changes):
    """(layer, values) of every call within one pass."""
    calls = []
    with ValueFusion(transformer, blocks, TOKENS).acting(lambda layer, values: calls.append((layer, values.clone()))):
        run(transformer, **changes)
    return calls


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_doing_nothing_is_the_default_processor_bit_by_bit(transformer, dtype, fused) -> None:
    """Breaks when the processor computes anything else than diffusers' own, in a double or a single block."""
    transformer.to(dtype)
    if fused:
        transformer.fuse_qkv_projections()
    own = run(transformer)
    with ValueFusion(transformer, BLOCKS, TOKENS).acting(leave):
        assert torch.equal(run(transformer), own)


def test_the_last_blocks_image_values_are_heard_in_order(transformer) -> None:
    """Breaks when text tokens are taken for image tokens, or blocks are counted from another end."""
    blocks = [*transformer.transformer_blocks, *transformer.single_transformer_blocks]
    truth = []
    hooks = [b.attn.to_v.register_forward_hook(lambda _m, _i, out: truth.append(out.clone())) for b in blocks]
    run(transformer)
    for hook in hooks:
        hook.remove()
    assert [v.shape[1] for v in truth] == [TOKENS] * 2 + [TEXT + TOKENS] * 3
    for count in range(BLOCKS + 1):
        calls = heard(transformer, count)
        assert [layer for layer, _ in calls] == list(range(count))
        for (_, values), whole in zip(calls, truth[BLOCKS - count :], strict=True):
            assert torch.equal(values, whole[:, -TOKENS:])


def test_a_pass_that_is_given_its_own_values_stays_as_it_is(transformer) -> None:
    """Breaks when a value goes back to another place than it came from."""
    fusion, bank = ValueFusion(transformer, BLOCKS, TOKENS), ValueBank([KEY], BLOCKS)
    own = run(transformer)
    with fusion.acting(store(bank, KEY)):
        assert torch.equal(run(transformer), own)
    with fusion.acting(inject(bank, KEY, torch.zeros(1, TOKENS, 1))):
        assert torch.equal(run(transformer), own)


def test_only_what_the_mask_leaves_is_taken_from_the_source(transformer) -> None:
    """Breaks when the mask is turned around, or eq. 15 is anything but a weighted mean of both values."""
    mask = torch.linspace(0, 1, TOKENS)[None, :, None]
    bank = ValueBank([KEY], BLOCKS)
    fusion = ValueFusion(transformer, BLOCKS, TOKENS)
    with fusion.acting(store(bank, KEY)):
        run(transformer, seed=1)
    values = torch.randn(1, TOKENS, 32)
    mixed = values.clone()
    inject(bank, KEY, mask)(2, mixed)
    torch.testing.assert_close(mixed, mask * values + (1 - mask) * bank.read(KEY, 2))
    assert torch.equal(mixed[:, -1], values[:, -1]) and torch.equal(mixed[0, 0], bank.read(KEY, 2)[0])
    own = run(transformer, seed=2)
    with fusion.acting(inject(bank, KEY, torch.ones(1, TOKENS, 1))):
        assert torch.equal(run(transformer, seed=2), own)
    with fusion.acting(inject(bank, KEY, mask)):
        assert not torch.allclose(run(transformer, seed=2), own, atol=1e-4)


def test_two_rows_do_without_a_bank() -> None:
    """Breaks when the source's row is changed, or the target's row is not mixed with it."""
    source, values, mask = torch.randn(1, TOKENS, 8), torch.randn(1, TOKENS, 8), torch.rand(1, TOKENS, 1)
    both = torch.cat([source, values])
    dual(mask)(0, both)
    assert torch.equal(both[:1], source)
    torch.testing.assert_close(both[1:], mask * values + (1 - mask) * source)


def processors(transformer):
    blocks = [*transformer.transformer_blocks, *transformer.single_transformer_blocks]
    return [block.attn.processor for block in blocks]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, GeneratorExit])
def test_the_transformers_own_processors_come_back(transformer, error) -> None:
    """Breaks when an error, an interrupt or a closed generator leaves ours on the transformer."""
    before = processors(transformer)
    fusion = ValueFusion(transformer, 3, TOKENS)

    def stop(layer, _values) -> None:
        assert processors(transformer) != before
        if layer == 1:
            raise error

    with pytest.raises(error), fusion.acting(stop):
        run(transformer)
    assert all(now is then for now, then in zip(processors(transformer), before, strict=True))


def test_the_attention_backend_stays(transformer) -> None:
    """Breaks when `device.attention` is forgotten in the blocks whose values are mixed."""
    with attention_backend("native"):  # diffusers also makes it the whole process's
        transformer.set_attention_backend("_native_math")
    fusion, seen = ValueFusion(transformer, BLOCKS, TOKENS), []
    with fusion.acting(lambda *_: seen.extend(p._attention_backend for p in processors(transformer))):
        run(transformer)
    assert len({*seen}) == 1 and seen[0] is not None and len(seen) == BLOCKS * BLOCKS


def test_what_it_cannot_reach_is_refused(transformer) -> None:
    """Breaks when values would silently be mixed in fewer blocks, or in parts of them."""
    with pytest.raises(UsageError, match="6 blocks: the transformer has 5"):
        ValueFusion(transformer, BLOCKS + 1, TOKENS)

    class Own(FluxAttnProcessor):
        pass

    transformer.single_transformer_blocks[2].attn.set_processor(Own())
    with pytest.raises(UsageError, match="processors of its own"):
        ValueFusion(transformer, 1, TOKENS)
    transformer.single_transformer_blocks[2].attn.set_processor(FluxAttnProcessor())
    transformer._parallel_config = object()
    with pytest.raises(UsageError, match="split over devices"):
        ValueFusion(transformer, 1, TOKENS)


def test_a_cache_that_leaves_blocks_out_is_refused(transformer) -> None:
    """Breaks when blocks that are skipped would leave holes in the bank."""
    from diffusers import FirstBlockCacheConfig

    transformer.enable_cache(FirstBlockCacheConfig(threshold=0.1))
    with pytest.raises(UsageError, match="cache"):
        ValueFusion(transformer, 1, TOKENS)


def test_compiled_blocks_share_their_graphs_whatever_is_done_with_the_values(transformer) -> None:
    """Breaks when each evaluation or layer compiles anew: three graphs serve storing and injecting in all blocks."""
    from torch._dynamo.testing import CompileCounterWithBackend

    torch.compiler.reset()
    counter = CompileCounterWithBackend("eager")
    own = [run(transformer, seed=seed) for seed in (1, 2)]
    fusion, bank = ValueFusion(transformer, BLOCKS, TOKENS), ValueBank([("n", i) for i in range(3)], BLOCKS)
    transformer.compile_repeated_blocks(fullgraph=True, backend=counter)
    for i in range(3):
        with fusion.acting(store(bank, ("n", i))):
            torch.testing.assert_close(run(transformer, seed=1), own[0])
    for i in range(3):
        with fusion.acting(inject(bank, ("n", i), torch.ones(1, TOKENS, 1))):
            torch.testing.assert_close(run(transformer, seed=2), own[1])
        with fusion.acting(inject(bank, ("n", i), torch.zeros(1, TOKENS, 1))):
            torch.testing.assert_close(run(transformer, seed=1), own[0])
    assert counter.frame_count <= 4
