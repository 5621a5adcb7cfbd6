"""DDIM as three separate things: a schedule, a step forward and back, and nothing that knows a network.

Symbols follow Song et al., "Denoising Diffusion Implicit Models": ᾱ_t is `alphas_cumprod[t]`, z_t a latent, ε the
predicted noise. All maths is in float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from faceedit.errors import UsageError


@dataclass(frozen=True)
class DdimSchedule:
    """The T steps of one sampling run, from most to least noise.

    Attributes:
        timesteps: int64 [T], descending, as the network is conditioned on them.
        alpha_bar: float32 [T + 1]; entry i is ᾱ at `timesteps[i]`, the last one is ᾱ after the final step.
    """

    timesteps: Tensor
    alpha_bar: Tensor

    def __len__(self) -> int:
        return len(self.timesteps)

    def after(self, start: int) -> DdimSchedule:
        """The schedule without its first `start` steps."""
        return DdimSchedule(self.timesteps[start:], self.alpha_bar[start:])


def alphas_cumprod(config: Mapping[str, Any]) -> Tensor:
    """ᾱ over all training timesteps, float32 [num_train_timesteps], from a diffusers scheduler config.

    Raises:
        UsageError: a beta schedule or prediction type that Stable Diffusion 1.x does not use.
    """
    n, lo, hi = config["num_train_timesteps"], config["beta_start"], config["beta_end"]
    if config.get("prediction_type", "epsilon") != "epsilon":
        raise UsageError(f"prediction type {config['prediction_type']!r} is not supported", "use an ε-model (SD 1.x)")
    if config["beta_schedule"] == "scaled_linear":
        beta = torch.linspace(lo**0.5, hi**0.5, n, dtype=torch.float32) ** 2
    elif config["beta_schedule"] == "linear":
        beta = torch.linspace(lo, hi, n, dtype=torch.float32)
    else:
        raise UsageError(f"beta schedule {config['beta_schedule']!r} is not supported", "use scaled_linear or linear")
    return torch.cumprod(1 - beta, dim=0)


def ddim_schedule(config: Mapping[str, Any], steps: int) -> DdimSchedule:
    """The "leading" spacing of Stable Diffusion: 50 of 1000 steps with offset 1 are 981, 961, ..., 1.

    Args:
        config: diffusers scheduler config (beta schedule, `num_train_timesteps`, `set_alpha_to_one`).
        steps: number of steps T, 1 to `num_train_timesteps`.

    Raises:
        UsageError: `steps` is out of range.
    """
    n = config["num_train_timesteps"]
    if not 1 <= steps <= n:
        raise UsageError(f"steps must be 1 to {n}, not {steps}", "50 is the usual number")
    alpha_bar = alphas_cumprod(config)
    # SD pipelines force an offset of 1 whatever old scheduler configs say, so that t = 0 is never visited.
    timesteps = torch.arange(steps - 1, -1, -1) * (n // steps) + 1
    timesteps = timesteps.clamp(max=n - 1)
    final = torch.ones(1) if config.get("set_alpha_to_one", False) else alpha_bar[:1]
    return DdimSchedule(timesteps, torch.cat([alpha_bar[timesteps], final]))


def add_noise(z0: Tensor, noise: Tensor, alpha_bar: Tensor) -> Tensor:
    """z_t = √ᾱ z_0 + √(1 - ᾱ) ε; `z0`, `noise` [B, C, H, W], `alpha_bar` a scalar tensor or [B, 1, 1, 1]."""
    return alpha_bar.sqrt() * z0 + (1 - alpha_bar).sqrt() * noise


def predict_z0(z: Tensor, eps: Tensor, alpha_bar: Tensor) -> Tensor:
    """The one-step clean estimate z_{t→0} = (z_t - √(1 - ᾱ) ε) / √ᾱ."""
    return (z - (1 - alpha_bar).sqrt() * eps) / alpha_bar.sqrt()


def ddim_step(z: Tensor, eps: Tensor, alpha_bar: Tensor, alpha_bar_next: Tensor) -> Tensor:
    """One deterministic step (η = 0) between two noise levels, in either direction.

    Denoising passes ᾱ of the next smaller timestep; inversion passes ᾱ of the next larger one.
    """
    z0 = predict_z0(z, eps, alpha_bar)
    return alpha_bar_next.sqrt() * z0 + (1 - alpha_bar_next).sqrt() * eps


def guided(eps_uncond: Tensor, eps_cond: Tensor, scale: float | Tensor) -> Tensor:
    """Classifier-free guidance, ε = ε_∅ + w (ε_c - ε_∅)."""
    return eps_uncond + scale * (eps_cond - eps_uncond)
