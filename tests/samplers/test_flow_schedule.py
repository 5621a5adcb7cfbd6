"""FLUX's times: against the formula that its authors published, and against traps of the scheduler's own defaults."""

from __future__ import annotations

import math

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, FlowMatchHeunDiscreteScheduler

from faceedit.errors import UsageError
from faceedit.samplers.flow_schedule import flow_schedule, shift_of

DEV = {
    "num_train_timesteps": 1000,
    "shift": 3.0,
    "use_dynamic_shifting": True,
    "base_shift": 0.5,
    "max_shift": 1.15,
    "base_image_seq_len": 256,
    "max_image_seq_len": 4096,
}
SCHNELL = {**DEV, "shift": 1.0, "use_dynamic_shifting": False}


def published(steps: int, tokens: int) -> list[float]:
    """Black Forest Labs' list: even steps from 1 to 0 through e^mu / (e^mu + 1/t - 1), mu linear in the tokens."""
    slope = (1.15 - 0.5) / (4096 - 256)
    mu = slope * tokens + (0.5 - slope * 256)
    even = [1 - i / steps for i in range(steps + 1)]
    return [math.exp(mu) / (math.exp(mu) + (1 / t - 1)) if t > 0 else 0.0 for t in even]


@pytest.mark.parametrize("steps", [1, 2, 8, 15, 25, 28, 30, 50, 1000])
@pytest.mark.parametrize("tokens", [64, 256, 1024, 2304, 4096, 8160])
def test_times_are_the_published_ones(steps: int, tokens: int) -> None:
    """Breaks when the shift, the spacing or the order of the times differs from FLUX.1-dev's."""
    schedule = flow_schedule(DEV, steps, tokens)
    assert len(schedule) == steps and schedule.times.dtype == torch.float32
    expected = torch.tensor(published(steps, tokens), dtype=torch.float64)
    torch.testing.assert_close(schedule.descending.double(), expected, rtol=0, atol=1e-6)
    assert torch.equal(schedule.times, schedule.descending.flip(0))


def test_the_last_step_is_not_the_schedulers_own() -> None:
    """Breaks when the scheduler spaces the steps itself: its last sigma is then 0.003 in place of 0.098."""
    scheduler = FlowMatchEulerDiscreteScheduler(**DEV)
    scheduler.set_timesteps(30, mu=shift_of(DEV, 4096))
    assert float(scheduler.sigmas[-2]) < 0.005
    assert 0.097 < float(flow_schedule(DEV, 30, 4096).times[1]) < 0.099


def test_without_dynamic_shifting_the_tokens_do_not_count() -> None:
    """Breaks when a configuration like FLUX.1-schnell's is shifted by its size, or its own shift is lost."""
    times = flow_schedule(SCHNELL, 4, 256).times
    assert times.tolist() == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert torch.equal(times, flow_schedule(SCHNELL, 4, 4096).times)
    assert flow_schedule({**SCHNELL, "shift": 3.0}, 2, 256).times.tolist() == [0.0, 0.75, 1.0]


@pytest.mark.parametrize("steps", [0, 1001])
def test_steps_out_of_range(steps: int) -> None:
    """Breaks when no steps, or more than there are training timesteps, end in something else than one line."""
    with pytest.raises(UsageError, match="steps must be 1 to 1000"):
        flow_schedule(DEV, steps, 256)


def test_times_that_lead_elsewhere() -> None:
    """Breaks when a configuration whose times do not run from noise to picture makes pictures all the same."""
    with pytest.raises(UsageError, match="do not lead from 1 down to 0"):
        flow_schedule({**DEV, "invert_sigmas": True}, 4, 256)


def test_a_saved_configuration_with_more_in_it() -> None:
    """Breaks when the private keys of a configuration that was read from a file are taken for options."""
    saved = dict(FlowMatchEulerDiscreteScheduler(**DEV).config)
    assert torch.equal(flow_schedule(saved, 8, 256).times, flow_schedule(DEV, 8, 256).times)
    other = dict(FlowMatchHeunDiscreteScheduler(shift=3.0).config)
    assert torch.equal(flow_schedule(other, 2, 256).times, torch.tensor([0.0, 0.75, 1.0]))
