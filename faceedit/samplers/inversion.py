"""DDIM inversion with its whole chain, and the way back: latents that lead from a picture into the noise and out again.

A chain is float32 [T + 1, B, C, h, w] in denoising order: entry i holds the latents before step i, entry T the clean
ones. Symbols as in `faceedit.samplers.ddim`; a network is only ever a callable here.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from faceedit.samplers.ddim import DdimSchedule, ddim_step, guided

PredictNoise = Callable[[Tensor, Tensor, Tensor], Tensor]
"""(z_t [B, C, h, w], t scalar, text [B, 77, D]) -> ε [B, C, h, w]."""


def ddim_chain(
    denoise: Callable[[Tensor, Tensor], Tensor], z0: Tensor, schedule: DdimSchedule, *, ahead: bool = True
) -> Tensor:
    """DDIM inversion of clean latents: T single predictions, no guidance, every latent kept.

    Step i goes from ᾱ_{i+1} up to ᾱ_i. Its exact inverse would need ε at the noisier latents, which are not known yet;
    ε at the cleaner ones stands for it, under one of two timesteps.

    Args:
        denoise: (z_t, t) -> ε, conditioned on what the latents show.
        z0: float32 [B, C, h, w].
        schedule: its steps are gone through from the last to the first; before the last one z_0 counts as ᾱ_T, the
            schedule's final ᾱ.
        ahead: the network is told the timestep that the step leads to, as null-text inversion does (Mokady et al.,
            "Null-text Inversion for Editing Real Images Using Guided Diffusion Models"), so that step i of the way
            back and of the way there are told the same; otherwise the one that the latents are at.

    Returns:
        float32 [T + 1, B, C, h, w] in denoising order: z_T first, `z0` itself last.
    """
    chain = [z0]
    last = len(schedule) - 1
    for i in range(last, -1, -1):
        t = schedule.timesteps[i if ahead else min(i + 1, last)]
        chain.append(ddim_step(chain[-1], denoise(chain[-1], t), schedule.alpha_bar[i + 1], schedule.alpha_bar[i]))
    return torch.stack(chain[::-1])


def ddim_noise(denoise: Callable[[Tensor, Tensor], Tensor], z0: Tensor, schedule: DdimSchedule) -> Tensor:
    """The noise that DDIM inversion of clean latents ends in: ε with z_T = √ᾱ_T z_0 + √(1 - ᾱ_T) ε.

    Args:
        denoise: (z_t, t) -> ε, conditioned on what the latents show; no guidance.
        z0: float32 [B, C, h, w], clean latents.
        schedule: its steps are gone through from the last to the first; the network is told the timestep that the
            latents are at.
    """
    z = ddim_chain(denoise, z0, schedule, ahead=False)[0]
    return (z - schedule.alpha_bar[0].sqrt() * z0) / (1 - schedule.alpha_bar[0]).sqrt()


def sample_chain(denoise: Callable[[Tensor, int], Tensor], z_t: Tensor, schedule: DdimSchedule) -> Tensor:
    """Deterministic DDIM sampling with every latent kept.

    Args:
        denoise: (z_t, number of the step) -> ε, guidance included.
        z_t: float32 [B, C, h, w], latents before the schedule's first step.

    Returns:
        float32 [T + 1, B, C, h, w], `z_t` itself first.
    """
    chain = [z_t]
    for i in range(len(schedule)):
        chain.append(ddim_step(chain[-1], denoise(chain[-1], i), schedule.alpha_bar[i], schedule.alpha_bar[i + 1]))
    return torch.stack(chain)


def guided_chain(
    predict_noise: PredictNoise,
    z_t: Tensor,
    text: Tensor,
    null: Tensor,
    schedule: DdimSchedule,
    guidance: float,
) -> Tensor:
    """Reconstruction under classifier-free guidance: what a null-text or plain inversion comes back to.

    Args:
        predict_noise: one row at a time, so that the result has the bits of an inversion that did the same.
        z_t: float32 [1, C, h, w].
        text: [1, 77, D], the source sentence.
        null: [T, 77, D], one null embedding per step, or [1, 77, D] for all of them.
        guidance: w.

    Returns:
        float32 [T + 1, 1, C, h, w].
    """

    def denoise(z: Tensor, i: int) -> Tensor:
        t = schedule.timesteps[i]
        return guided(predict_noise(z, t, null_at(null, i)), predict_noise(z, t, text), guidance)

    return sample_chain(denoise, z_t, schedule)


def conditional_chain(predict_noise: PredictNoise, z_t: Tensor, text: Tensor, schedule: DdimSchedule) -> Tensor:
    """Reconstruction without guidance, which is also that of negative-prompt inversion under any guidance.

    Where the null embedding is the source's own (Miyake et al., "Negative-prompt Inversion"), ε_∅ = ε_c and guidance
    cancels; one prediction per step is enough.

    Args:
        predict_noise, z_t, text, schedule: as in `guided_chain`.

    Returns:
        float32 [T + 1, 1, C, h, w].
    """
    return sample_chain(lambda z, i: predict_noise(z, schedule.timesteps[i], text), z_t, schedule)


def null_at(null: Tensor, step: int) -> Tensor:
    """The null embedding [1, 77, D] of a step; `null` [1 or T, 77, D] holds one for all steps, or one for each."""
    return null if len(null) == 1 else null[step : step + 1]
