"""Gradient guidance of the latents inside a mask (MAG-Edit eq. 8 and algorithm 1)."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from faceedit.errors import NumericError


def step_size(constraint: str, alpha_bar: Tensor) -> Tensor:
    """δ of a step: √((1 - ᾱ)/ᾱ) for the token ratio, which falls with the noise, and 1 for the spatial ratio."""
    return ((1 - alpha_bar) / alpha_bar).sqrt() if constraint == "token" else torch.ones_like(alpha_bar)


def guide(z: Tensor, gradient: Callable[[Tensor], Tensor], mask: Tensor, delta: Tensor, iterations: int) -> Tensor:
    """Eq. 8, over and over: z ← M ⊙ (z - δ ∇L) + (1 - M) ⊙ z.

    Args:
        z: float32 [1, C, h, w].
        gradient: z -> ∇_z L.
        mask: float32 [1, 1, h, w] of zeros and ones.
        delta: scalar.
        iterations: how often.

    Raises:
        NumericError: a gradient is not finite.
    """
    for _ in range(iterations):
        g = gradient(z)
        if not torch.isfinite(g).all():
            raise NumericError("the constraint's gradient holds non-finite values", "try --dtype fp32")
        z = z - delta * mask * g
    return z


def dilated(mask: Tensor) -> Tensor:
    """The mask [1, 1, h, w] grown by one cell in every direction, which the blend leaves to the edit."""
    return F.max_pool2d(mask, 3, stride=1, padding=1)
