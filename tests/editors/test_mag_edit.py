"""Whole MAG-Edit edits on tiny real components."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from faceedit.editors.base import build_editor
from faceedit.editors.mag_edit.guidance import dilated
from faceedit.errors import NothingToEditError, NumericError, UsageError
from faceedit.models.random import random_components
from faceedit.prompts import parse
from faceedit.recipe import load_recipe
from faceedit.request import EditText
from faceedit.samplers.blended import latent_mask

SIZE = 64
ROSY = parse(["rosy cheeks"])
NO_GLASSES = parse(["no glasses"])


@pytest.fixture(scope="module")
def components():
    return random_components(seed=0)


def editor_with(components, **options):
    named = {key.replace("__", "."): str(value) for key, value in options.items()}
    return build_editor(
        load_recipe("smoke/mag-edit", {"sampling.steps": "6", "sampling.guidance": "2", **named}), components
    )


def picture():
    return np.random.default_rng(0).random((SIZE, SIZE, 3), dtype=np.float32)


def square_mask():
    mask = np.zeros((SIZE, SIZE), dtype=np.float32)
    mask[16:40, 24:48] = 1
    return mask


def run(editor, text: EditText = ROSY, mask=None, trajectory=None):
    trajectory = trajectory or editor.invert(picture(), text.source)
    mask = square_mask() if mask is None else mask
    return trajectory, list(editor.edit(trajectory, text, mask, torch.Generator()))


def final(editor, text: EditText = ROSY, mask=None) -> torch.Tensor:
    return run(editor, text, mask)[1][-1].latents


@pytest.mark.parametrize("inversion", ["direct", "null-text", "npi"])
@pytest.mark.parametrize(("text", "preset"), [(ROSY, "colour"), (ROSY, "shape"), (NO_GLASSES, "auto")])
def test_the_fast_way_gives_the_latents_of_the_plain_way(components, inversion, text, preset) -> None:
    """Breaks when anything that is left out, made once or ended early changes an edit: cached text and
    reconstruction, shortened passes, fused attention, latents of the chain."""
    options = {"mag_edit__inversion": inversion, "mag_edit__preset": preset, "mag_edit__reweight": 1.5}
    fast, plain = (
        run(editor_with(components, exact_reference=exact, **options), text)[1] for exact in ("false", "true")
    )
    for ours, reference in zip(fast, plain, strict=True):
        torch.testing.assert_close(ours.latents, reference.latents, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("inversion", ["null-text", "npi"])
def test_the_reconstruction_is_the_inversions_chain_bit_by_bit(components, inversion) -> None:
    """Breaks when the branch that is read from the trajectory is not the one that would be sampled."""
    editor = editor_with(components, inversion=inversion, exact_reference="true")
    trajectory, _ = run(editor)
    branches = editor._branches(trajectory, ROSY, torch.from_numpy(square_mask())[None, None], _plan(editor))
    source = trajectory.chain[0]
    with torch.no_grad():
        for i in range(6):
            source = editor._reconstructed(trajectory, branches, source, i, editor.schedule)
            assert torch.equal(source, trajectory.chain[i + 1])


def _plan(editor):
    from faceedit.editors.mag_edit.plan import plan_edit

    return plan_edit(editor.options, 6, 1.0, ROSY.phrases)


def test_outside_the_dilated_mask_the_reconstruction_is_left(components) -> None:
    """Breaks when the last steps are not blended, or with another mask than the one grown by a cell."""
    trajectory, steps = run(editor_with(components))
    wide = dilated(latent_mask(torch.from_numpy(square_mask())[None, None], (16, 16), 0.5))
    outside = (wide == 0).expand_as(trajectory.latents)
    assert torch.equal(steps[-1].latents[outside], trajectory.latents[outside])
    assert not torch.equal(steps[-1].latents[~outside], trajectory.latents[~outside])


def test_guidance_gains_ground_for_the_word_inside_the_mask(components) -> None:
    """Breaks when guidance does not reach the latents, or leads the wrong way: the word's share of attention
    inside the mask after one guided step against none."""
    shares = {}
    for constraint in ("none", "spatial"):
        editor = editor_with(
            components, constraint=constraint, preset="shape", iterations=6, inject=1, mag_edit__scale=40
        )
        maps = run(editor)[1][0].maps["attention"]
        inside = torch.from_numpy(square_mask()[::4, ::4]) > 0
        shares[constraint] = float(maps[inside].sum() / maps.sum())
    assert shares["spatial"] > shares["none"]


def test_strength_zero_is_the_edit_without_guidance(components) -> None:
    none = final(editor_with(components, constraint="none"))
    assert torch.equal(final(editor_with(components, sampling__strength=0)), none)
    half, full = (final(editor_with(components, sampling__strength=s)) for s in (0.5, 1))
    assert 0 < (half - none).abs().mean() < (full - none).abs().mean()


def test_an_inversion_serves_any_number_of_edits(components) -> None:
    """Breaks when an edit leaves something in the trajectory, the editor or the network."""
    editor = editor_with(components)
    trajectory, steps = run(editor)
    run(editor, parse(["sunglasses"], ROSY.source), trajectory=trajectory)
    again = run(editor, trajectory=trajectory)[1]
    assert torch.equal(steps[-1].latents, again[-1].latents)
    restored = editor.restore(*trajectory.to_tensors())
    assert torch.equal(run(editor, trajectory=restored)[1][-1].latents, steps[-1].latents)


def test_two_edits_may_take_turns(components) -> None:
    """Breaks when an edit leaves its processors on the network between its steps."""
    editor = editor_with(components)
    alone = final(editor)
    trajectory = editor.invert(picture(), ROSY.source)
    before = {name: id(p) for name, p in components.unet.attn_processors.items()}
    first, second = (editor.edit(trajectory, ROSY, square_mask(), torch.Generator()) for _ in range(2))
    pairs = []
    for pair in zip(first, second, strict=True):
        pairs.append(pair)
        assert {name: id(p) for name, p in components.unet.attn_processors.items()} == before
    assert torch.equal(pairs[-1][0].latents, alone) and torch.equal(pairs[-1][1].latents, alone)


def test_the_words_attention_is_shown(components) -> None:
    maps = [step.maps.get("attention") for step in run(editor_with(components, preset="colour"))[1]]
    assert maps[0].shape == (16, 16) and float(maps[0].max()) == 1 and float(maps[0].min()) >= 0
    assert maps[-1] is None


def test_shares_of_phrases_count(components) -> None:
    """Breaks when eq. 9's weights are read and dropped."""
    two = parse(["rosy cheeks", "red lips"])
    equal, same, other = (
        final(editor_with(components, preset="colour", mag_edit__shares=text), two)
        for text in ("", "0.5,0.5", "0.9,0.1")
    )
    assert torch.equal(equal, same)
    assert not torch.equal(equal, other)


def test_a_removal_is_led_away_from_the_sources_word(components) -> None:
    """Breaks when "no glasses" takes the word's attention over from the source, or is not guided at all."""
    plain = final(editor_with(components, constraint="none"), NO_GLASSES)
    guided = final(editor_with(components), NO_GLASSES)
    unguided = final(editor_with(components, negative="none", constraint="none"), NO_GLASSES)
    assert not torch.equal(plain, guided)
    assert torch.equal(plain, unguided)


def test_negative_words_count(components) -> None:
    """Breaks when eq. 7's second term is read and dropped, or the words are looked for in another sentence."""
    text = parse(["turn black hair blond"])
    assert (text.source, text.target) == ("a person with black hair", "a person with blond hair")
    plain = final(editor_with(components), text)
    away = final(editor_with(components, negative="black"), text)
    replaced = final(editor_with(components, negative="replaced"), text)
    assert not torch.equal(plain, away)
    assert replaced.isfinite().all() and not torch.equal(replaced, plain)
    with pytest.raises(UsageError, match="'brown' is not in the sentence 'a person with black hair'"):
        final(editor_with(components, negative="brown"), text)
    said = final(editor_with(components, negative="brown", negative_prompt="a man with brown hair"), text)
    assert not torch.equal(said, plain)


def test_a_target_that_only_removes_words(components) -> None:
    """Breaks when fewer words than the source's leave the edit without anything to follow, or with NaN."""
    text = EditText(NO_GLASSES.phrases, "a person with glasses", "a person", "a person with glasses")
    assert final(editor_with(components), text).isfinite().all()


def test_sentences_that_say_the_same_are_refused(components) -> None:
    with pytest.raises(UsageError, match="says nothing that"):
        run(editor_with(components), replace(ROSY, source=ROSY.target))


def test_sentences_longer_than_the_encoder_reads_are_refused(components) -> None:
    with pytest.raises(UsageError, match="reads 77 tokens"):
        run(editor_with(components), replace(ROSY, target="a person with " + "very " * 90 + "rosy cheeks"))


def test_a_word_that_is_not_in_the_sentence_is_answered_with_its_tokens(components) -> None:
    with pytest.raises(UsageError, match="'rosy' is not in the sentence") as caught:
        run(editor_with(components), replace(ROSY, target="a person with red lips"))
    assert "its tokens are" in caught.value.hint


def test_a_mask_of_one_pixel_keeps_a_cell(components) -> None:
    """Breaks when a region below the attention's grid vanishes: the loss would be NaN."""
    mask = np.zeros((SIZE, SIZE), dtype=np.float32)
    mask[30, 30] = 1
    trajectory, steps = run(editor_with(components, sides="16,8"), mask=mask)
    assert steps[-1].latents.isfinite().all()
    assert not torch.equal(steps[-1].latents, trajectory.latents)


def test_an_empty_mask_is_refused(components) -> None:
    with pytest.raises(NothingToEditError, match="empty"):
        run(editor_with(components), mask=np.zeros((SIZE, SIZE), dtype=np.float32))


def test_masks_that_overlap_count_once(components) -> None:
    """Breaks when the sum of two masks doubles the update and overshoots the blend."""
    editor = editor_with(components)
    assert torch.equal(final(editor, mask=square_mask() * 2), final(editor))


def test_fp16_is_refused_and_bf16_runs() -> None:
    half = random_components(seed=0)
    half.unet.half()
    with pytest.raises(UsageError, match="fp16"):
        editor_with(half)
    for module in (half.unet, half.text_encoder, half.vae):
        module.bfloat16()
    assert final(editor_with(half)).isfinite().all()


def test_an_inpainting_unet_is_refused() -> None:
    with pytest.raises(UsageError, match="inpainting"):
        editor_with(random_components(seed=0, channels=9))


def test_a_trajectory_of_other_steps_is_refused(components) -> None:
    trajectory, _ = run(editor_with(components))
    with pytest.raises(UsageError, match="has 6 steps, not 4"):
        run(editor_with(components, sampling__steps=4), trajectory=trajectory)


def test_a_size_that_no_layer_has_is_refused(components) -> None:
    with pytest.raises(UsageError, match="12 x 12"):
        run(editor_with(components, sides="12"))


def test_non_finite_values_stop_the_edit() -> None:
    """Breaks if NaN were carried on to a black picture."""
    editor = editor_with(random_components(seed=0))
    trajectory = editor.invert(picture(), ROSY.source)
    editor.backbone.unet.conv_in.bias.data[0] = float("nan")
    with pytest.raises(NumericError, match="non-finite"):
        run(editor, trajectory=trajectory)
