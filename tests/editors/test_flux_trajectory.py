"""Flux-Sculptor's inversion: what it keeps, what goes to disk, and what an edit makes of it again."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from faceedit.attention.value_bank import HostBank
from faceedit.editors.base import KeepsTrajectories, build_editor
from faceedit.editors.flux_sculptor import backbone as backbone_module
from faceedit.errors import UsageError
from faceedit.models.flux import pack
from faceedit.models.random_flux import random_flux_components
from faceedit.prompts import parse
from faceedit.recipe import load_recipe
from faceedit.trajectories import TrajectoryCache, trajectory_of

STEPS, SOURCE = 5, "a person"
ROSY = parse(["rosy cheeks"], SOURCE)


@pytest.fixture(scope="module")
def components():
    return random_flux_components(seed=0)


def recipe_with(**options):
    named = {key.replace("__", "."): str(value) for key, value in options.items()}
    return load_recipe("smoke/flux-sculptor", {"sampling.steps": str(STEPS), **named})


def editor_with(components, **options):
    return build_editor(recipe_with(**options), components)


def picture():
    return np.random.default_rng(0).random((64, 64, 3), dtype=np.float32)


def edited(editor, trajectory):
    mask = np.zeros((64, 64), np.float32)
    mask[16:40, 24:48] = 1
    return list(editor.edit(trajectory, ROSY, mask, torch.Generator()))[-1].latents


@pytest.mark.parametrize("solver", ["rf-solver", "fireflow", "euler"])
def test_the_path_leads_from_the_picture_through_every_node(components, solver) -> None:
    """Breaks when a midpoint or node is kept under another number: each must give the next by its own velocity."""
    editor = editor_with(components, solver=solver)
    found = editor.invert(picture(), SOURCE)
    flux, plan = editor.flux, editor.plan
    text = flux.encode_text([SOURCE])
    assert torch.equal(found.path[0], pack(found.latents)[0])
    assert len(found.path) == STEPS + 1 and len(found.midpoints) == (0 if solver == "euler" else STEPS)
    for i in range(1, STEPS + 1):
        key = ("n", i - 1) if solver == "euler" else ("m", i)
        v = flux.velocity(found.at(key), plan.time_of(key), text, 1.0, (8, 8))
        length = plan.times[i] - plan.times[i - 1]
        torch.testing.assert_close(found.path[i - 1, None] + length * v, found.path[i, None], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("bank", ["store", "dual"])
@pytest.mark.parametrize("solver", ["rf-solver", "fireflow", "euler"])
def test_an_edit_from_the_disk_is_the_same_edit(components, tmp_path, solver, bank) -> None:
    """Breaks when a bank that is filled anew holds other bits than the inversion put there, or anything else of a
    trajectory is lost on the way."""
    recipe = recipe_with(solver=solver, bank=bank)
    editor = build_editor(recipe, components)
    assert isinstance(editor, KeepsTrajectories)
    cache = TrajectoryCache(tmp_path, 10**9)
    made, _ = trajectory_of(editor, picture(), SOURCE, recipe, cache)
    found, _ = trajectory_of(build_editor(recipe, components), picture(), SOURCE, recipe, cache)
    assert found is not made and cache.usage()[0] == 1
    first, second, third = edited(editor, made), edited(editor, found), edited(editor, found)
    assert torch.equal(first, second) and torch.equal(second, third)
    if bank == "store":
        assert not any(found.bank.lacks(key) for key in editor.plan.keys)
    assert cache.usage()[1] < 10 * (made.path.nbytes + made.midpoints.nbytes + made.pixels.nbytes)


def test_a_part_that_is_missing_is_noticed(components) -> None:
    editor = editor_with(components)
    tensors, texts = editor.invert(picture(), SOURCE).to_tensors()
    assert not any("bank" in name for name in (*tensors, *texts))
    with pytest.raises(KeyError, match="midpoints"):
        editor.restore({k: v for k, v in tensors.items() if k != "midpoints"}, texts)


def test_settings_tell_apart_what_gives_other_numbers(components) -> None:
    """Breaks when a trajectory of another solver, schedule or guidance is taken from the cache, or one that serves is
    passed over: what only an edit reads does not matter."""
    base = editor_with(components).trajectory_settings()
    for other in ({"solver": "euler"}, {"sampling.steps": 4}, {"sampling.strength": 0.5}, {"inversion_guidance": 2}):
        options = {key.replace(".", "__"): value for key, value in other.items()}
        assert editor_with(components, **options).trajectory_settings() != base
    same = {"structure_steps": 2, "value_blocks": 1, "fusion": "latent", "mask": "hard", "bank": "dual"}
    assert editor_with(components, **same, sampling__guidance=4).trajectory_settings() == base


def test_a_bank_in_the_machines_memory_gives_the_same_bits(components, monkeypatch) -> None:
    """Breaks when a value is fetched ahead into the wrong place; on a GPU this is the way that saves its memory."""
    plain = editor_with(components, bank="store")
    hosted = editor_with(components, bank="store")
    monkeypatch.setattr(hosted.backbone, "new_bank", lambda keys, _asked: HostBank(keys, hosted.plan.blocks))
    there = hosted.invert(picture(), SOURCE)
    assert isinstance(there.bank, HostBank)
    assert torch.equal(edited(hosted, there), edited(plain, plain.invert(picture(), SOURCE)))


def test_memory_decides_between_bank_and_two_rows(components, monkeypatch) -> None:
    """Breaks when a bank that does not fit is begun, or one that was asked for is silently left out."""
    monkeypatch.setattr(backbone_module, "free_device_bytes", lambda _device: 1 << 20)
    assert editor_with(components, bank="auto").invert(picture(), SOURCE).bank is None
    with pytest.raises(UsageError, match="the value bank needs") as caught:
        editor_with(components, bank="store").invert(picture(), SOURCE)
    assert caught.value.exit_code == 2
    monkeypatch.setattr(backbone_module, "free_device_bytes", lambda _device: 1 << 40)
    bank = editor_with(components, bank="auto", value_blocks=3, structure_steps=2).invert(picture(), SOURCE).bank
    assert bank is not None
    keys, tokens, width = 2 * (STEPS - 2), 64, 32
    assert bank.nbytes == keys * 3 * tokens * width * 4


@pytest.mark.parametrize("fusion", ["latent", "none"])
def test_without_value_fusion_nothing_is_kept(components, fusion) -> None:
    assert editor_with(components, fusion=fusion, bank="store").invert(picture(), SOURCE).bank is None
