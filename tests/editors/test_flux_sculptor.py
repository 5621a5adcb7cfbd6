"""Whole Flux-Sculptor edits on tiny real components."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from faceedit.editors.base import build_editor
from faceedit.errors import NothingToEditError, NumericError, UsageError
from faceedit.models.flux import pack, unpack
from faceedit.models.random_flux import random_flux_components
from faceedit.prompts import parse
from faceedit.recipe import load_recipe
from faceedit.request import EditText

SIZE, STEPS, T = 64, 6, 2
ROSY = parse(["rosy cheeks"])


@pytest.fixture(scope="module")
def components():
    return random_flux_components(seed=0)


def editor_with(components, **options):
    named = {key.replace("__", "."): str(value) for key, value in {"structure_steps": T, **options}.items()}
    return build_editor(load_recipe("smoke/flux-sculptor", {"sampling.steps": str(STEPS), **named}), components)


def picture(seed=0):
    return np.random.default_rng(seed).random((SIZE, SIZE, 3), dtype=np.float32)


def square_mask():
    mask = np.zeros((SIZE, SIZE), dtype=np.float32)
    mask[16:40, 24:48] = 1
    return mask


EVERYWHERE = np.ones((SIZE, SIZE), dtype=np.float32)


def run(editor, text: EditText = ROSY, mask=None, trajectory=None):
    trajectory = trajectory or editor.invert(picture(), text.source)
    mask = square_mask() if mask is None else mask
    return trajectory, list(editor.edit(trajectory, text, mask, torch.Generator()))


def final(editor, **given) -> torch.Tensor:
    return run(editor, **given)[1][-1].latents


@pytest.mark.parametrize("fusion", ["s2d-ec", "value"])
@pytest.mark.parametrize("keying", ["exact", "interval"])
@pytest.mark.parametrize("solver", ["rf-solver", "fireflow", "euler"])
def test_kept_values_and_two_rows_give_the_same_edit(components, solver, keying, fusion) -> None:
    """Breaks when the bank holds other values than the source has at that time, guidance and sentence; "interval"
    has the rows at different times."""
    options = {"solver": solver, "keying": keying, "fusion": fusion, "value_blocks": 5}
    stored, twofold = (run(editor_with(components, bank=bank, **options)) for bank in ("store", "dual"))
    assert stored[0].bank is not None and twofold[0].bank is None
    for one, other in zip(stored[1], twofold[1], strict=True):
        torch.testing.assert_close(one.latents, other.latents, rtol=0, atol=1e-5)
    plain = final(editor_with(components, solver=solver, fusion="none" if fusion == "value" else "latent"))
    assert not torch.allclose(stored[1][-1].latents, plain, atol=1e-3)


@pytest.mark.parametrize("bank", ["store", "dual"])
def test_with_the_whole_source_held_throughout_the_picture_comes_back(components, bank) -> None:
    """Breaks when eq. 10 does not end in Z_0, or eq. 13 lets a trace of the edit through: M = 0 and T = N."""
    for grid in ("token", "latent"):
        editor = editor_with(components, structure_steps=STEPS, mask="whole", mask_grid=grid, bank=bank)
        trajectory, steps = run(editor)
        assert torch.equal(steps[-1].latents, trajectory.latents)


@pytest.mark.parametrize("bank", ["store", "dual"])
def test_a_mask_over_everything_is_the_plain_edit(components, bank) -> None:
    """Breaks when M = 1 leaves anything of the source: bit by bit the plain RF-Solver edit."""
    plain = final(editor_with(components, fusion="none"), mask=EVERYWHERE)
    found = final(editor_with(components, bank=bank), mask=EVERYWHERE)
    assert torch.equal(found, plain) if bank == "store" else torch.allclose(found, plain, atol=1e-5)


@pytest.mark.parametrize("solver", ["rf-solver", "fireflow", "euler"])
@pytest.mark.parametrize("keying", ["exact", "interval"])
def test_every_value_that_is_kept_is_read_once_in_order(components, monkeypatch, solver, keying) -> None:
    """Breaks when an edit reads what the inversion did not write, or a bank is larger than what is read."""
    editor = editor_with(components, solver=solver, keying=keying, bank="store")
    trajectory = editor.invert(picture(), ROSY.source)
    assert not any(trajectory.bank.lacks(key) for key in editor.plan.keys) and trajectory.bank.keys == editor.plan.keys
    read, honest = [], trajectory.bank.read
    monkeypatch.setattr(trajectory.bank, "read", lambda *place: read.append(place) or honest(*place))
    run(editor, trajectory=trajectory)
    assert read == [(key, layer) for key in trajectory.bank.keys for layer in range(4)]


def outside(mask, latents):
    """Where no pixel of a token is edited, [1, C, h, w]."""
    share = torch.nn.functional.adaptive_avg_pool2d(torch.from_numpy(mask)[None, None], (8, 8))
    return (share == 0).repeat_interleave(2, 2).repeat_interleave(2, 3).expand_as(latents)


@pytest.mark.parametrize(("fusion", "held"), [("s2d-ec", True), ("latent", True), ("value", False), ("none", False)])
def test_the_first_steps_hold_the_straight_line_outside_the_mask(components, fusion, held) -> None:
    """Breaks when another number of steps shapes the structure, or the ablations do what they should leave out."""
    editor = editor_with(components, fusion=fusion)
    trajectory, steps = run(editor)
    out = outside(square_mask(), steps[0].latents)
    noise = unpack(trajectory.path[-1:], (8, 8))
    for step in steps:
        t = editor.plan.times[STEPS - step.number]
        line = (1 - t) * trajectory.latents + t * noise
        on_line = torch.allclose(step.latents[out], line[out], atol=1e-5)
        assert on_line == (held and step.number <= T)
        assert not torch.allclose(step.latents[~out], line[~out], atol=1e-2)


def test_latent_and_value_fusion_are_the_two_halves(components) -> None:
    """Breaks when a half is left out of S2D-EC or of its own ablation: latent fusion is the same until T, values
    alone are none until T."""
    steps = {fusion: run(editor_with(components, fusion=fusion))[1] for fusion in ("s2d-ec", "latent", "value", "none")}
    for number in range(STEPS):
        same = {name: torch.equal(steps[name][number].latents, steps["s2d-ec"][number].latents) for name in steps}
        assert same["latent"] == (number < T)
        assert torch.equal(steps["value"][number].latents, steps["none"][number].latents) == (number < T)
    assert torch.equal(final(editor_with(components, value_blocks=0)), steps["latent"][-1].latents), (
        "no block, no values"
    )


def test_the_source_may_follow_its_own_inversion(components) -> None:
    editor = editor_with(components, source_path="trajectory", mask="whole")
    trajectory, steps = run(editor)
    for step in steps[:T]:
        assert torch.equal(pack(step.latents)[0], trajectory.path[STEPS - step.number])


def test_an_inversion_serves_any_number_of_edits(components) -> None:
    """Breaks when an edit leaves something in the trajectory or the transformer, or the bank belongs to one mask."""
    editor = editor_with(components, bank="store")
    trajectory, steps = run(editor)
    other = run(editor, parse(["sunglasses"], ROSY.source), EVERYWHERE, trajectory)[1]
    again = run(editor, trajectory=trajectory)[1]
    assert torch.equal(steps[-1].latents, again[-1].latents)
    assert not torch.equal(steps[-1].latents, other[-1].latents)


@pytest.mark.parametrize("options", [{}, {"structure_steps": 1}, {"value_blocks": 5}, {"keying": "interval"}])
@pytest.mark.parametrize("bank", ["store", "dual"])
def test_one_inversion_serves_editors_with_other_settings(components, bank, options) -> None:
    """Breaks when a bank is taken that lacks a step or block of this edit, or is not the source's own."""
    trajectory = editor_with(components, bank="store").invert(picture(), ROSY.source)
    editor = editor_with(components, bank=bank, **options)
    torch.testing.assert_close(final(editor, trajectory=trajectory), final(editor), rtol=0, atol=1e-5)


def test_two_edits_may_take_turns_and_may_be_left(components) -> None:
    """Breaks when an edit leaves its processors on the transformer between its steps."""
    editor = editor_with(components)
    trajectory, alone = run(editor)
    before = {name: id(p) for name, p in components.transformer.attn_processors.items()}
    first, second = (editor.edit(trajectory, ROSY, square_mask(), torch.Generator()) for _ in range(2))
    for one, other, reference in zip(first, second, alone, strict=True):
        assert torch.equal(one.latents, reference.latents) and torch.equal(other.latents, reference.latents)
        assert {name: id(p) for name, p in components.transformer.attn_processors.items()} == before
    left = editor.edit(trajectory, ROSY, square_mask(), torch.Generator())
    next(left)
    left.close()
    assert {name: id(p) for name, p in components.transformer.attn_processors.items()} == before


def test_several_wishes_are_one_edit(components) -> None:
    """Breaks when prompts are edited one after the other: one pass, under a sentence that says all of it."""
    both = parse(["red lips", "no glasses"])
    assert "lips" in both.target and "glasses" in both.target
    trajectory, steps = run(editor_with(components), both)
    assert len(steps) == STEPS and trajectory.source == both.source
    assert not torch.equal(steps[-1].latents, final(editor_with(components), text=parse(["red lips"], both.source)))


@pytest.mark.parametrize("strength", [1.0, 0.5, 0.01])
def test_strength_is_the_share_of_the_steps_that_are_run(components, strength) -> None:
    """Breaks when a weaker edit is inverted further than it is led back."""
    editor = editor_with(components, sampling__strength=strength, bank="store")
    trajectory, steps = run(editor)
    wanted = max(1, round(STEPS * strength))
    assert len(steps) == wanted == steps[-1].total and len(trajectory.path) == wanted + 1
    held = editor_with(components, sampling__strength=strength, structure_steps=STEPS, mask="whole")
    assert torch.equal(final(held), trajectory.latents)


def test_the_steps_show_mask_and_change(components) -> None:
    """Breaks when what a step shows is no picture in [0, 1], or the mask lies elsewhere."""
    _, steps = run(editor_with(components, fusion="latent", structure_steps=STEPS))
    for step in steps:
        mask, change = step.maps["mask"], step.maps["change"]
        assert mask.shape == change.shape == (8, 8) and float(change.min()) >= 0 and float(change.max()) == 1
        assert mask[2, 3] == 1 and mask[0, 0] == 0
    assert float(steps[-1].maps["change"][mask == 0].max()) < 1e-4


def test_what_cannot_be_edited_is_refused(components) -> None:
    editor = editor_with(components)
    trajectory, _ = run(editor)
    with pytest.raises(NothingToEditError, match="mask is empty"):
        run(editor, mask=np.zeros((SIZE, SIZE), np.float32), trajectory=trajectory)
    with pytest.raises(UsageError, match="rf-solver in 6 steps, not fireflow in 6"):
        run(editor_with(components, solver="fireflow"), trajectory=trajectory)
    with pytest.raises(UsageError, match="not rf-solver in 3"):
        run(editor_with(components, sampling__strength=0.5), trajectory=trajectory)
    with pytest.raises(UsageError, match="reads 128 tokens"):
        run(editor, EditText((), ROSY.source, "long " * 80), trajectory=trajectory)


def test_a_network_that_answers_nonsense_is_an_error() -> None:
    components = random_flux_components(seed=0)
    editor = editor_with(components)
    trajectory, _ = run(editor)
    components.transformer.proj_out.bias.fill_(float("nan"))
    with pytest.raises(NumericError, match="inverted picture"):
        run(editor)
    with pytest.raises(NumericError, match="step 1"):
        run(editor, trajectory=trajectory)


@pytest.mark.parametrize("bank", ["store", "dual"])
def test_classifier_free_guidance_leads_from_the_source_to_the_target(components, bank) -> None:
    """Breaks when the two sentences change places, or one of them goes without the source's values: at scale 0 only the
    source's sentence speaks, and at scale 1 only the target's."""
    options = {"bank": bank, "sampling__guidance": 1.0}
    as_source = EditText(**{**vars(ROSY), "target": ROSY.source})
    plain, back = final(editor_with(components, **options)), final(editor_with(components, **options), text=as_source)
    barely = final(editor_with(components, true_cfg_scale=1.000001, **options))
    torch.testing.assert_close(barely, plain, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(final(editor_with(components, true_cfg_scale=0, **options)), back)
    far = final(editor_with(components, true_cfg_scale=4, **options))
    assert (far - back).norm() > 1.5 * (plain - back).norm()


def test_classifier_free_guidance_leads_from_the_negative_sentence_where_there_is_one(components) -> None:
    """Breaks when the sentence that a removal leads away from is not heard."""
    editor = editor_with(components, true_cfg_scale=4)
    told = EditText(**{**vars(ROSY), "negative": "a hat"})
    assert not torch.equal(final(editor), final(editor, text=told))
