"""Blended-latent inpainting on tiny real components."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from faceedit.editors.base import build_editor
from faceedit.editors.rank import best_by_clip
from faceedit.errors import NumericError, UsageError, WeightsError
from faceedit.models.random import random_components
from faceedit.recipe import load_recipe
from faceedit.request import AttributePhrase, EditText
from faceedit.samplers.blended import blended_latents, latent_mask
from faceedit.samplers.ddim import add_noise, ddim_schedule

SIZE = 64
TEXT = EditText(
    phrases=(AttributePhrase("rosy cheeks", ("cheeks",), tokens=("rosy", "cheeks")),),
    source="a person",
    target="a person with rosy cheeks",
)


@pytest.fixture(scope="module")
def components():
    return random_components(seed=0)


def editor_with(components, **overrides):
    return build_editor(load_recipe("smoke/inpaint", {"sampling.steps": "4", **overrides}), components)


def picture(seed=0):
    return np.random.default_rng(seed).random((SIZE, SIZE, 3), dtype=np.float32)


def square_mask():
    mask = np.zeros((SIZE, SIZE), dtype=np.float32)
    mask[16:40, 24:48] = 1
    return mask


def run(editor, seed=0, mask=None, text=TEXT):
    trajectory = editor.invert(picture(), text.source)
    generator = torch.Generator().manual_seed(seed)
    return trajectory, list(editor.edit(trajectory, text, square_mask() if mask is None else mask, generator))


def test_the_known_region_ends_as_the_clean_latents(components):
    """Breaks if the last blend still holds noise, or if it is left out."""
    trajectory, steps = run(editor_with(components))
    m = latent_mask(torch.from_numpy(square_mask())[None, None], (16, 16), 0.25)
    final = steps[-1].latents
    outside = (m == 0).expand_as(final)
    assert torch.equal(final[outside], trajectory.latents[outside])
    assert not torch.equal(final[~outside], trajectory.latents[~outside])


def test_the_known_region_is_renoised_with_the_same_noise_at_every_step(components):
    """Breaks if fresh noise is drawn per step, which flickers at the seam."""
    z0 = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1))
    noise = torch.randn(2, 4, 8, 8, generator=torch.Generator().manual_seed(2))
    mask = torch.zeros(1, 1, 8, 8)
    mask[..., 2:5, 2:5] = 1
    schedule = ddim_schedule(dict(components.scheduler.config), 5)
    outside = (mask == 0).expand_as(noise)
    for i, z in enumerate(blended_latents(lambda z, _: 0.1 * z, z0, mask, schedule, noise)):
        expected = z0.expand_as(noise) if i == 4 else add_noise(z0, noise, schedule.alpha_bar[i + 1])
        assert torch.equal(z[outside], expected[outside])


def test_same_seed_same_latents_and_other_seed_others(components):
    editor = editor_with(components)
    first, again, other = (run(editor, seed)[1][-1].latents for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_an_edit_leaves_no_state_behind(components):
    """Breaks if one request changes what the next one sees."""
    editor = editor_with(components)
    alone = run(editor)[1][-1].latents
    run(editor, text=replace(TEXT, target="a person with a hat", negative="a person with freckles"))
    assert torch.equal(run(editor)[1][-1].latents, alone)


@pytest.mark.parametrize(("strength", "expected"), [("1.0", 4), ("0.5", 2), ("0.0", 1)])
def test_strength_is_the_share_of_steps_that_is_run(components, strength, expected):
    _, steps = run(editor_with(components, **{"sampling.strength": strength}))
    assert [step.number for step in steps] == list(range(1, expected + 1))
    assert {step.total for step in steps} == {expected}


def test_the_negative_sentence_guides(components):
    """Breaks if the removal's negative sentence never reaches the unconditional branch."""
    editor = editor_with(components)
    plain = run(editor)[1][-1].latents
    away = run(editor, text=replace(TEXT, negative="a person with glasses"))[1][-1].latents
    assert not torch.equal(plain, away)


def test_guidance_one_ignores_the_negative_sentence(components):
    editor = editor_with(components, **{"sampling.guidance": "1.0"})
    plain = run(editor)[1][-1].latents
    away = run(editor, text=replace(TEXT, negative="a person with glasses"))[1][-1].latents
    torch.testing.assert_close(plain, away, rtol=1e-4, atol=1e-4)


def test_of_several_candidates_the_one_that_clip_prefers_is_kept(components):
    editor = editor_with(components, **{"inpaint.candidates": "3"})
    trajectory = editor.invert(picture(), TEXT.source)
    noise = torch.Generator().manual_seed(0)
    kept = list(editor.edit(trajectory, TEXT, square_mask(), noise))[-1].latents
    assert kept.shape == trajectory.latents.shape
    # The three candidates one by one: the same noise rows, one at a time.
    rows = torch.randn((3, 4, 16, 16), generator=torch.Generator().manual_seed(0))
    schedule = ddim_schedule(editor.backbone.scheduler_config, 4)
    text = editor.backbone.encode_text([TEXT.negative, TEXT.target])
    m = latent_mask(torch.from_numpy(square_mask())[None, None], (16, 16), 0.25)

    @torch.no_grad()
    def denoise(z, t):
        uncond, cond = editor.backbone.predict_noise(torch.cat([z, z]), t, text).chunk(2)
        return uncond + editor.sampling.guidance * (cond - uncond)

    singles = [list(blended_latents(denoise, trajectory.latents, m, schedule, rows[i : i + 1]))[-1] for i in range(3)]
    images = np.concatenate([editor.backbone.decode_image(z) for z in singles])
    best = best_by_clip(components, images, TEXT)
    torch.testing.assert_close(kept, singles[best], rtol=1e-4, atol=1e-4)


def test_ranking_without_a_vision_encoder_is_refused(components):
    editor = editor_with(replace(components, vision=None), **{"inpaint.candidates": "2"})
    with pytest.raises(WeightsError, match="CLIP"):
        run(editor)


def test_nine_channels_take_mask_then_masked_picture():
    """Breaks if the order of the published inpainting checkpoint (latents, mask, masked picture) is changed."""
    nine = random_components(seed=0, channels=9)
    editor = editor_with(nine)
    seen = []
    handle = nine.unet.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    try:
        trajectory, steps = run(editor)
    finally:
        handle.remove()
    sample = seen[0]
    mask = torch.from_numpy(square_mask())[None, None]
    assert sample.shape == (2, 9, 16, 16)
    assert torch.equal(sample[:1, 4:5], latent_mask(mask, (16, 16), 0.25))
    hidden = editor.backbone.encode_image(trajectory.pixels * (mask < 0.5))
    torch.testing.assert_close(sample[:1, 5:], hidden)
    assert torch.isfinite(steps[-1].latents).all()


def test_non_finite_latents_stop_the_edit():
    """Breaks if NaN were carried on to a black picture."""
    broken = random_components(seed=0)
    broken.unet.conv_out.bias.data[0] = float("nan")
    with pytest.raises(NumericError, match="non-finite"):
        run(editor_with(broken))


def test_a_sentence_that_the_encoder_cannot_read_whole_is_refused(components):
    with pytest.raises(UsageError, match="77 tokens"):
        run(editor_with(components), text=replace(TEXT, target="a person with " + "very " * 90 + "rosy cheeks"))


def test_inverted_noise_gives_the_picture_back_where_nothing_is_asked(components):
    """Breaks when inversion and sampling do not walk the same steps: same sentence, no guidance, same latents."""
    same = replace(TEXT, target=TEXT.source)
    errors = {}
    for noise in ("inverted", "random"):
        editor = editor_with(components, **{"inpaint.noise": noise, "sampling.guidance": "1.0", "sampling.steps": "40"})
        trajectory, steps = run(editor, text=same)
        errors[noise] = float((steps[-1].latents - trajectory.latents).abs().mean())
    assert errors["inverted"] < 0.2 * errors["random"]


def test_contrast_leads_away_from_the_source_sentence(components):
    """Breaks when the option never reaches the unconditional branch."""
    plain = run(editor_with(components))[1][-1].latents
    away = run(editor_with(components, **{"inpaint.contrast": "source"}))[1][-1].latents
    asked = run(editor_with(components), text=replace(TEXT, negative=TEXT.source))[1][-1].latents
    assert torch.equal(away, asked)
    assert not torch.equal(away, plain)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 63), st.integers(0, 63), st.integers(1, 6), st.floats(0, 0.99))
def test_no_mask_vanishes_on_the_latent_grid(x, y, side, threshold):
    """Breaks if a small region falls below the threshold in every cell: the edit would be a silent no-op."""
    mask = torch.zeros(1, 1, 64, 64)
    mask[..., y : y + side, x : x + side] = 1
    cells = latent_mask(mask, (16, 16), threshold)
    assert cells.sum() >= 1
    assert set(cells.unique().tolist()) <= {0.0, 1.0}
    touched = torch.nn.functional.max_pool2d(mask, 4)
    assert (cells <= touched).all()
