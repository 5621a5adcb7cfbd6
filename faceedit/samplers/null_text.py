"""Null-text optimisation (Mokady et al., "Null-text Inversion for Editing Real Images Using Guided Diffusion Models").

DDIM inversion under the source sentence gives a chain that classifier-free guidance does not lead back along. The
embedding of the empty sentence is optimised, step by step, until it does.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import mse_loss

from faceedit.errors import NumericError
from faceedit.samplers.ddim import DdimSchedule, ddim_step, guided
from faceedit.samplers.inversion import PredictNoise

INNER_STEPS = 10
# Of the published notebook, whose 50 steps lower the rate to 10⁻² (1 - i/100) and raise the bar to 10⁻⁵ + 2·10⁻⁵ i.
RATE = 1e-2
GOOD_ENOUGH = 1e-5
SLACK = 1e-3


@dataclass(frozen=True)
class NullText:
    """What the optimisation ends in.

    Attributes:
        chain: float32 [T + 1, 1, C, h, w], the reconstruction's own latents in denoising order; it follows the
            inversion's chain closely, and `guided_chain` under `null` gives it again bit by bit.
        null: float32 [T, 77, D], the null embedding of each step.
        losses: for each step the loss before each of its updates; empty where guidance is 1.
    """

    chain: Tensor
    null: Tensor
    losses: tuple[tuple[float, ...], ...]


def null_text(
    predict_noise: PredictNoise,
    chain: Tensor,
    text: Tensor,
    null: Tensor,
    schedule: DdimSchedule,
    guidance: float,
    *,
    inner_steps: int = INNER_STEPS,
) -> NullText:
    """Algorithm 1 of the paper, with the constants of its published notebook.

    Step i of T takes up to `inner_steps` updates of Adam, started afresh, at rate 10⁻² (1 - i/2T), from the embedding
    that the step before ended with. It ends early once the loss that an update was made for is below
    10⁻⁵ + 10⁻³ i/T; the update is made first, so that every step has at least one. The conditional prediction is made
    once per step and serves all updates and the step itself; only the unconditional one is in the graph. The embedding
    and the loss are float32 whatever the network runs in.

    Args:
        predict_noise: of a frozen network; it may run in half precision, but must answer float32 and pass gradients
            on to its third argument. Not called under `torch.inference_mode`.
        chain: float32 [T + 1, 1, C, h, w], the inversion's chain in denoising order, to be followed.
        text: [1, 77, D], the source sentence.
        null: [1, 77, D], the empty sentence.
        schedule: the steps that `chain` was made with.
        guidance: w; at 1 the null embedding does not count and stays as it is.
        inner_steps: most updates per step.

    Raises:
        NumericError: a loss or an embedding is not finite.
    """
    z, current = chain[0], null.float()
    latents, embeddings, losses = [z], [], []
    for i, t in enumerate(schedule.timesteps):
        alpha_bar, alpha_bar_next = schedule.alpha_bar[i], schedule.alpha_bar[i + 1]
        with torch.no_grad():
            cond = predict_noise(z, t, text)
        step = _Step(predict_noise, z, t, cond, guidance, alpha_bar, alpha_bar_next)
        if guidance != 1:
            current, trace = _optimised(step, current, chain[i + 1], i / len(schedule), inner_steps)
            losses.append(tuple(trace))
        with torch.no_grad():
            z = step(current)
        latents.append(z)
        embeddings.append(current)
    return NullText(torch.stack(latents), torch.cat(embeddings), tuple(losses))


@dataclass(frozen=True)
class _Step:
    """One guided DDIM step as a function of the null embedding alone."""

    predict_noise: PredictNoise
    z: Tensor
    t: Tensor
    cond: Tensor
    guidance: float
    alpha_bar: Tensor
    alpha_bar_next: Tensor

    def __call__(self, null: Tensor) -> Tensor:
        eps = guided(self.predict_noise(self.z, self.t, null), self.cond, self.guidance)
        return ddim_step(self.z, eps, self.alpha_bar, self.alpha_bar_next)


def _optimised(step: _Step, null: Tensor, target: Tensor, share: float, inner_steps: int) -> tuple[Tensor, list[float]]:
    """The embedding after the updates of one step, and the loss before each; `share` is the step's place in [0, 1)."""
    null = null.clone().requires_grad_()
    adam = torch.optim.Adam([null], lr=RATE * (1 - share / 2))
    losses: list[float] = []
    while len(losses) < inner_steps:
        with torch.enable_grad():
            # The sum's gradient and not the mean's goes through the network: half precision would round that to zero.
            squares = mse_loss(step(null), target, reduction="sum")
            (gradient,) = torch.autograd.grad(squares, null)
        null.grad = gradient / target.numel()
        adam.step()
        losses.append(float(squares.detach()) / target.numel())
        if not (losses[-1] < float("inf") and torch.isfinite(null).all()):
            raise NumericError(
                "null-text optimisation holds non-finite values", "try --dtype fp32 or --set mag_edit.inversion=direct"
            )
        if losses[-1] < GOOD_ENOUGH + SLACK * share:
            break
    return null.detach(), losses
