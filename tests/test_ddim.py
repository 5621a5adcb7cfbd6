"""DDIM as free functions: against diffusers' scheduler, and forward against backward."""

from __future__ import annotations

import pytest
import torch
from diffusers import DDIMScheduler
from hypothesis import given
from hypothesis import strategies as st

from faceedit.errors import UsageError
from faceedit.samplers.ddim import add_noise, alphas_cumprod, ddim_schedule, ddim_step, guided, predict_z0

SD = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "set_alpha_to_one": False,
    "prediction_type": "epsilon",
}


def diffusers_scheduler(steps: int) -> DDIMScheduler:
    scheduler = DDIMScheduler(**SD, clip_sample=False, steps_offset=1)
    scheduler.set_timesteps(steps)
    return scheduler


def test_timesteps_are_those_of_stable_diffusion():
    schedule = ddim_schedule(SD, 50)
    assert schedule.timesteps[:3].tolist() == [981, 961, 941]
    assert schedule.timesteps[-1] == 1


@pytest.mark.parametrize("steps", [1, 7, 20, 50])
def test_schedule_and_steps_equal_diffusers(steps):
    """Breaks if spacing, offset, final alpha or the update formula drift from the published scheduler."""
    scheduler, schedule = diffusers_scheduler(steps), ddim_schedule(SD, steps)
    assert schedule.timesteps.tolist() == scheduler.timesteps.tolist()
    torch.testing.assert_close(alphas_cumprod(SD), scheduler.alphas_cumprod)
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(1, 4, 8, 8, generator=generator)
    eps = torch.randn(1, 4, 8, 8, generator=generator)
    for i, t in enumerate(schedule.timesteps):
        theirs = scheduler.step(eps, t, z).prev_sample
        ours = ddim_step(z, eps, schedule.alpha_bar[i], schedule.alpha_bar[i + 1])
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-5)


@given(st.integers(0, 999), st.integers(0, 999), st.integers(0, 2**31 - 1))
def test_a_step_forward_undoes_a_step_back(t, s, seed):
    """Breaks if inversion is not the same formula with the two noise levels exchanged."""
    alpha_bar = alphas_cumprod(SD).double()
    generator = torch.Generator().manual_seed(seed)
    z, eps = torch.randn(2, 1, 4, 4, 4, generator=generator, dtype=torch.float64)
    there = ddim_step(z, eps, alpha_bar[t], alpha_bar[s])
    torch.testing.assert_close(ddim_step(there, eps, alpha_bar[s], alpha_bar[t]), z, rtol=1e-7, atol=1e-7)


def test_the_clean_estimate_undoes_the_noise():
    z0, eps = torch.randn(2, 1, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    alpha_bar = alphas_cumprod(SD)[500]
    torch.testing.assert_close(predict_z0(add_noise(z0, eps, alpha_bar), eps, alpha_bar), z0, rtol=1e-4, atol=1e-5)


def test_guidance_of_one_is_the_conditional_prediction():
    uncond, cond = torch.randn(2, 1, 4, 4, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(guided(uncond, cond, 1.0), cond)


@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_step_counts_out_of_range_are_refused(steps):
    with pytest.raises(UsageError, match="steps must be"):
        ddim_schedule(SD, steps)


@pytest.mark.parametrize("change", [{"prediction_type": "v_prediction"}, {"beta_schedule": "squaredcos_cap_v2"}])
def test_schedules_of_other_models_are_refused(change):
    """Breaks if a v-prediction model were silently sampled as an ε-model."""
    with pytest.raises(UsageError, match="not supported"):
        ddim_schedule({**SD, **change}, 10)
