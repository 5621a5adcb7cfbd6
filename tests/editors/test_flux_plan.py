"""Flux-Sculptor's stages and keys, and masks on the grid of tokens."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from faceedit.editors.flux_sculptor.options import FluxSculptorOptions
from faceedit.editors.flux_sculptor.plan import plan_edit, structure_steps
from faceedit.editors.flux_sculptor.token_mask import token_mask
from faceedit.errors import UsageError
from faceedit.models.flux import image_ids, pack
from faceedit.samplers import flow

SOLVERS = tuple(flow.SOLVERS)
FUSIONS = ("s2d-ec", "latent", "value", "none")
numbers = st.integers(1, 12).flatmap(lambda n: st.tuples(st.just(n), st.integers(1, n)))


def plan_of(steps, structure=0, strength=1.0, **options):
    times = torch.linspace(0, 1, steps + 1)
    return plan_edit(FluxSculptorOptions(structure_steps=structure, **options), times, strength)


@pytest.mark.parametrize(("steps", "wanted"), [(30, 3), (8, 1), (1, 1), (14, 1), (15, 2), (100, 10)])
def test_a_tenth_of_the_steps_shapes_the_structure(steps, wanted) -> None:
    """Breaks when T = 0 no longer means the paper's share, 3 of 30, and at least one."""
    assert structure_steps(FluxSculptorOptions(), steps) == wanted


def test_more_structure_than_steps_is_refused() -> None:
    with pytest.raises(UsageError, match="5 structure steps do not fit into 4") as caught:
        plan_of(4, 5)
    assert caught.value.exit_code == 2 and "structure_steps" in caught.value.hint


@pytest.mark.parametrize("keying", ["exact", "interval"])
@pytest.mark.parametrize("solver", SOLVERS)
@given(sizes=numbers, fusion=st.sampled_from(FUSIONS))
def test_the_inversion_keeps_what_the_edit_reads(solver, keying, sizes, fusion) -> None:
    """Breaks when a key is read that is never written, a step is in both stages or in none, or the work is not the
    reference's: 4N evaluations and 2 (N - T) of them kept for RF-Solver, 2 (N + 1) + T and N - T for FireFlow."""
    steps, structure = sizes
    plan = plan_of(steps, structure, solver=solver, fusion=fusion, keying=keying)
    inversion = flow.evaluations(plan.solve, plan.times)
    fused = {i for i in range(1, steps + 1) if plan.fuses_latents(i)}
    edit = flow.evaluations(plan.solve, plan.descending, fused)
    written = [plan.own_key(made) for made in inversion]
    read = [plan.source_key(asked) for asked in edit]
    assert tuple(key for key in read if key) == plan.keys
    assert {key for key in written if key} == set(plan.keys) and len(set(plan.keys)) == len(plan.keys)
    if fusion == "s2d-ec":
        assert all(plan.fuses_latents(i) != plan.fuses_values(i) for i in range(1, steps + 1))
    # FireFlow's own first evaluation is one more that the interval's keys can name where only one step is left.
    if (solver, keying) != ("fireflow", "interval"):
        kept = (steps - structure) * (2 if solver == "rf-solver" else 1)
        assert len(plan.keys) == (kept if fusion in ("s2d-ec", "value") else 0)
    stale = min(structure, steps - 1) if fusion in ("s2d-ec", "latent") else 0
    calls = {"rf-solver": 4 * steps, "euler": 2 * steps, "fireflow": 2 * (steps + 1) + stale}
    assert len(inversion) + len(edit) == calls[solver]


@pytest.mark.parametrize("keying", ["exact", "interval"])
def test_an_evaluation_meets_the_source_at_the_time_that_its_keying_says(keying) -> None:
    """Breaks when "exact" meets another time, or "interval" anything but the start of the inversion's own step."""
    plan = plan_of(6, 2, keying=keying)
    for asked in flow.evaluations(plan.solve, plan.descending):
        key = plan.source_key(asked)
        if key is None:
            assert asked.step > 4
        elif asked.kind == flow.MIDPOINT or keying == "exact":
            assert plan.time_of(key) == asked.t
        else:
            assert plan.time_of(key) == plan.times[asked.step - 1]


def mask_of(picture, size, **options):
    return token_mask(picture[None, None], size, 4, replace(FluxSculptorOptions(), **options))


@given(rows=st.integers(1, 6), columns=st.integers(1, 6), data=st.data())
def test_a_masked_token_is_the_one_at_its_place(rows, columns, data) -> None:
    """Breaks when the mask's tokens, the packed latents and the rotary places are in different orders."""
    row, column = data.draw(st.integers(0, rows - 1)), data.draw(st.integers(0, columns - 1))
    picture = torch.zeros(rows * 16, columns * 16)
    picture[row * 16 : row * 16 + 16, column * 16 : column * 16 + 16] = 1
    place = image_ids((rows, columns), torch.device("cpu")).tolist().index([0, row, column])
    latents = torch.zeros(1, 4, 2 * rows, 2 * columns)
    latents[:, :, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2] = 1
    for grid in ("token", "latent"):
        found = mask_of(picture, (rows, columns), mask_grid=grid)
        assert found.values.flatten().nonzero().tolist() == [[place]]
        assert torch.equal(found.latents.expand(1, rows * columns, 16), pack(latents))


def test_soft_is_the_share_and_hard_the_verdict() -> None:
    """Breaks when a cell's share is not its mean over the pixels, or a region too small for a token is lost."""
    picture = torch.zeros(32, 32)
    picture[:16, :4] = 1
    picture[:16, 16:] = 0.75
    assert mask_of(picture, (2, 2)).values.flatten().tolist() == [0.25, 0.75, 0, 0]
    assert mask_of(picture, (2, 2), mask="hard").values.flatten().tolist() == [0, 1, 0, 0]
    assert mask_of(picture, (2, 2), mask="hard", mask_threshold=0.2).values.flatten().tolist() == [1, 1, 0, 0]
    assert not mask_of(picture, (2, 2), mask="whole").latents.any()
    fine = mask_of(picture, (2, 2), mask_grid="latent").latents
    assert fine.shape == (1, 4, 16) and fine[0, 0].reshape(4, 2, 2)[0].tolist() == [[0.5, 0], [0.5, 0]]
    picture = torch.zeros(32, 32)
    picture[0, 0] = 1
    assert mask_of(picture, (2, 2), mask="hard").values.flatten().tolist() == [1, 0, 0, 0]


@pytest.mark.parametrize("grid", ["token", "latent"])
@pytest.mark.parametrize("reach", [0, 1, 2])
def test_a_mask_grows_by_whole_tokens(reach, grid) -> None:
    """Breaks when the latents' mask grows by another width than the values'."""
    picture = torch.zeros(112, 112)
    picture[48:64, 48:64] = 1
    found = mask_of(picture, (7, 7), mask_dilate=reach, mask_grid=grid)
    assert int(found.grid.sum()) == (2 * reach + 1) ** 2 and found.grid[3 - reach, 3 + reach] == 1
    assert torch.equal(found.latents.mean(-1), found.values[..., 0])
