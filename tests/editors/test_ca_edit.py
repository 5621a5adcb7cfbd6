"""CA-Edit's editor on tiny real components: what each part does, and what is done without it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from faceedit.attention.ca2 import condition_adapter
from faceedit.editors.base import TellsNotes, build_editor
from faceedit.editors.ca_edit.conditions import Conditions, end_positions, known_surroundings, visual_keys
from faceedit.errors import NumericError, UsageError, WeightsError
from faceedit.models.condition_adapter import ConditionAdapter
from faceedit.models.random import TEXT_WIDTH, random_components
from faceedit.models.reference_net import ReferenceNet
from faceedit.models.residual_unet import predict_with_residuals
from faceedit.recipe import load_recipe
from faceedit.request import AttributePhrase, EditText
from faceedit.samplers.blended import blended_latents, latent_mask
from faceedit.samplers.ddim import ddim_schedule, guided

SIZE = 64
TEXT = EditText(
    (AttributePhrase("rosy cheeks", ("cheeks",), tokens=("rosy", "cheeks")),), "a person", "a person with rosy cheeks"
)
PLAIN = {"stfg.enabled": "false"}
BARE = {"ca_edit.reference": "false", "ca_edit.adapter": "false"}


@pytest.fixture(scope="module")
def components():
    return random_components(seed=0)


@pytest.fixture(scope="module")
def published(components):
    """An adapter as IP-Adapter's file gives it: made for the UNet, without a score predictor."""
    torch.manual_seed(1)
    return ConditionAdapter.from_net(components.unet, image_dim=TEXT_WIDTH).eval().requires_grad_(False)


def editor_with(components, recipe="smoke/ca-edit", **settings):
    return build_editor(load_recipe(recipe, {"sampling.steps": "3", **settings}), components)


def picture(seed=0):
    return np.random.default_rng(seed).random((SIZE, SIZE, 3), dtype=np.float32)


def square():
    values = np.zeros((SIZE, SIZE), dtype=np.float32)
    values[16:40, 24:48] = 1
    return values


def latent_square():
    return latent_mask(torch.from_numpy(square())[None, None], (16, 16), 0.5)


def run(editor, pixels=None, text=TEXT, seed=0):
    trajectory = editor.invert(picture() if pixels is None else pixels, text.source)
    return trajectory, list(editor.edit(trajectory, text, square(), torch.Generator().manual_seed(seed)))


def final(editor, **options):
    return run(editor, **options)[1][-1].latents


def test_outside_the_mask_the_latents_are_the_originals(components):
    """Breaks if reference net, adapter or STFG reach past the blending."""
    trajectory, steps = run(editor_with(components))
    outside = (latent_square() == 0).expand_as(trajectory.latents)
    assert torch.equal(steps[-1].latents[outside], trajectory.latents[outside])
    assert not torch.equal(steps[-1].latents[~outside], trajectory.latents[~outside])


@pytest.mark.parametrize("settings", [{}, {"inpaint.noise": "inverted"}, {"stfg.enabled": "true"}])
def test_without_its_parts_it_is_inpaint_to_the_last_bit(components, settings):
    """Reference net and adapter off: the same numbers as `inpaint`, with STFG and without."""
    ours = final(editor_with(components, **{**PLAIN, **BARE, **settings}))
    theirs = final(editor_with(components, recipe="smoke/inpaint", **settings))
    assert torch.equal(ours, theirs)


def test_it_is_the_papers_prediction_in_a_plain_loop(components):
    """Breaks when the halves are mixed up, the picture is not masked before it is encoded, or a condition is stale."""
    editor = editor_with(components, **PLAIN)
    trajectory, steps = run(editor)
    backbone, m = editor.backbone, latent_square()
    pixel_mask = torch.from_numpy(square())[None, None]
    text = backbone.encode_text(["", TEXT.target])
    pooled = torch.stack([text[0, 1], text[1, len(components.tokenizer(TEXT.target)["input_ids"]) - 1]])
    condition = known_surroundings(backbone, trajectory.pixels, pixel_mask, m).expand(2, -1, -1, -1)
    keys = visual_keys(components, components.adapter, trajectory.pixels)
    noise = torch.randn((1, 4, 16, 16), generator=torch.Generator().manual_seed(0))

    @torch.no_grad()
    def denoise(z, t):
        x = torch.cat([z, z])
        with condition_adapter(components.reference_net, components.adapter, keys, pooled, m):
            residuals = components.reference_net(x, t, text, condition)
        eps = predict_with_residuals(components.unet, x, t, text, residuals)
        return guided(*eps.chunk(2), editor.sampling.guidance)

    schedule = ddim_schedule(backbone.scheduler_config, 3)
    plain = list(blended_latents(denoise, trajectory.latents, m, schedule, noise))
    for step, z in zip(steps, plain, strict=True):
        torch.testing.assert_close(step.latents, z)


def test_the_picture_is_masked_before_it_is_encoded(components):
    """Breaks when what lies inside the mask reaches the reference net's condition."""
    editor = editor_with(components)
    pixel_mask = torch.from_numpy(square())[None, None]
    first = torch.randn(1, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    other = torch.where(pixel_mask > 0, -first, first)
    conditions = [known_surroundings(editor.backbone, p, pixel_mask, latent_square()) for p in (first, other)]
    assert torch.equal(*conditions)
    assert torch.equal(conditions[0][:, 4:], latent_square())


def test_the_adapter_sees_the_picture_and_blanked_it_sees_the_rest(components):
    """The inside of the mask is seen by the vision encoder alone, and not at all with `vision` blanked."""
    changed = np.where(square()[..., None] > 0, 1 - picture(), picture()).astype(np.float32)
    for vision, same in (("original", False), ("blanked", True)):
        editor = editor_with(components, **PLAIN, **{"ca_edit.vision": vision})
        mine, theirs = (editor.invert(pixels, TEXT.source) for pixels in (picture(), changed))
        known = torch.from_numpy(square())[None, None]
        predictors = [editor.predictor(t, TEXT, known, latent_square()) for t in (mine, theirs)]
        z, text = torch.zeros(2, 4, 16, 16), editor.backbone.encode_text(["", TEXT.target])
        with torch.no_grad():
            uncond, cond = zip(*(p(z, torch.tensor(500), text) for p in predictors), strict=True)
        assert torch.equal(*cond) is same
        assert torch.equal(*uncond)


def test_the_unconditional_half_gets_zeros_for_the_picture(components):
    keys = visual_keys(components, components.adapter, torch.zeros(1, 3, SIZE, SIZE))
    nothing = components.adapter.project_kv(components.adapter.visual_tokens(torch.zeros(1, TEXT_WIDTH)))
    assert all(torch.equal(keys[n][i][:1], nothing[n][i]) for n in nothing for i in (0, 1))


def test_pooled_text_is_the_feature_of_the_end_token(components):
    """Breaks when padding, which is the end token too, is taken instead, or the halves' rows are mixed up."""
    sentences = ["", TEXT.target]
    ends = end_positions(components.tokenizer, sentences)
    assert ends.tolist() == [len(components.tokenizer(sentence)["input_ids"]) - 1 for sentence in sentences]
    text = torch.randn(4, 77, 8, generator=torch.Generator().manual_seed(0))
    pooled = Conditions(None, latent_square(), {}, ends).for_rows(4).pooled(text)
    assert torch.equal(pooled, torch.stack([text[i, ends[i // 2]] for i in range(4)]))


@pytest.mark.parametrize(
    "settings",
    [
        {"ca_edit.adapter": "false"},
        {"ca_edit.score": "none"},
        {"ca_edit.score": "fixed"},
        {"ca_edit.score_scale": "spatial_minmax"},
        {"ca_edit.vision": "blanked"},
        {"ca_edit.unguided_vision": "picture"},
        {"ca_edit.reference": "false"},
        {"stfg.enabled": "true", "stfg.strength": "0.5"},
        {"inpaint.noise": "inverted"},
        {"inpaint.contrast": "source"},
    ],
)
def test_every_switch_changes_the_edit(components, settings):
    """Breaks when an option is read and dropped."""
    assert not torch.equal(final(editor_with(components, **PLAIN)), final(editor_with(components, **PLAIN | settings)))


def test_score_limits(components):
    """No score is parallel injection whatever the mask; a fixed score of 0 is the same, of 1 the text alone inside."""
    none = final(editor_with(components, **PLAIN, **{"ca_edit.score": "none"}))
    zero, one = (
        final(editor_with(components, **PLAIN, **{"ca_edit.score": "fixed", "ca_edit.fixed_score": value}))
        for value in ("0.0", "1.0")
    )
    torch.testing.assert_close(none, zero)
    assert not torch.allclose(none, one)


def test_maps_of_a_step(components):
    """The score of the conditional half, the boundary region and the attention, in [0, 1] on the latent grid."""
    _, steps = run(editor_with(components))
    for step in steps:
        assert set(step.maps) == {"score", "boundary", "attention"}
        for values in step.maps.values():
            assert values.shape == (16, 16) and values.dtype == torch.float32
            assert values.min() >= 0 and values.max() <= 1
            assert not values.requires_grad
    assert not torch.equal(steps[0].maps["score"], steps[-1].maps["score"])
    assert "score" not in run(editor_with(components, **{"ca_edit.score": "fixed"}))[1][0].maps


def test_what_is_constant_is_computed_once(components):
    """Breaks when CLIP or the VAE's encoder runs again at every step."""
    calls = []
    hooks = [
        module.register_forward_hook(lambda *_, name=name: calls.append(name))
        for name, module in (("vision", components.vision), ("encoder", components.vae.encoder))
    ]
    editor = editor_with(components, **{"inpaint.noise": "inverted"})
    try:
        run(editor)
    finally:
        for hook in hooks:
            hook.remove()
    assert sorted(calls) == ["encoder", "encoder", "vision"]


def test_an_edit_leaves_no_state_behind(components):
    """Processors and hooks are as before, and a second edit gives the first one's numbers; also after a failure."""
    editor = editor_with(components)
    before = dict(components.reference_net.attn_processors)
    alone = final(editor)
    run(editor, text=replace(TEXT, target="a person with a hat"))
    bias = components.unet.conv_out.bias.data.clone()
    components.unet.conv_out.bias.data[0] = float("nan")
    with pytest.raises(NumericError):
        run(editor)
    components.unet.conv_out.bias.data.copy_(bias)
    assert torch.equal(final(editor), alone)
    assert components.reference_net.attn_processors == before
    for net in (components.unet, components.reference_net):
        assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())


def test_inverted_noise_gives_the_picture_back_where_nothing_is_asked(components):
    """Inversion walks the same field, with the same mask and picture, as sampling does."""
    same = replace(TEXT, target=TEXT.source)
    errors = {}
    for noise in ("inverted", "random"):
        settings = {"inpaint.noise": noise, "sampling.guidance": "1.0", "sampling.steps": "40", **PLAIN}
        trajectory, steps = run(editor_with(components, **settings), text=same)
        errors[noise] = float((steps[-1].latents - trajectory.latents).abs().mean())
    assert errors["inverted"] < 0.2 * errors["random"]


def test_candidates_are_batched(components):
    """Three candidates at once are three candidates: the last latents are one of theirs, in shape and range."""
    trajectory, steps = run(editor_with(components, **{"inpaint.candidates": "3"}))
    assert steps[0].latents.shape == (3, 4, 16, 16)
    assert steps[-1].latents.shape == trajectory.latents.shape


def test_trained_parts_need_no_note(components):
    editor = editor_with(components)
    assert isinstance(editor, TellsNotes) and editor.notes == ()
    assert editor_with(components, **BARE).notes == ()


def test_a_published_adapter_works_in_the_unet_with_a_fixed_score(components, published):
    """IP-Adapter's file and no reference net: the gate is fixed, in the UNet itself, and the user is told."""
    bare = replace(components, reference_net=None, adapter=published)
    editor = editor_with(bare, **PLAIN)
    assert len(editor.notes) == 1 and "fixed score of 0.8" in editor.notes[0]
    assert editor.parts.host is components.unet
    assert torch.equal(final(editor), final(editor_with(bare, **PLAIN, **{"ca_edit.score": "fixed"})))
    assert editor_with(bare, **{"ca_edit.score": "none"}).notes == ()
    off = final(editor_with(replace(bare, adapter=None), **PLAIN))
    assert not torch.equal(final(editor), off)


def test_without_any_parts_it_says_what_it_is(components):
    bare = replace(components, reference_net=None, adapter=None)
    (note,) = editor_with(bare).notes
    assert "inpainting with STFG" in note and "weights.folders.reference_net" in note
    (plain,) = editor_with(bare, **PLAIN).notes
    assert "STFG" not in plain


def test_a_reference_net_alone_works_and_says_so(components):
    editor = editor_with(replace(components, adapter=None))
    assert "no adapter" in editor.notes[0]
    assert torch.isfinite(final(editor)).all()


def test_a_trained_adapter_without_its_reference_net_is_left_out(components):
    editor = editor_with(replace(components, reference_net=None))
    assert editor.parts.adapter is None
    assert "left out" in editor.notes[0]


def test_a_brushnet_reference_net_takes_the_maps_from_the_unet(components):
    """BrushNet's layout reads no text, so words and adapter have their place in the UNet."""
    torch.manual_seed(0)
    net = ReferenceNet.from_unet(components.unet, layout="brushnet").eval().requires_grad_(False)
    editor = editor_with(replace(components, reference_net=net, adapter=None))
    assert editor.parts.host is components.unet
    assert set(run(editor)[1][0].maps) == {"attention", "boundary"}


def test_parts_that_do_not_fit_are_refused(components):
    """Breaks when a shape error deep in an attention layer is all that a user sees."""
    other = random_components(seed=0)
    widths = {number: 2 * width for number, width in other.adapter.config.widths.items()}
    wide = ConditionAdapter(widths, image_dim=TEXT_WIDTH, text_dim=TEXT_WIDTH, pooled_dim=TEXT_WIDTH)
    with pytest.raises(WeightsError, match="layers of widths"):
        editor_with(replace(components, adapter=wide))
    with pytest.raises(WeightsError, match="vision encoder"):
        editor_with(replace(components, vision=None))
    with pytest.raises(UsageError, match="4-channel"):
        editor_with(random_components(seed=0, channels=9))
