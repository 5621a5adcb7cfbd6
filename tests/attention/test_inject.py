"""Recording and injecting attention on tiny real components."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from faceedit.attention.align import align_sentences
from faceedit.attention.call import Layer
from faceedit.attention.capture import capture_cross_attention
from faceedit.attention.control import AttentionControl
from faceedit.attention.inject import Injection
from faceedit.errors import UsageError
from faceedit.models.random import random_components
from faceedit.models.stable_diffusion import StableDiffusion

SOURCE, TARGET = "a person", "a person with rosy cheeks"
T = torch.tensor(501)


@pytest.fixture(scope="module")
def backbone() -> StableDiffusion:
    return StableDiffusion(random_components(seed=0))


@pytest.fixture(scope="module")
def texts(backbone) -> dict[str, torch.Tensor]:
    return {sentence: backbone.encode_text([sentence]) for sentence in ("", SOURCE, TARGET)}


def latents(seed: int) -> torch.Tensor:
    return torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(seed))


def everything(_: Layer) -> bool:
    return True


@pytest.fixture
def control(backbone, texts) -> Iterator[AttentionControl]:
    """Installed, with the source's maps recorded as `control.taken`."""
    control = AttentionControl(backbone.unet, list(texts.values()))
    with control.installed(), torch.no_grad():
        with control.recording(everything) as maps:
            backbone.predict_noise(latents(0), T, texts[SOURCE])
        cross = {name: m for name, m in maps.items() if control.layers[name].cross}
        own = {name: m for name, m in maps.items() if name not in cross}
        control.taken = Injection.of(cross, own, align_sentences(backbone.tokenizer, SOURCE, TARGET), None)
        control.cross = cross
        yield control


def test_what_is_recorded_is_what_the_layers_compute(backbone, texts, control) -> None:
    """Breaks when a recorded map belongs to another layer, scale or branch."""
    with capture_cross_attention(backbone.unet, {16, 8}) as captured, torch.no_grad():
        backbone.predict_noise(latents(0), T, texts[SOURCE])
    assert captured.maps
    for found in captured.maps:
        torch.testing.assert_close(control.cross[found.layer], found.weights[0])
        assert control.layers[found.layer].side == found.side


def test_a_recording_pass_changes_nothing(backbone, texts, control) -> None:
    with control.recording(lambda _: False):
        eps = backbone.predict_noise(latents(1), T, texts[SOURCE])
    torch.testing.assert_close(eps, backbone.predict_noise(latents(1), T, texts[SOURCE]))


def test_a_later_recording_ends_after_its_last_map(backbone, texts, control) -> None:
    """Breaks when the reconstruction's pass runs on although nothing more is needed of it."""
    reached: list[int] = []
    handle = backbone.unet.conv_out.register_forward_hook(lambda *_: reached.append(1))
    try:
        with control.recording(lambda layer: layer.cross) as maps:
            backbone.predict_noise(latents(0), T, texts[SOURCE])
    finally:
        handle.remove()
    assert not reached
    assert maps.keys() == control.cross.keys()
    for name, found in maps.items():
        torch.testing.assert_close(found, control.cross[name])


def test_common_columns_are_the_reconstructions_and_new_ones_the_branchs_own(backbone, texts, control) -> None:
    """Breaks when eq. 4 mixes columns up, or brings the rows back to a sum of 1."""
    alone = AttentionControl(backbone.unet)
    common = control.taken.common
    with control.injecting(Injection(cross=control.taken.cross, common=common), {16}) as mixed:
        backbone.predict_noise(latents(2), T, texts[TARGET])
    with alone.installed(), alone.injecting(Injection(), {16}) as own:
        backbone.predict_noise(latents(2), T, texts[TARGET])
    first = next(iter(mixed))
    assert torch.equal(mixed[first][..., common], control.taken.cross[first][..., common])
    torch.testing.assert_close(mixed[first][..., ~common], own[first][..., ~common])
    assert 0 < int((~common).sum()) < 77
    assert not torch.allclose(mixed[first].sum(-1), torch.ones(()), atol=1e-6)


def test_no_gradient_flows_through_what_is_taken_over(backbone, texts, control) -> None:
    """Breaks when the reconstruction's columns are not constants for the gradient."""
    z = latents(2).requires_grad_()
    common = control.taken.common
    with torch.enable_grad():
        with control.injecting(control.taken, {16}, only_maps=True) as maps:
            backbone.predict_noise(z, T, texts[TARGET])
        first = next(iter(maps.values()))
        (through,) = torch.autograd.grad(first[..., ~common].sum(), z, retain_graph=True)
        (none,) = torch.autograd.grad(first[..., common].sum(), z)
    assert through.any()
    assert not none.any()


def test_the_pass_that_ends_early_has_the_same_gradient_bit_by_bit(backbone, texts, control) -> None:
    """Breaks when the shortened pass is another computation than the whole one."""
    gradients = []
    for only_maps in (False, True):
        reached: list[int] = []
        handle = backbone.unet.conv_out.register_forward_hook(lambda *_, to=reached: to.append(1))
        z = latents(3).requires_grad_()
        with torch.enable_grad():
            try:
                with control.injecting(control.taken, {16}, only_maps=only_maps) as maps:
                    backbone.predict_noise(z, T, texts[TARGET])
            finally:
                handle.remove()
            loss = torch.stack([m[..., 5].square().sum() for m in maps.values()]).sum()
        gradients.append(torch.autograd.grad(loss, z)[0])
        assert bool(reached) != only_maps
    assert torch.equal(*gradients)


def test_self_attention_is_taken_over_whole(backbone, texts, control) -> None:
    """Breaks when the first layer's answer still depends on its own queries and keys."""
    name = next(iter(control.taken.own))
    attn = backbone.unet.get_submodule(name.removesuffix(".processor"))
    answers = []
    handle = attn.register_forward_hook(lambda _, args, out: answers.append((args[0], out)))
    try:
        with control.injecting(Injection(own=control.taken.own)):
            backbone.predict_noise(latents(4), T, texts[TARGET])
    finally:
        handle.remove()
    ((hidden, out),) = answers
    values = attn.to_v(hidden).unflatten(-1, (attn.heads, -1)).transpose(1, 2)
    expected = (control.taken.own[name] @ values).transpose(1, 2).flatten(2)
    torch.testing.assert_close(out, attn.to_out[0](expected))


def test_the_unconditional_row_is_left_alone(backbone, texts, control) -> None:
    """Breaks when the injection leaks into the other half of the guided batch."""
    pair = torch.cat([texts[""], texts[TARGET]])
    z = latents(5)
    with control.injecting(control.taken, {16}):
        both = backbone.predict_noise(torch.cat([z, z]), T, pair)
    with control.injecting(control.taken, {16}):
        cond = backbone.predict_noise(z, T, texts[TARGET])
    torch.testing.assert_close(both[:1], backbone.predict_noise(z, T, texts[""]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(both[1:], cond, rtol=1e-4, atol=1e-5)


def test_the_plain_way_gives_the_same_numbers(backbone, texts, control) -> None:
    """Breaks when the fast way leaves something out that counts."""
    pair = torch.cat([texts[""], texts[TARGET]])
    plain = AttentionControl(backbone.unet, explicit=True)
    with control.injecting(control.taken, {16}) as maps:
        fast = backbone.predict_noise(latents(6).repeat(2, 1, 1, 1), T, pair)
    with plain.installed(), plain.injecting(control.taken, {16}) as maps_plain:
        slow = backbone.predict_noise(latents(6).repeat(2, 1, 1, 1), T, pair)
    torch.testing.assert_close(fast, slow, rtol=1e-5, atol=1e-5)
    for name, found in maps.items():
        torch.testing.assert_close(found, maps_plain[name], rtol=1e-5, atol=1e-6)


def test_factors_fall_on_the_columns_after_the_injection(control) -> None:
    weights = torch.ones(77)
    weights[5] = 3.0
    heavy = Injection(control.taken.cross, {}, control.taken.common, weights)
    name = next(iter(heavy.cross))
    own = torch.rand(2, 256, 77)
    light = Injection(control.taken.cross, {}, control.taken.common).mixed(name, own)
    assert torch.equal(heavy.mixed(name, own), light * weights)


def test_a_size_that_no_layer_has_is_refused_with_those_that_there_are(backbone, texts, control) -> None:
    """Breaks when a loss over no maps at all passes for a constraint."""
    with pytest.raises(UsageError, match="works at 12 x 12") as caught, control.injecting(control.taken, {12}):
        backbone.predict_noise(latents(0), T, texts[TARGET])
    assert "16" in caught.value.hint


def test_a_unet_without_text_is_refused() -> None:
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(32,),
        down_block_types=("DownBlock2D",),
        mid_block_type=None,
        up_block_types=("UpBlock2D",),
    )
    with pytest.raises(UsageError, match="no cross-attention layer"):
        AttentionControl(unet)


def test_the_unet_has_its_own_processors_back_whatever_happens(backbone) -> None:
    before = {name: id(processor) for name, processor in backbone.unet.attn_processors.items()}
    control = AttentionControl(backbone.unet)
    with pytest.raises(RuntimeError, match="stopped"), control.installed(), control.recording(everything):
        raise RuntimeError("stopped")
    assert {name: id(processor) for name, processor in backbone.unet.attn_processors.items()} == before
    assert control.attend(None) is None
