"""Blended latent diffusion (Avrahami et al., "Blended Latent Diffusion", algorithm 1) as a free function."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from faceedit.samplers.ddim import DdimSchedule, add_noise, ddim_step


def blended_latents(
    denoise: Callable[[Tensor, Tensor], Tensor],
    z0: Tensor,
    mask: Tensor,
    schedule: DdimSchedule,
    noise: Tensor,
) -> Iterator[Tensor]:
    """Denoise inside the mask while the known region is re-noised with the same noise at every step.

    Args:
        denoise: (z_t, t) -> ε, guidance included; shapes [B, C, h, w], scalar -> [B, C, h, w].
        z0: float32 [1, C, h, w], clean latents of the original.
        mask: float32 [1, 1, h, w], 1 = edit.
        schedule: the steps to run; a shortened one starts from the original noised to its first level.
        noise: float32 [B, C, h, w]; one row per candidate.

    Yields:
        Latents [B, C, h, w] after every step; after the last one the known region is z_0 itself.
    """
    z = add_noise(z0, noise, schedule.alpha_bar[0])
    last = len(schedule) - 1
    for i, t in enumerate(schedule.timesteps):
        eps = denoise(z, t)
        z = ddim_step(z, eps, schedule.alpha_bar[i], schedule.alpha_bar[i + 1])
        known = z0 if i == last else add_noise(z0, noise, schedule.alpha_bar[i + 1])
        z = torch.where(mask > 0, mask * z + (1 - mask) * known, known)
        yield z


def latent_mask(mask: Tensor, size: tuple[int, int], threshold: float) -> Tensor:
    """A pixel mask on the latent grid: cells of which more than `threshold` is masked, and never none.

    Args:
        mask: float32 [1, 1, S, S] in [0, 1], not empty.
        size: (h, w) of the latents.
        threshold: share of a cell, [0, 1); a small region whose cells all fall short keeps its strongest cell.

    Returns:
        float32 [1, 1, h, w] of zeros and ones.
    """
    share = torch.nn.functional.adaptive_avg_pool2d(mask, size)
    return (share > min(threshold, float(share.max()) * 0.999)).float()
