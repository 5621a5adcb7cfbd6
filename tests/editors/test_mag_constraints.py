"""MAG-Edit's constraints on maps made by hand, the kinds of edits, and the numbers of a plan."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from faceedit.editors.mag_edit.constraints import Word, constraint_loss, spatial_ratio, token_ratio
from faceedit.editors.mag_edit.guidance import dilated, guide, step_size
from faceedit.editors.mag_edit.kinds import kind_of, leading_kind
from faceedit.editors.mag_edit.options import MagEditOptions
from faceedit.editors.mag_edit.plan import phrase_shares, plan_edit
from faceedit.errors import NothingToEditError, NumericError, UsageError
from faceedit.request import AttributePhrase

# Two heads, four cells, three tokens; the mask takes the first two cells.
MAPS = torch.tensor(
    [
        [[0.5, 0.3, 0.2], [0.1, 0.7, 0.2], [0.2, 0.6, 0.2], [0.4, 0.4, 0.2]],
        [[0.2, 0.2, 0.6], [0.2, 0.4, 0.4], [0.1, 0.1, 0.8], [0.1, 0.3, 0.6]],
    ]
)
MASK = torch.tensor([1.0, 1.0, 0.0, 0.0])


def test_token_ratio_by_hand() -> None:
    """Eq. 5 with the denominator as released: head 1 has (0.3 + 0.7)/2 = 0.5, head 2 (0.2 + 0.4)/2 = 0.3."""
    expected = ((1 - 0.5) ** 2 + (1 - 0.3) ** 2) / 2
    torch.testing.assert_close(token_ratio(MAPS, [1], MASK), torch.tensor(expected))


def test_token_ratio_divides_by_the_sum_of_all_columns() -> None:
    """Breaks when rows that do not sum to 1, as after an injection, are taken as if they did."""
    torch.testing.assert_close(token_ratio(MAPS * 0.5, [1], MASK), token_ratio(MAPS, [1], MASK))


def test_pieces_of_a_word_count_by_their_mean_in_the_token_ratio() -> None:
    shares = (MAPS[..., 0] + MAPS[..., 1]) / 2
    expected = ((1 - shares[:, :2].mean(1)) ** 2).mean()
    torch.testing.assert_close(token_ratio(MAPS, [0, 1], MASK), expected)


def test_spatial_ratio_by_hand() -> None:
    """Eq. 6 with λ = 3 is 3 - 4a: head 1 has a = 1.0/2.0, head 2 a = 0.6/1.0."""
    expected = ((3 - 4 * 0.5) + (3 - 4 * 0.6)) / 2
    torch.testing.assert_close(spatial_ratio(MAPS, [1], MASK), torch.tensor(expected))


def test_pieces_of_a_word_count_by_their_sum_in_the_spatial_ratio() -> None:
    column = MAPS[..., 0] + MAPS[..., 1]
    a = column[:, :2].sum(1) / column.sum(1)
    torch.testing.assert_close(spatial_ratio(MAPS, [0, 1], MASK), (3 - 4 * a).mean())


def test_the_loss_is_the_sum_over_words_by_share_of_the_mean_over_layers() -> None:
    """Breaks when words or layers are weighted otherwise than eq. 9 says."""
    small = MAPS[:, :1] * 2
    at = {4: MASK, 1: torch.ones(1)}
    words = [Word((1,), 0.7), Word((2,), 0.3)]
    expected = sum(
        word.share * (token_ratio(MAPS, word.tokens, MASK) + token_ratio(small, word.tokens, at[1])) / 2
        for word in words
    )
    torch.testing.assert_close(constraint_loss({"a": MAPS, "b": small}, words, at, token_ratio), expected)


@pytest.mark.parametrize("constraint", [token_ratio, spatial_ratio])
def test_an_empty_mask_is_an_error_and_no_nan(constraint) -> None:
    with pytest.raises(NothingToEditError, match="empty"):
        constraint(MAPS, [1], torch.zeros(4))


@given(st.lists(st.floats(0.01, 1), min_size=12, max_size=12), st.integers(0, 2))
def test_both_fall_as_the_word_gains_ground_inside(values, token) -> None:
    """Breaks with a wrong sign: guidance would lead away from the edit."""
    maps = torch.tensor(values).reshape(1, 4, 3).requires_grad_()
    for constraint in (token_ratio, spatial_ratio):
        (g,) = torch.autograd.grad(constraint(maps, [token], MASK), maps)
        assert (g[0, :2, token] <= 0).all()


def test_guidance_moves_only_inside_the_mask_and_against_the_gradient() -> None:
    """Eq. 8 by hand: two updates of z - δ ∇ with ∇ = z."""
    z, mask = torch.full((1, 1, 2, 2), 8.0), torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])
    out = guide(z, lambda z: z, mask, torch.tensor(0.5), 2)
    assert out.flatten().tolist() == [2.0, 8.0, 8.0, 8.0]


def test_a_gradient_that_is_not_finite_stops_the_edit() -> None:
    with pytest.raises(NumericError, match="gradient"):
        guide(torch.ones(1, 1, 2, 2), lambda z: z * float("nan"), torch.ones(1, 1, 2, 2), torch.tensor(1.0), 1)


def test_step_sizes() -> None:
    """δ of SD's first of 50 steps is 13.1 for the token ratio and 1 for the spatial one."""
    from faceedit.samplers.ddim import ddim_schedule

    config = {"num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    alpha_bar = ddim_schedule(config, 50).alpha_bar
    deltas = [round(float(step_size("token", alpha_bar[i])), 1) for i in (0, 5, 10, 24)]
    assert deltas == [13.1, 7.6, 4.7, 1.6]
    assert float(step_size("spatial", alpha_bar[0])) == 1


def test_the_blend_leaves_one_cell_around_the_mask() -> None:
    mask = torch.zeros(1, 1, 5, 5)
    mask[..., 2, 2] = 1
    assert dilated(mask)[0, 0, 1:4, 1:4].all() and dilated(mask).sum() == 9


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("blond hair", "colour"), ("red lipstick", "colour"), ("rosy cheeks", "colour"), ("green eyeshadow", "colour"),
        ("freckles", "texture"), ("a wrinkled forehead", "texture"), ("stubble", "texture"),
        ("sunglasses", "shape"), ("a red hat", "shape"), ("a gold necklace", "shape"), ("a big nose", "shape"),
        ("a full beard", "shape"), ("a smile", "shape"), ("closed eyes", "shape"),
    ],
)  # fmt: skip
def test_kinds(text, kind) -> None:
    assert kind_of(AttributePhrase(text, ())) == kind


def test_of_several_phrases_the_one_that_changes_most_leads() -> None:
    phrases = [AttributePhrase(text, ()) for text in ("blond hair", "freckles", "a hat")]
    kinds = [leading_kind(tuple(phrases[: k + 1])) for k in range(3)]
    assert kinds == ["colour", "texture", "shape"]


COLOUR, SHAPE = (AttributePhrase("blond hair", ()),), (AttributePhrase("a hat", ()),)


def test_the_papers_numbers_at_50_steps() -> None:
    """Breaks when a share turns into another step than the paper's or the released code's."""
    plan = plan_edit(MagEditOptions(), 50, 1.0, COLOUR)
    assert (plan.cross_until, plan.own_until, plan.guided_until, plan.blend_from) == (40, 25, 25, 35)
    assert (plan.constraint, plan.iterations, plan.scale, plan.negative_scale) == ("token", 15, 2.5, 5.5)
    assert plan.sides == {16}
    plan = plan_edit(MagEditOptions(), 50, 1.0, SHAPE)
    assert (plan.cross_until, plan.constraint) == (10, "spatial")
    assert plan_edit(MagEditOptions(preset="texture"), 50, 1.0, SHAPE).constraint == "token"
    assert plan_edit(MagEditOptions(constraint="none"), 50, 1.0, SHAPE).guided_until == 0


@given(st.floats(0, 1), st.floats(0, 1))
def test_strength_turns_the_granularity_without_steps(low, high) -> None:
    """Breaks when a stronger edit is guided less, or rounding to whole iterations shows."""
    low, high = sorted((low, high))
    weak, strong = (plan_edit(MagEditOptions(iterations=5), 50, s, COLOUR) for s in (low, high))
    assert weak.iterations <= strong.iterations <= 5
    for plan, strength in ((weak, low), (strong, high)):
        assert plan.iterations * plan.scale == pytest.approx(5 * 2.5 * strength)
        assert (plan.guided_until == 0) == (strength == 0)


def test_shares_of_phrases() -> None:
    assert phrase_shares("", 4) == (0.25,) * 4
    assert phrase_shares("0.7, 0.3", 2) == (0.7, 0.3)
    for text in ("0.7", "0.7,0.7", "-0.5,1.5", "a,b"):
        with pytest.raises(UsageError, match=r"mag_edit\.shares"):
            phrase_shares(text, 2)
    with pytest.raises(UsageError, match=r"mag_edit\.sides"):
        plan_edit(MagEditOptions(sides="big"), 50, 1.0, COLOUR)
