"""The times of a rectified flow's steps, as FLUX.1 spaces them: the more tokens, the longer near the noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from faceedit.errors import UsageError


@dataclass(frozen=True)
class FlowSchedule:
    """The N steps of one run.

    Attributes:
        times: float32 [N + 1], ascending: t_0 = 0 is the picture, t_N = 1 the noise.
    """

    times: Tensor

    def __len__(self) -> int:
        return len(self.times) - 1

    @property
    def descending(self) -> Tensor:
        """The times in editing order, t_N first."""
        return self.times.flip(0)


def flow_schedule(config: Mapping[str, Any], steps: int, tokens: int) -> FlowSchedule:
    """N even steps from 1 to 1/N and 0, each moved towards the noise as the scheduler's configuration says.

    The sigmas are given to the scheduler: those that it makes of the number of steps alone end close to 0, as it takes
    the last one from its training timesteps.

    Args:
        config: of a `FlowMatchEulerDiscreteScheduler`. With `use_dynamic_shifting` (FLUX.1-dev) the shift grows with
            the number of tokens, without it (FLUX.1-schnell) it is `shift`.
        steps: N, 1 to `num_train_timesteps`.
        tokens: L, image tokens of the transformer.

    Raises:
        UsageError: `steps` is out of range, or the configuration is no rectified flow's from noise to picture.
    """
    from diffusers import FlowMatchEulerDiscreteScheduler

    scheduler = FlowMatchEulerDiscreteScheduler.from_config(dict(config))
    most = scheduler.config["num_train_timesteps"]
    if not 1 <= steps <= most:
        raise UsageError(f"steps must be 1 to {most}, not {steps}", "30 is the usual number")
    mu = shift_of(scheduler.config, tokens) if scheduler.config["use_dynamic_shifting"] else None
    scheduler.set_timesteps(sigmas=torch.linspace(1, 1 / steps, steps).tolist(), mu=mu)
    times: Tensor = scheduler.sigmas.float().cpu().flip(0)
    if times[0] != 0 or times[-1] != 1 or not (times.diff() > 0).all():
        raise UsageError("the scheduler's times do not lead from 1 down to 0", "use FLUX.1's scheduler configuration")
    return FlowSchedule(times)


def shift_of(config: Mapping[str, Any], tokens: int) -> float:
    """μ, linear in the number of image tokens: FLUX.1-dev has 0.5 at 256 and 1.15 at 4096, on the same line beyond."""
    few, many = config["base_image_seq_len"], config["max_image_seq_len"]
    low, high = config["base_shift"], config["max_shift"]
    return float(low + (high - low) * (tokens - few) / (many - few))
