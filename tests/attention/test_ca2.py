"""CA²'s limits, its gate against explicit attention matrices, and what it leaves behind."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers.models.attention_processor import IPAdapterAttnProcessor2_0
from einops import rearrange, repeat
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from faceedit.attention.ca2 import NORMALISATIONS, Seen, condition_adapter
from faceedit.errors import UsageError, WeightsError
from faceedit.models.components import Components
from faceedit.models.condition_adapter import ConditionAdapter, cross_attention_layers
from faceedit.models.random import random_components
from faceedit.models.reference_net import ReferenceNet

ROWS, HEIGHT, WIDTH = 2, 12, 20
ONES = torch.ones(1, 1, HEIGHT, WIDTH)
# Random weights keep the layers' scores near their start; this shows what happens away from it.
LOUD = 40.0


@pytest.fixture(scope="module")
def tiny() -> Components:
    return random_components(seed=5)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def half_mask() -> Tensor:
    mask = torch.zeros(ROWS, 1, HEIGHT, WIDTH)
    mask[:, :, 3:9, 5:16] = 1
    return mask


def answer(tiny: Components, **options: Any) -> tuple[Tensor, Seen]:
    """The UNet's own ε with the adapter in it, and what was seen; the same latents and text every time."""
    z, text = noise(ROWS, 4, HEIGHT, WIDTH, seed=1), noise(ROWS, 77, 32, seed=2)
    given = {"visual": tiny.adapter.visual_tokens(noise(ROWS, 32, seed=3)), "mask": half_mask()} | options
    adapter = given.pop("adapter", tiny.adapter)
    with torch.no_grad(), condition_adapter(tiny.unet, adapter, pooled=noise(ROWS, 32, seed=4), **given) as seen:
        return tiny.unet(z, 20, text).sample, seen


def ip_adapter(tiny: Components) -> Tensor:
    """ε of the same UNet with diffusers' own IP-Adapter processors, which know nothing of masks or scores."""
    before = dict(tiny.unet.attn_processors)
    installed = dict(before)
    for number, name in enumerate(before):
        if name.endswith("attn2.processor"):
            layer = tiny.adapter.layer(str(number))
            processor = IPAdapterAttnProcessor2_0(layer.to_k_ip.out_features, 32, num_tokens=(4,))
            processor.to_k_ip[0].weight, processor.to_v_ip[0].weight = layer.to_k_ip.weight, layer.to_v_ip.weight
            installed[name] = processor
    tiny.unet.set_attn_processor(installed)
    visual = tiny.adapter.visual_tokens(noise(ROWS, 32, seed=3))
    try:
        with torch.no_grad():
            text = (noise(ROWS, 77, 32, seed=2), [visual[:, None]])
            eps: Tensor = tiny.unet.forward(noise(ROWS, 4, HEIGHT, WIDTH, seed=1), 20, text).sample
    finally:
        tiny.unet.set_attn_processor(before)
    return eps


def text_only(tiny: Components) -> Tensor:
    with torch.no_grad():
        eps: Tensor = tiny.unet(noise(ROWS, 4, HEIGHT, WIDTH, seed=1), 20, noise(ROWS, 77, 32, seed=2)).sample
    return eps


def test_without_a_mask_it_is_ip_adapter(tiny: Components) -> None:
    """Breaks when the score acts outside the mask, or keys, values, queries or the sum differ from IP-Adapter's."""
    expected = ip_adapter(tiny)
    assert not torch.allclose(expected, text_only(tiny), atol=1e-3)
    for score in ("learned", "fixed"):
        torch.testing.assert_close(answer(tiny, mask=0 * ONES, score=score)[0], expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(answer(tiny, score="none")[0], expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(answer(tiny, score="fixed", value=0.0)[0], expected, rtol=0, atol=1e-6)


def test_full_score_and_mask_leave_the_text_alone(tiny: Components) -> None:
    """Breaks when the gate lets anything visual through where it is shut."""
    shut, _ = answer(tiny, mask=ONES, score="fixed", value=1.0)
    torch.testing.assert_close(shut, text_only(tiny), rtol=0, atol=1e-6)
    assert not torch.allclose(answer(tiny, score="fixed", value=1.0)[0], shut, atol=1e-3)


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_the_gate_is_the_suppressed_attention_matrix(tiny: Components, normalisation: str) -> None:
    """Breaks when gating the sum of values is not eq. 5, A_vis * (1 - Score * M) times V_vis, computed openly."""
    number, attn = next(iter(cross_attention_layers(tiny.unet).items()))
    layer, pooled, mask = tiny.adapter.layer(number), LOUD * noise(ROWS, 32, seed=4), half_mask()
    Z, f_txt, f_vis = noise(ROWS, HEIGHT * WIDTH, 32, seed=6), noise(ROWS, 77, 32), noise(ROWS, 4, 32, seed=7)
    with torch.no_grad():
        with condition_adapter(tiny.unet, tiny.adapter, f_vis, pooled, mask, normalisation=normalisation) as seen:
            found = attn(Z, f_txt)

        def heads(x: Tensor) -> Tensor:
            return rearrange(x, "b n (h d) -> b h n d", h=attn.heads)

        Q = heads(attn.to_q(Z))
        A_txt, A_vis = (
            (Q @ heads(K).mT / Q.shape[-1] ** 0.5).softmax(-1) for K in (attn.to_k(f_txt), layer.to_k_ip(f_vis))
        )
        logits = layer.score(torch.cat([Z, repeat(pooled, "b p -> b n p", n=Z.shape[1])], -1))
        score = logits.softmax(-1)[..., 1]
        if normalisation == "spatial_minmax":
            contrast = logits[..., 1] - logits[..., 0]
            low, high = contrast.amin(1, keepdim=True), contrast.amax(1, keepdim=True)
            score = (contrast - low) / (high - low)
        A_vis = A_vis * (1 - score * rearrange(mask, "b 1 h w -> b (h w)"))[:, None, :, None]
        out = A_txt @ heads(attn.to_v(f_txt)) + A_vis @ heads(layer.to_v_ip(f_vis))
        expected = attn.to_out[0](rearrange(out, "b h n d -> b n (h d)"))
    assert score.std() > 0.01
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(rearrange(seen.scores[number], "b h w -> b (h w)"), score, rtol=0, atol=1e-6)


def test_a_smaller_layer_sees_the_masks_average(tiny: Components) -> None:
    """Breaks when a thin mask is lost, or spread, on the way down, or rows and columns change places."""
    numbers = cross_attention_layers(tiny.unet)
    attn = numbers["7"]
    mask = torch.zeros(1, 1, HEIGHT, WIDTH)
    mask[..., 4, :6] = 1
    f_txt, f_vis, Z = noise(1, 77, 32), noise(1, 4, 32), noise(1, 1, 64).expand(1, 60, 64)
    answers = []
    with torch.no_grad():
        for m in (mask, 0 * mask, 0 * mask + 1):
            with condition_adapter(tiny.unet, tiny.adapter, f_vis, noise(1, 32), m, score="fixed"):
                answers.append(rearrange(attn(Z, f_txt), "1 (h w) c -> h w c", h=6))
    masked, open_, shut = answers
    share = ((masked - open_) / (shut - open_)).mean(-1)
    expected = torch.zeros(6, 10)
    expected[2, :3] = 0.5
    torch.testing.assert_close(share, expected, rtol=0, atol=1e-3)


def test_a_fresh_score_is_what_was_asked_for(tiny: Components) -> None:
    """Breaks when the zeroed last layer's bias is forgotten: the score would start at one half."""
    for start in (0.2, 0.8):
        adapter = ConditionAdapter.from_net(tiny.unet, image_dim=32, pooled_dim=32, score_start=start)
        _, seen = answer(tiny, adapter=adapter, visual=noise(ROWS, 4, 32))
        assert set(seen.scores) == set(adapter.ip_adapter)
        for score in seen.scores.values():
            torch.testing.assert_close(score, torch.full_like(score, start))


def test_visual_keys_and_values_start_as_the_texts(tiny: Components) -> None:
    """Breaks when one is copied from the other: tokens of text would be seen differently by the two branches."""
    adapter, f_txt = ConditionAdapter.from_net(tiny.unet, image_dim=32), noise(1, 77, 32)
    for number, (keys, values) in adapter.project_kv(f_txt).items():
        attn = cross_attention_layers(tiny.unet)[number]
        torch.testing.assert_close(keys, attn.to_k(f_txt))
        torch.testing.assert_close(values, attn.to_v(f_txt))


@given(scale=st.floats(0, 1e4), normalisation=st.sampled_from(NORMALISATIONS), seed=st.integers(0, 9))
def test_the_score_stays_in_its_range(tiny: Components, scale: float, normalisation: str, seed: int) -> None:
    """Breaks when a score leaves [0, 1], or an even one divides by nothing."""
    number, attn = next(iter(cross_attention_layers(tiny.unet).items()))
    pooled, Z = scale * noise(1, 32, seed=seed), scale * noise(1, HEIGHT * WIDTH, 32, seed=seed)
    arguments = (tiny.unet, tiny.adapter, noise(1, 4, 32), pooled, ONES)
    with torch.no_grad(), condition_adapter(*arguments, normalisation=normalisation) as seen:
        attn(Z, noise(1, 77, 32))
    score = seen.scores[number]
    assert score.shape == (1, HEIGHT, WIDTH) and score.min() >= 0 and score.max() <= 1
    if normalisation == "spatial_minmax" and scale > 1:
        assert (float(score.min()), float(score.max())) == (0, 1)


def test_keys_and_values_hold_for_all_steps(tiny: Components) -> None:
    """Breaks when keys computed once give another answer than tokens given at every step."""
    visual = tiny.adapter.visual_tokens(noise(ROWS, 32, seed=3))
    with torch.no_grad():
        keys = tiny.adapter.project_kv(visual)
    assert torch.equal(answer(tiny, visual=keys)[0], answer(tiny, visual=visual)[0])


def test_scores_are_kept_by_layer_and_averaged(tiny: Components) -> None:
    """Breaks when a map's rows and columns change places, or a score is kept where none is learned."""
    _, seen = answer(tiny)
    assert {number: tuple(score.shape) for number, score in seen.scores.items()} == {
        "1": (ROWS, HEIGHT, WIDTH), "3": (ROWS, HEIGHT, WIDTH), "5": (ROWS, HEIGHT, WIDTH), "7": (ROWS, 6, 10),
    }  # fmt: skip
    assert seen.mean_score((HEIGHT, WIDTH)).shape == (ROWS, HEIGHT, WIDTH)
    assert answer(tiny, score="none")[1].scores == {}


def test_gradients_reach_the_adapter(tiny: Components) -> None:
    """Breaks when a weight of the adapter can never be trained, the score's among them."""
    net = ReferenceNet.from_unet(tiny.unet).requires_grad_(False)
    torch.nn.init.normal_(net.brushnet_up_blocks[-1].weight)
    adapter = ConditionAdapter.from_net(net, image_dim=32, pooled_dim=32)
    z, text = noise(ROWS, 4, HEIGHT, WIDTH), noise(ROWS, 77, 32)
    visual = adapter.visual_tokens(noise(ROWS, 32))
    with condition_adapter(net, adapter, visual, noise(ROWS, 32), half_mask()):
        residuals = net(z, 20, text, torch.cat([z, half_mask()], dim=1))
    torch.autograd.backward(residuals.up[-1].square().sum())
    # The score's first layer waits for its zeroed last one, as a zero convolution lets nothing back at first.
    waiting = {f"ip_adapter.{n}.score.0.{kind}" for n in adapter.ip_adapter for kind in ("weight", "bias")}
    still = {name for name, p in adapter.named_parameters() if p.grad is None or not p.grad.any()}
    assert still == waiting


def test_processors_are_put_back_after_an_exception(tiny: Components) -> None:
    """Breaks when a failed edit leaves its conditions on a shared network."""
    before = dict(tiny.unet.attn_processors)
    arguments = (tiny.unet, tiny.adapter, noise(1, 4, 32), noise(1, 32), ONES)
    with pytest.raises(ZeroDivisionError), condition_adapter(*arguments):
        assert tiny.unet.attn_processors != before
        raise ZeroDivisionError
    assert tiny.unet.attn_processors == before


def test_hidden_states_can_be_the_visual_tokens(tiny: Components) -> None:
    """Breaks when the option for CLIP's hidden states folds them into tokens, or gives them another width."""
    adapter = ConditionAdapter.from_net(tiny.unet, image_dim=48, tokens=0)
    visual = adapter.visual_tokens(noise(ROWS, 17, 48))
    assert visual.shape == (ROWS, 17, 32)
    assert answer(tiny, adapter=adapter, visual=visual, score="fixed")[0].isfinite().all()


def test_what_does_not_fit_is_said_so(tiny: Components) -> None:
    """Breaks when an adapter of another network, or a score that it does not hold, ends in a traceback."""
    plain = ConditionAdapter.from_net(tiny.unet, image_dim=32)
    visual = noise(ROWS, 4, 32)
    with pytest.raises(WeightsError, match="no score predictor") as caught:
        answer(tiny, adapter=plain, visual=visual)
    assert "ca_edit.score" in caught.value.hint
    other = ConditionAdapter({"1": 32, "3": 48}, 32, 32)
    with pytest.raises(WeightsError, match=r"layers \{'1': 32, '3': 48\}, this net \{'1': 32, '3': 32"):
        answer(tiny, adapter=other, visual=visual, score="fixed")
    with pytest.raises(UsageError, match="unknown score 'guessed'"):
        answer(tiny, score="guessed")
    with pytest.raises(UsageError, match="unknown score 'minmax'"):
        answer(tiny, normalisation="minmax")
    net = ReferenceNet.from_unet(tiny.unet, "brushnet")
    with pytest.raises(UsageError, match="no cross-attention"):
        ConditionAdapter.from_net(net, image_dim=32)
