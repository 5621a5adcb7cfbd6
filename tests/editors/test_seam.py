"""STFG on the inpaint editor: what it reads, what it changes, and that it leaves nothing behind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from faceedit.attention.capture import capture_cross_attention
from faceedit.attention.content import content_attention, text_layers
from faceedit.editors.base import build_editor
from faceedit.editors.seam import SeamGuidance, named_in
from faceedit.errors import UsageError
from faceedit.models.random import byte_tokenizer, random_components
from faceedit.recipe import load_recipe
from faceedit.request import AttributePhrase, EditText
from faceedit.samplers.blended import blended_latents, latent_mask
from faceedit.samplers.ddim import ddim_schedule, guided, predict_z0
from faceedit.samplers.low_pass import centred_band, low_pass
from faceedit.samplers.stfg import boundary_region, seam_distance

SIZE = 64
TEXT = EditText(
    (AttributePhrase("rosy cheeks", ("cheeks",), tokens=("rosy", "cheeks")),), "a person", "a person with rosy cheeks"
)
REMOVAL = EditText(
    (AttributePhrase("glasses", ("eyeglasses",), remove=True),), "a person", "a person", "a person with glasses"
)
ON = {"stfg.enabled": "true"}


@pytest.fixture(scope="module")
def components():
    return random_components(seed=0)


def mask():
    values = np.zeros((SIZE, SIZE), dtype=np.float32)
    values[16:40, 24:48] = 1
    return values


def run(components, text=TEXT, steps=4, where=None, **settings):
    editor = build_editor(load_recipe("smoke/inpaint", {"sampling.steps": str(steps), **settings}), components)
    trajectory = editor.invert(np.random.default_rng(0).random((SIZE, SIZE, 3), dtype=np.float32), text.source)
    where = mask() if where is None else where
    return trajectory, list(editor.edit(trajectory, text, where, torch.Generator().manual_seed(0)))


def test_off_is_plain_blended_latents_to_the_last_bit(components):
    """Breaks when STFG, or what it shares with CA-Edit, touches the plain path."""
    editor = build_editor(load_recipe("smoke/inpaint", {"sampling.steps": "4"}), components)
    trajectory, steps = run(components)
    m = latent_mask(torch.from_numpy(mask())[None, None], (16, 16), 0.5)
    text = editor.backbone.encode_text(["", TEXT.target])
    noise = torch.randn((1, 4, 16, 16), generator=torch.Generator().manual_seed(0))

    @torch.no_grad()
    def denoise(z, t):
        eps = components.unet(torch.cat([z, z]), t, encoder_hidden_states=text).sample
        return guided(*eps.chunk(2), editor.sampling.guidance)

    schedule = ddim_schedule(editor.backbone.scheduler_config, 4)
    plain = list(blended_latents(denoise, trajectory.latents, m, schedule, noise))
    assert all(torch.equal(step.latents, z) for step, z in zip(steps, plain, strict=True))
    assert all(not step.maps for step in steps)
    _, idle = run(components, **ON, **{"stfg.strength": "0"})
    assert all(torch.equal(step.latents, z) for step, z in zip(idle, plain, strict=True))
    assert set(idle[0].maps) == {"attention", "boundary"}


@pytest.mark.parametrize("channels", [4, 9])
@pytest.mark.parametrize("gradient", ["closed-form", "networks"])
def test_on_changes_the_inside_and_nothing_else(channels, gradient):
    """Breaks when guidance leaks out of the mask, or never reaches the latents."""
    components = random_components(seed=0, channels=channels)
    _, plain = run(components)
    trajectory, steps = run(components, **ON, **{"stfg.gradient": gradient, "stfg.strength": "0.5"})
    m = latent_mask(torch.from_numpy(mask())[None, None], (16, 16), 0.5)
    final, outside = steps[-1].latents, (m == 0).expand_as(trajectory.latents)
    assert torch.equal(final[outside], trajectory.latents[outside])
    assert not torch.equal(final[~outside], plain[-1].latents[~outside])
    boundary = steps[0].maps["boundary"]
    assert boundary.sum() >= 1 and not (boundary * (m[0, 0] == 0)).any()
    assert not any(parameter.requires_grad for parameter in components.unet.parameters())


def test_gradient_through_the_networks_differs_from_the_closed_form(components):
    strength = {"stfg.strength": "0.5"}
    cheap, dear = (run(components, **ON, **strength, **{"stfg.gradient": g}) for g in ("closed-form", "networks"))
    assert not torch.equal(cheap[1][-1].latents, dear[1][-1].latents)


def guidance(components, z0, m, **options):
    stfg = load_recipe("smoke/inpaint", {**ON, **{f"stfg.{key}": value for key, value in options.items()}}).stfg
    config = dict(components.scheduler.config)
    return SeamGuidance(stfg, components.unet, components.tokenizer, TEXT, z0, m, 1, config)


@pytest.mark.parametrize("settings", [{}, {"unit": "absolute", "strength": "0.001"}, {"band": "quadrant"}])
def test_one_step_lowers_g_and_the_printed_sign_raises_it(components, settings):
    """Breaks with the paper's sign."""
    draw = torch.Generator().manual_seed(0)
    z0, z = (torch.randn(1, 4, 16, 16, generator=draw) for _ in range(2))
    m = torch.zeros(1, 1, 16, 16)
    m[..., 4:10, 6:12] = 1
    text = torch.randn(2, 77, 32, generator=draw)
    t = torch.tensor(601)

    @torch.no_grad()
    def denoise(x):
        return guided(*components.unet(torch.cat([x, x]), t, encoder_hidden_states=text).sample.chunk(2), 7.5)

    eps = denoise(z)
    distances = {}
    for sign in ("falling", "printed"):
        seam = guidance(components, z0, m, sign=sign, **settings)
        changed = seam(denoise, z, t)
        region = seam.maps["boundary"][None] > 0
        alpha_bar = seam.alpha_bar[t]
        distances[sign], distances["none"] = (
            float(seam_distance(low_pass(predict_z0(z, e, alpha_bar), seam.band), seam.low_original, region))
            for e in (changed, eps)
        )
    assert distances["falling"] < distances["none"] < distances["printed"]


def test_the_attention_is_the_capturing_processors_mean(components):
    """Breaks when a layer, a head or the wrong row is averaged; the network's answer must not change by a bit."""
    draw = torch.Generator().manual_seed(0)
    z, text = torch.randn(4, 4, 16, 16, generator=draw), torch.randn(4, 77, 32, generator=draw)
    tokens, rows = (1, 2, 5), slice(2, 4)
    with torch.no_grad():
        plain = components.unet(z, 500, encoder_hidden_states=text).sample
        with content_attention(text_layers(components.unet), rows, tokens) as seen:
            answer = components.unet(z, 500, encoder_hidden_states=text).sample
        with capture_cross_attention(components.unet, (16, 8)) as captured:
            components.unet(z, 500, encoder_hidden_states=text)
    assert torch.equal(answer, plain)
    assert {layer.side for layer in captured.maps} == {16, 8}
    grown = [
        F.interpolate(
            layer.weights[rows, :, :, tokens].mean((1, 3)).unflatten(1, (layer.side, -1))[:, None],
            (16, 16),
            mode="bilinear",
        )
        for layer in captured.maps
    ]
    torch.testing.assert_close(seen.mean((16, 16)), torch.cat(grown, dim=1).mean(1))


def test_all_tokens_together_would_be_a_constant(components):
    """Why the start token and the padding are left out: a softmax sums to 1 everywhere."""
    draw = torch.Generator().manual_seed(0)
    z, text = torch.randn(1, 4, 16, 16, generator=draw), torch.randn(1, 77, 32, generator=draw)
    with torch.no_grad(), content_attention(text_layers(components.unet), slice(None), range(77)) as seen:
        components.unet(z, 500, encoder_hidden_states=text)
    torch.testing.assert_close(seen.mean((16, 16)), torch.full((1, 16, 16), 1 / 77))


def test_hooks_are_gone_after_an_error(components):
    """Breaks when a failed pass leaves its hooks to the next edit."""
    with pytest.raises(RuntimeError), content_attention(text_layers(components.unet), slice(None), (1,)):
        components.unet(torch.zeros(1, 3, 16, 16), 500, encoder_hidden_states=torch.zeros(1, 77, 32))
    assert not any(module._forward_hooks for module in components.unet.modules())


def test_which_words_bound_the_region():
    """The target's words in the conditional half; those of the avoided sentence where something is only taken away."""
    tokenizer = byte_tokenizer()
    rows, tokens = named_in(tokenizer, TEXT, "sentence", 3)
    assert (rows, tokens) == (slice(3, 6), tuple(range(1, 1 + len("apersonwithrosycheeks"))))
    _, phrase = named_in(tokenizer, TEXT, "phrase", 1)
    assert phrase == tokens[-len("rosycheeks") :]
    rows, tokens = named_in(tokenizer, REMOVAL, "phrase", 1)
    assert rows == slice(0, 1) and len(tokens) == len("glasses")


def test_a_sentence_without_words_is_refused(components):
    with pytest.raises(UsageError, match="no word"):
        run(components, text=replace(TEXT, target=""), **ON)


def test_an_editor_without_stfg_refuses_it(components):
    """Breaks when the option is read and dropped."""
    with pytest.raises(UsageError, match="mag-edit has no STFG"):
        build_editor(load_recipe("smoke/inpaint", {"editor": "mag-edit", **ON}), components)


def test_a_mask_of_one_cell_is_its_own_boundary(components):
    """Breaks when the statistics of a small mask are NaN."""
    small = np.zeros((SIZE, SIZE), dtype=np.float32)
    small[20:24, 20:24] = 1
    _, steps = run(components, where=small, **ON)
    assert steps[0].maps["boundary"].nonzero().tolist() == [[5, 5]]
    assert torch.isfinite(steps[-1].latents).all()


def test_candidates_are_guided_each_by_its_own_region(components):
    """Breaks when one candidate's attention or gradient reaches another."""
    settings = {**ON, "stfg.strength": "0.5"}
    editor = build_editor(
        load_recipe("smoke/inpaint", {"sampling.steps": "3", "inpaint.candidates": "3", **settings}), components
    )
    trajectory = editor.invert(np.random.default_rng(0).random((SIZE, SIZE, 3), dtype=np.float32), TEXT.source)
    *_, before_last, _ = editor.edit(trajectory, TEXT, mask(), torch.Generator().manual_seed(0))
    rows = torch.randn((3, 4, 16, 16), generator=torch.Generator().manual_seed(0))
    alone = build_editor(load_recipe("smoke/inpaint", {"sampling.steps": "3", **settings}), components)
    for i in range(3):
        draw = torch.Generator().manual_seed(0)
        # The editor draws its noise from the generator: hand it the row by way of its state.
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch, "randn", lambda *_, i=i, **__: rows[i : i + 1])
            *_, single, _ = alone.edit(trajectory, TEXT, mask(), draw)
        torch.testing.assert_close(before_last.latents[i : i + 1], single.latents, rtol=1e-3, atol=1e-3)


def test_guidance_brings_the_seams_low_frequencies_nearer(components):
    """A whole run ends with a smaller g in the last boundary region than without STFG."""
    band = centred_band((16, 16))
    ends = {}
    for name, settings in (("off", {}), ("on", {**ON, "stfg.strength": "0.3"})):
        trajectory, steps = run(components, steps=20, **settings)
        ends[name] = steps[-1]
    region = ends["on"].maps["boundary"][None] > 0
    low = low_pass(trajectory.latents, band)
    off, on = (float(seam_distance(low_pass(ends[n].latents, band), low, region)) for n in ("off", "on"))
    assert on < off
    m = latent_mask(torch.from_numpy(mask())[None, None], (16, 16), 0.5)
    assert torch.equal(boundary_region(ends["on"].maps["attention"][None], m[0, 0]), region)
