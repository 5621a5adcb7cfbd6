"""The three solvers on fields whose flow is known, and what they say about each of their evaluations."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from faceedit.samplers.flow import SOLVERS, Arrival, Evaluation, Solver, Velocity, evaluations, keep, rf_solver

Field = Callable[[Tensor, float], Tensor]
ANGLES = st.floats(-1.5, 1.5)
# Many, since the terms of the error may cancel at a single one.
POINTS = torch.cartesian_prod(torch.linspace(-1, 1, 5), torch.linspace(-1, 1, 5)).double()


def evenly(steps: int) -> Tensor:
    return torch.linspace(0, 1, steps + 1, dtype=torch.float64)


def shifted(steps: int) -> Tensor:
    """Times as FLUX spaces them."""
    sigmas = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    return 3 * sigmas / (1 + 2 * sigmas)


def turning(rate: float, bend: float) -> Field:
    """A smooth field in the plane that turns, faster with time and away from the centre."""

    def field(z: Tensor, t: float) -> Tensor:
        x, y = z.unbind(-1)
        turn = 1 + rate * t + bend * torch.tanh(x * y)
        return torch.stack([-turn * y, turn * x + math.sin(3 * t)], dim=-1)

    return field


def at(field: Field) -> Velocity:
    return lambda z, where: field(z, where.t)


def end(solver: Solver, field: Field, z: Tensor, times: Tensor) -> Tensor:
    return list(solver(at(field), z, times))[-1][1]


@given(rate=ANGLES, bend=ANGLES)
@settings(max_examples=20)
def test_orders_of_the_solvers(rate: float, bend: float) -> None:
    """Breaks when a solver loses its order: a quarter of the step then makes the error less than 4 or 16 times less."""
    field = turning(rate, bend)
    truth = end(rf_solver, field, POINTS, shifted(1024))
    for name, order in (("euler", 1), ("rf-solver", 2), ("fireflow", 2)):
        coarse, fine = (float((end(SOLVERS[name], field, POINTS, shifted(n)) - truth).norm()) for n in (32, 128))
        assert coarse / fine > 4**order / 1.9


@given(rate=ANGLES, bend=ANGLES)
@settings(max_examples=20)
def test_there_and_back(rate: float, bend: float) -> None:
    """Breaks when a direction takes other times or signs: the second order methods come back much closer than Euler."""
    field = turning(rate, bend)
    error = {}
    for name, solver in SOLVERS.items():
        noise = end(solver, field, POINTS, shifted(60))
        error[name] = float((end(solver, field, noise, shifted(60).flip(0)) - POINTS).pow(2).mean().sqrt())
        assert (noise - POINTS).abs().max() > 0.3
    assert error["rf-solver"] < error["euler"] / 5 and error["fireflow"] < error["euler"] / 5


@pytest.mark.parametrize("down", [False, True])
def test_rf_solver_is_the_papers_expansion(down: bool) -> None:
    """Breaks when the update is not that of Flux-Sculptor's eqs 11 and 12, written out here as they are printed."""
    field, times = turning(1.0, 0.5), shifted(7).flip(0) if down else shifted(7)
    z = torch.tensor([[0.3, -0.7], [1.0, 2.0]], dtype=torch.float64)
    literal = z
    for a, b in zip(times[:-1].tolist(), times[1:].tolist(), strict=True):
        half = (b - a) / 2
        v = field(literal, a)
        slope = (field(literal + half * v, a + half) - v) / half
        literal = literal + (b - a) * v + 0.5 * (b - a) ** 2 * slope
    torch.testing.assert_close(end(rf_solver, field, z, times), literal, rtol=1e-12, atol=1e-12)


def test_fireflow_takes_the_velocity_of_the_step_before() -> None:
    """Breaks when the reused velocity is another one, e.g. that of the node."""
    field, times = turning(1.0, 0.5), shifted(5)
    z = kept = torch.tensor([[0.3, -0.7]], dtype=torch.float64)
    v = field(kept, 0.0)
    for a, b in zip(times[:-1].tolist(), times[1:].tolist(), strict=True):
        v = field(kept + (b - a) / 2 * v, (a + b) / 2)
        kept = kept + (b - a) * v
    torch.testing.assert_close(end(SOLVERS["fireflow"], field, z, times), kept, rtol=1e-12, atol=1e-12)


@given(solver=st.sampled_from(sorted(SOLVERS)), steps=st.integers(1, 30), fused=st.integers(0, 30))
def test_number_of_evaluations(solver: str, steps: int, fused: int) -> None:
    """Breaks when a solver does more work than it says, or FireFlow goes on with a velocity of replaced latents."""
    fused = min(fused, steps)
    first = range(steps, steps - fused, -1)
    found = len(evaluations(SOLVERS[solver], evenly(steps).flip(0), first))
    stale = min(fused, steps - 1)
    assert found == {"euler": steps, "rf-solver": 2 * steps, "fireflow": steps + 1 + stale}[solver]


def test_published_numbers_of_evaluations() -> None:
    """Breaks when an edit of N = 30, T = 3 takes another number than 120 with RF-Solver and 65 with FireFlow."""
    up, down = evenly(30), evenly(30).flip(0)
    counts = {name: len(evaluations(s, up)) + len(evaluations(s, down, (30, 29, 28))) for name, s in SOLVERS.items()}
    assert counts == {"rf-solver": 120, "fireflow": 65, "euler": 60}


@given(steps=st.integers(2, 40), data=st.data())
def test_both_directions_meet_at_the_same_places(steps: int, data: st.DataObject) -> None:
    """Breaks when a value kept under (j, kind) during the inversion is not there, or of another time, in the edit."""
    structure = data.draw(st.integers(1, steps - 1))
    times = shifted(steps).float()
    for solver in SOLVERS.values():
        there = {(e.node, e.kind): e.t for e in evaluations(solver, times)}
        back = evaluations(solver, times.flip(0), range(steps, steps - structure, -1))
        detail = [e for e in back if e.step <= steps - structure]
        assert {e.step for e in detail} == set(range(1, steps - structure + 1))
        for e in detail:
            if solver is SOLVERS["fireflow"] and e.kind == "n":
                # Its one node, after the last fusion; the inversion has nodes nowhere but at the start.
                assert e.step == steps - structure
            else:
                assert there[e.node, e.kind] == e.t


def test_where_an_evaluation_is() -> None:
    """Breaks when steps or nodes are counted from the other end, or from the wrong number."""
    times = torch.tensor([0.0, 0.25, 1.0])
    up, down = evaluations(rf_solver, times), evaluations(rf_solver, times.flip(0))
    assert up == (
        Evaluation(1, "n", 0.0, 0),
        Evaluation(1, "m", 0.125, 1),
        Evaluation(2, "n", 0.25, 1),
        Evaluation(2, "m", 0.625, 2),
    )
    assert down == (
        Evaluation(2, "n", 1.0, 2),
        Evaluation(2, "m", 0.625, 2),
        Evaluation(1, "n", 0.25, 1),
        Evaluation(1, "m", 0.125, 1),
    )
    arrivals = [arrival for arrival, _ in rf_solver(lambda z, _: z, torch.ones(1), times.flip(0))]
    assert arrivals == [Arrival(2, 1, 0.25), Arrival(1, 0, 0.0)]


@pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
def test_fused_latents_are_gone_on_from(solver: Solver) -> None:
    """Breaks when what the hook returns is not what the next step starts from and the caller sees."""
    line, times = torch.arange(4.0), evenly(6).flip(0)
    seen: list[Tensor] = []

    def velocity(z: Tensor, where: Evaluation) -> Tensor:
        if where.kind == "n":
            seen.append(z)
        return torch.full_like(z, 0.1)

    def onto_the_line(_: Tensor, arrival: Arrival) -> Tensor:
        return line + arrival.t

    latents = [z for _, z in solver(velocity, torch.randn(4), times, onto_the_line)]
    for z, t in zip(latents, times[1:].tolist(), strict=True):
        assert torch.equal(z, line + t)
    assert all(torch.equal(z, line + t) for z, t in zip(seen[1:], times[1:-1].tolist(), strict=True))
    assert torch.equal(latents[-1], line)


@pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)
def test_fp32_state_under_a_half_precision_network(solver: Solver) -> None:
    """Breaks when the latents take the network's precision: sixty updates of a hundredth would be lost in bf16."""
    field = turning(0.5, 0.5)
    z = torch.tensor([[100.0, 1.0]])
    for arrival, latents in solver(lambda z, e: field(z.bfloat16(), e.t).float() * 1e-3, z, evenly(60).float()):
        assert latents.dtype == torch.float32 and keep(latents, arrival) is None
    assert (latents - z).abs().max() > 1e-3
