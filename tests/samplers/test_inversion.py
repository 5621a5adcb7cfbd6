"""DDIM inversion, null-text optimisation and the ways back, on tiny real components."""

from __future__ import annotations

import pytest
import torch

from faceedit.errors import NumericError
from faceedit.models.random import random_components
from faceedit.models.stable_diffusion import StableDiffusion
from faceedit.samplers.ddim import ddim_schedule, ddim_step
from faceedit.samplers.inversion import conditional_chain, ddim_chain, ddim_noise, guided_chain, sample_chain
from faceedit.samplers.null_text import null_text

STEPS = 6
GUIDANCE = 7.5


@pytest.fixture(scope="module")
def backbone():
    return StableDiffusion(random_components(seed=0))


@pytest.fixture(scope="module")
def schedule(backbone):
    return ddim_schedule(backbone.scheduler_config, STEPS)


@pytest.fixture(scope="module")
def texts(backbone):
    source, empty = backbone.encode_text(["a person with glasses", ""]).split(1)
    return source, empty


@pytest.fixture(scope="module")
def z0():
    return torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def chain(backbone, schedule, texts, z0):
    with torch.no_grad():
        return ddim_chain(lambda z, t: backbone.predict_noise(z, t, texts[0]), z0, schedule)


@pytest.fixture(scope="module")
def optimised(backbone, schedule, texts, chain):
    return null_text(backbone.predict_noise, chain, *texts, schedule, GUIDANCE)


def test_the_chain_is_null_text_inversions_own(backbone, schedule, texts, z0, chain):
    """Breaks if a step is told another timestep or noise level than the published notebook's `ddim_loop`."""
    alpha_bar = backbone.scheduler_config
    z, latents = z0, [z0]
    bars = torch.cumprod(
        1 - torch.linspace(alpha_bar["beta_start"] ** 0.5, alpha_bar["beta_end"] ** 0.5, 1000) ** 2, dim=0
    )
    for t in reversed(schedule.timesteps.tolist()):
        before = t - 1000 // STEPS
        a, a_next = bars[before] if before >= 0 else bars[0], bars[t]
        with torch.no_grad():
            eps = backbone.predict_noise(z, torch.tensor(t), texts[0])
        z = a_next.sqrt() * ((z - (1 - a).sqrt() * eps) / a.sqrt()) + (1 - a_next).sqrt() * eps
        latents.insert(0, z)
    torch.testing.assert_close(chain, torch.stack(latents), rtol=1e-5, atol=1e-5)
    assert torch.equal(chain[-1], z0)


def test_the_noise_of_an_inversion_keeps_its_bits(backbone, schedule, texts, z0):
    """Breaks if the inpainting editor's inverted noise moves by one bit; its timesteps are those that are left."""

    def denoise(z, t):
        with torch.no_grad():
            return backbone.predict_noise(z, t, texts[0])

    z = z0
    for i, t in zip(range(STEPS - 1, -1, -1), [1, *schedule.timesteps.flip(0)[:-1].tolist()], strict=True):
        z = ddim_step(z, denoise(z, torch.tensor(t)), schedule.alpha_bar[i + 1], schedule.alpha_bar[i])
    expected = (z - schedule.alpha_bar[0].sqrt() * z0) / (1 - schedule.alpha_bar[0]).sqrt()
    assert torch.equal(ddim_noise(denoise, z0, schedule), expected)


def test_sampling_undoes_an_inversion_that_knew_the_noise(schedule, z0):
    """Breaks if the way back is not the way there with the noise levels exchanged."""
    eps = torch.randn(STEPS, *z0.shape, generator=torch.Generator().manual_seed(2))
    steps = {int(t): i for i, t in enumerate(schedule.timesteps)}
    there = ddim_chain(lambda _, t: eps[steps[int(t)]], z0, schedule)
    torch.testing.assert_close(sample_chain(lambda _, i: eps[i], there[0], schedule), there, rtol=1e-4, atol=1e-4)


def test_null_text_records_its_own_reconstruction(backbone, schedule, texts, optimised):
    """Breaks if an embedding is kept that is not the one its step ended with: an edit would run beside another."""
    with torch.no_grad():
        again = guided_chain(backbone.predict_noise, optimised.chain[0], texts[0], optimised.null, schedule, GUIDANCE)
    assert torch.equal(again, optimised.chain)


def test_null_text_lowers_the_loss_of_every_step(optimised):
    """Breaks if the gradient has the wrong sign, is lost on the way, or updates another tensor than is used."""
    for trace in optimised.losses:
        assert trace[-1] < trace[0] or len(trace) == 1
    assert any(len(trace) > 1 for trace in optimised.losses)


def test_null_text_comes_closer_than_the_empty_sentence(backbone, schedule, texts, chain, optimised):
    with torch.no_grad():
        plain = guided_chain(backbone.predict_noise, chain[0], *texts, schedule, GUIDANCE)
    assert (optimised.chain - chain).square().mean() < (plain - chain).square().mean()


def test_null_text_starts_each_step_where_the_last_one_ended(backbone, schedule, texts, chain):
    """Breaks if a step starts from the empty sentence again, or if an update is left out when the loss is good enough.

    Adam's first update moves every element by its rate, whatever the gradient; with one update per step the distance
    between two steps' embeddings is therefore known.
    """
    once = null_text(backbone.predict_noise, chain, *texts, schedule, GUIDANCE, inner_steps=1)
    path = torch.cat([texts[1], once.null])
    for i in range(STEPS):
        rate = 1e-2 * (1 - i / (2 * STEPS))
        moved = (path[i + 1] - path[i]).abs()
        assert moved.max() <= rate * 1.001
        assert moved.median() > rate * 0.5
    assert [len(trace) for trace in once.losses] == [1] * STEPS


def test_null_text_is_deterministic(backbone, schedule, texts, chain, optimised):
    again = null_text(backbone.predict_noise, chain, *texts, schedule, GUIDANCE)
    assert torch.equal(again.null, optimised.null)
    assert torch.equal(again.chain, optimised.chain)


def test_null_text_predicts_the_condition_once_per_step(backbone, schedule, texts, chain):
    """Breaks if an update or the step itself predicts again what cannot have changed."""
    asked = []

    def counted(z, t, text):
        asked.append(text is texts[0])
        assert torch.is_grad_enabled() == text.requires_grad
        return backbone.predict_noise(z, t, text)

    found = null_text(counted, chain, *texts, schedule, GUIDANCE)
    assert sum(asked) == STEPS
    assert len(asked) == STEPS + sum(len(trace) for trace in found.losses) + STEPS


@pytest.mark.usefixtures("optimised")
def test_no_network_keeps_a_gradient(backbone):
    assert all(p.grad is None and not p.requires_grad for p in backbone.unet.parameters())


def test_without_guidance_null_text_leaves_the_empty_sentence(backbone, schedule, texts, chain):
    found = null_text(backbone.predict_noise, chain, *texts, schedule, 1.0)
    assert found.losses == ()
    assert torch.equal(found.null, texts[1].expand(STEPS, -1, -1))


def test_the_sources_own_embedding_cancels_guidance(backbone, schedule, texts, chain):
    """Breaks if negative-prompt inversion needs the second prediction after all."""
    with torch.no_grad():
        single = conditional_chain(backbone.predict_noise, chain[0], texts[0], schedule)
        double = guided_chain(backbone.predict_noise, chain[0], texts[0], texts[0], schedule, GUIDANCE)
        unguided = guided_chain(backbone.predict_noise, chain[0], *texts, schedule, 1.0)
    assert torch.equal(single, double)
    torch.testing.assert_close(single, unguided, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_prediction_that_is_not_finite_is_an_error(backbone, schedule, texts, chain, bad):
    def broken(z, t, text):
        return backbone.predict_noise(z, t, text) * (bad if t < 500 else 1)

    with pytest.raises(NumericError, match="non-finite"):
        null_text(broken, chain, *texts, schedule, GUIDANCE)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_networks_are_optimised_in_float32(schedule, texts, chain, dtype):
    """Breaks if the embedding is rounded, or if its gradient vanishes in half precision and the loss stays."""
    components = random_components(seed=0)
    components.unet.to(dtype)
    half = StableDiffusion(components)
    found = null_text(lambda z, t, text: half.predict_noise(z, t, text.to(dtype)), chain, *texts, schedule, GUIDANCE)
    assert found.null.dtype == found.chain.dtype == torch.float32
    assert not torch.equal(found.null, found.null.to(dtype).float())
    assert all(trace[-1] < trace[0] or len(trace) == 1 for trace in found.losses)
    assert any(len(trace) > 1 for trace in found.losses)
