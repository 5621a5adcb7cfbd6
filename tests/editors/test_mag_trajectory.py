"""MAG-Edit's trajectory: the three inversions on tiny real components, and taking one apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from faceedit.editors.mag_edit.trajectory import INVERSIONS, MagTrajectory, invert_portrait, trajectory_settings
from faceedit.errors import NumericError, UsageError
from faceedit.models.random import random_components
from faceedit.models.stable_diffusion import StableDiffusion
from faceedit.samplers.ddim import ddim_schedule
from faceedit.samplers.inversion import conditional_chain, ddim_chain, guided_chain

STEPS = 4
SOURCE = "a person"
GUIDANCE = 7.5


@pytest.fixture(scope="module")
def backbone():
    return StableDiffusion(random_components(seed=0))


@pytest.fixture(scope="module")
def schedule(backbone):
    return ddim_schedule(backbone.scheduler_config, STEPS)


def picture():
    return np.random.default_rng(0).random((64, 64, 3), dtype=np.float32)


def invert(backbone, inversion, **changes):
    options = {"schedule": ddim_schedule(backbone.scheduler_config, STEPS), "guidance": GUIDANCE, **changes}
    return invert_portrait(backbone, picture(), SOURCE, inversion=inversion, **options)


@pytest.mark.parametrize("inversion", INVERSIONS)
def test_the_branch_is_its_own_reconstruction(backbone, schedule, inversion):
    """Breaks if an edit's source branch would leave the latents that the trajectory says it has."""
    found = invert(backbone, inversion)
    source = backbone.encode_text([SOURCE])
    with torch.no_grad():
        there = ddim_chain(lambda z, t: backbone.predict_noise(z, t, source), found.latents, schedule)
        if inversion == "direct":
            again = there
        elif inversion == "npi":
            again = conditional_chain(backbone.predict_noise, there[0], source, schedule)
        else:
            again = guided_chain(backbone.predict_noise, there[0], source, found.null, schedule, GUIDANCE)
    assert torch.equal(found.chain, again)
    assert found.chain.shape == (STEPS + 1, 1, 4, 16, 16)
    assert torch.equal(found.chain[0], there[0])


def test_the_direct_branch_ends_in_the_picture(backbone):
    found = invert(backbone, "direct")
    assert torch.equal(found.chain[-1], found.latents)


@pytest.mark.parametrize(("inversion", "sentence", "rows"), [("direct", "", 1), ("npi", SOURCE, 1)])
def test_what_stands_for_nothing(backbone, inversion, sentence, rows):
    """Breaks if negative-prompt inversion guides away from the empty sentence, or direct inversion from another."""
    found = invert(backbone, inversion)
    assert found.null.shape[0] == rows
    assert torch.equal(found.null_at(STEPS - 1), backbone.encode_text([sentence]).float())


def test_null_text_has_an_embedding_for_each_step(backbone):
    found = invert(backbone, "null-text")
    assert found.null.shape[0] == STEPS
    assert len({found.null_at(i).sum().item() for i in range(STEPS)}) == STEPS


def test_it_is_taken_apart_and_put_together_bit_by_bit(backbone):
    found = invert(backbone, "null-text")
    again = MagTrajectory.from_tensors(*found.to_tensors(), torch.device("cpu"))
    assert (again.source, again.inversion) == (SOURCE, "null-text")
    for name in ("pixels", "latents", "chain", "null"):
        assert torch.equal(getattr(again, name), getattr(found, name)), name


def test_a_part_that_is_missing_is_noticed(backbone):
    tensors, texts = invert(backbone, "direct").to_tensors()
    with pytest.raises(KeyError, match="chain"):
        MagTrajectory.from_tensors({k: v for k, v in tensors.items() if k != "chain"}, texts, torch.device("cpu"))


def test_settings_tell_apart_what_gives_other_numbers(backbone, schedule):
    """Breaks if a trajectory of other steps or guidance would be taken from the cache, or a usable one passed over."""
    fewer = ddim_schedule(backbone.scheduler_config, STEPS - 1)
    cases = [(schedule, "direct", 7.5), (fewer, "direct", 7.5), (schedule, "npi", 7.5), (schedule, "null-text", 7.5)]
    found = [trajectory_settings(backbone, *case) for case in cases]
    assert all(a != b for i, a in enumerate(found) for b in found[:i])
    assert trajectory_settings(backbone, schedule, "direct", 3.0) == found[0]
    assert trajectory_settings(backbone, schedule, "null-text", 3.0) != found[3]


@pytest.mark.parametrize("inversion", INVERSIONS)
def test_a_network_that_answers_nonsense_is_an_error(inversion):
    components = random_components(seed=0)
    with torch.no_grad():
        components.unet.conv_out.bias.fill_(float("nan"))
    with pytest.raises(NumericError, match="non-finite"):
        invert(StableDiffusion(components), inversion)


def test_a_sentence_that_is_too_long_is_refused(backbone):
    with pytest.raises(UsageError, match="77 tokens"):
        invert_portrait(backbone, picture(), "long " * 80, ddim_schedule(backbone.scheduler_config, 2), "direct", 1.0)
