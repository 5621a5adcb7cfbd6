"""Three ways to follow a rectified flow between a picture and noise; one function each serves both directions.

Symbols follow Flux-Sculptor: Z_t are latents at time t, t_0 = 0 is the picture and t_N = 1 the noise, v = dZ/dt is what
the network predicts. Step i lies between t_{i-1} and t_i whichever way it is gone. A network is only ever a callable
here, and the state is in the precision that the latents come in (float32).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

NODE, MIDPOINT = "n", "m"


@dataclass(frozen=True)
class Evaluation:
    """Where a solver asks for the velocity.

    Attributes:
        step: i, 1 to N; the step from t_i to t_{i-1} or back.
        kind: "n", at the node that the step starts from; "m", in the middle of the step.
        t: the time.
        node: j with t = t_j for kind "n", and for kind "m" the number of the step.
    """

    step: int
    kind: str
    t: float
    node: int


@dataclass(frozen=True)
class Arrival:
    """Where a step has led: step i, 1 to N, and the node j, 0 to N, with its time t = t_j."""

    step: int
    node: int
    t: float


Velocity = Callable[[Tensor, Evaluation], Tensor]
"""(Z [B, L, C], where) -> v [B, L, C]."""

Fuse = Callable[[Tensor, Arrival], Tensor | None]
"""(Z [B, L, C] after a step, where) -> what takes its place, or `None` to leave it."""


def keep(z: Tensor, arrival: Arrival) -> None:
    """A `Fuse` that leaves every step as it is."""


class Solver(Protocol):
    """Follows the flow along `times`, float32 [N + 1]: ascending inverts a picture, descending makes one."""

    def __call__(
        self, velocity: Velocity, z: Tensor, times: Tensor, fuse: Fuse = keep
    ) -> Iterator[tuple[Arrival, Tensor]]:
        """Yields after each step where it has led, and the latents there, what `fuse` makes of them included."""


def euler(velocity: Velocity, z: Tensor, times: Tensor, fuse: Fuse = keep) -> Iterator[tuple[Arrival, Tensor]]:
    """First order: Z + Δt v(Z, t), one evaluation for each step. Arguments as in `Solver`."""
    for span in _spans(times):
        z = z + span.length * velocity(z, span.start)
        fused = fuse(z, span.end)
        z = z if fused is None else fused
        yield span.end, z


def rf_solver(velocity: Velocity, z: Tensor, times: Tensor, fuse: Fuse = keep) -> Iterator[tuple[Arrival, Tensor]]:
    """Second order, two evaluations for each step: RF-Solver (Wang et al., "Taming Rectified Flow for Inversion").

    Flux-Sculptor eq. 11-12 take Z + Δt v + ½ Δt² v' with v' from the velocity half a step on. As v' divides by that
    half, the sum is Z + Δt v(Z + ½ Δt v, t + ½ Δt): the explicit midpoint rule. Arguments as in `Solver`.
    """
    for span in _spans(times):
        v = velocity(z, span.start)
        z = z + span.length * velocity(z + span.length / 2 * v, span.middle)
        fused = fuse(z, span.end)
        z = z if fused is None else fused
        yield span.end, z


def fireflow(velocity: Velocity, z: Tensor, times: Tensor, fuse: Fuse = keep) -> Iterator[tuple[Arrival, Tensor]]:
    """Nearly second order for one evaluation a step and one more: FireFlow (Deng et al., "FireFlow").

    The midpoint rule, where the velocity at a step's start is the one found in the middle of the step before. That one
    belongs to latents which are gone once `fuse` has replaced them, so the step after has its own. Arguments as in
    `Solver`.
    """
    v: Tensor | None = None
    for span in _spans(times):
        v = velocity(z, span.start) if v is None else v
        v = velocity(z + span.length / 2 * v, span.middle)
        z = z + span.length * v
        fused = fuse(z, span.end)
        if fused is not None:
            z, v = fused, None
        yield span.end, z


SOLVERS: dict[str, Solver] = {"rf-solver": rf_solver, "fireflow": fireflow, "euler": euler}


def evaluations(solver: Solver, times: Tensor, fused: Collection[int] = ()) -> tuple[Evaluation, ...]:
    """Every evaluation that a run asks for, in order, found by running the solver over nothing.

    Args:
        times: as in `Solver`.
        fused: numbers of the steps after which the latents are replaced.
    """
    asked: list[Evaluation] = []

    def velocity(z: Tensor, where: Evaluation) -> Tensor:
        asked.append(where)
        return z

    for _ in solver(velocity, torch.zeros(()), times, lambda z, arrival: z if arrival.step in fused else None):
        pass
    return tuple(asked)


@dataclass(frozen=True)
class _Span:
    """One step: where its evaluations are, where it ends, and its signed length Δt."""

    start: Evaluation
    middle: Evaluation
    end: Arrival
    length: float


def _spans(times: Tensor) -> Iterator[_Span]:
    values: list[float] = times.tolist()
    last = len(values) - 1
    ascending = values[0] < values[last]
    for place, (a, b) in enumerate(pairwise(values)):
        j, k = (place, place + 1) if ascending else (last - place, last - place - 1)
        step = max(j, k)
        middle = Evaluation(step, MIDPOINT, (a + b) / 2, step)
        yield _Span(Evaluation(step, NODE, a, j), middle, Arrival(step, k, b), b - a)
