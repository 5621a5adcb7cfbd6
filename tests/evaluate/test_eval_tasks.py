"""Which edits the benchmark makes, and that their answers are true ones."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from faceedit.errors import UsageError
from faceedit.evaluate import tasks as room
from faceedit.evaluate.places import rough_place, with_locator
from faceedit.evaluate.scores import change_inside, visible_change
from faceedit.evaluate.tasks import EditTask, edit_targets, make_tasks, portrait_seed
from faceedit.locate.exact import ROUGHNESSES
from faceedit.portraits.split import HELD_OUT_FROM
from faceedit.portraits.vocabulary import attribute_value
from faceedit.recipe import load_recipe

SIZE = 64


def test_targets_take_turns() -> None:
    """Breaks when an attribute is drawn twice before another was drawn once."""
    targets = {item.key for item in edit_targets(["glasses", "cheeks=rosy"])}
    assert targets == {"glasses=none", "glasses=eyeglasses", "glasses=sunglasses", "cheeks=rosy"}
    made = [task.target.key for task in make_tasks(8, 3, ["glasses", "cheeks=rosy"], size=SIZE)]
    assert set(made[:4]) == set(made[4:]) == targets


def test_the_counterfactual_differs_in_the_target_field_only(tasks: tuple[EditTask, ...]) -> None:
    """Breaks when the answer belongs to another person, or the portrait has the wanted value already."""
    for task in tasks:
        before, after = task.before.attributes.as_dict(), task.after.attributes.as_dict()
        assert {name for name in before if before[name] != after[name]} == {task.target.field}
        assert after[task.target.field] == task.target.value
        assert task.before.seed == task.after.seed


def test_every_change_can_be_seen_and_lies_in_its_region(tasks: tuple[EditTask, ...]) -> None:
    """Breaks when the region is taken from one picture only (added glasses have none before)."""
    for task in tasks:
        assert visible_change(task.before.image, task.after.image) >= room.MIN_VISIBLE_CHANGE
        place = rough_place(task, "dilate")
        assert place is not None
        assert change_inside(task.before.image, task.after.image, place) > 0.98


def test_kind_and_phrase_agree(tasks: tuple[EditTask, ...]) -> None:
    """Breaks when a removal is asked for in words that add."""
    for task in tasks:
        assert (task.kind == "removed") == (task.target.value == "none")
        assert task.phrase.startswith("no ") == (task.kind == "removed")


def test_removals_name_what_is_there() -> None:
    """Breaks when taking a cap off is asked for in words for another hat."""
    for task in make_tasks(3, 0, ["hat=none"], size=SIZE):
        worn = attribute_value("hat", task.before.attributes.hat)
        assert task.phrase == worn.removals[0]


def test_held_out_wordings_are_held_out() -> None:
    """Breaks when the held-out run repeats a wording of the training captions."""
    for task in make_tasks(4, 0, ["glasses"], wordings="held-out", size=SIZE):
        assert task.phrase in task.target.held_out
        assert task.phrase not in task.target.phrases


def test_splits_do_not_meet() -> None:
    """Breaks when tuning sees a portrait that is reported on, or two edits share a portrait."""
    grid = list(itertools.product(range(50), (0, room.ATTEMPTS - 1), range(3)))
    held_out = [portrait_seed(index, attempt, seed, "held-out") for index, attempt, seed in grid]
    assert min(held_out) >= HELD_OUT_FROM
    assert len(set(held_out)) == len(grid)
    assert all(room.VALIDATION_FROM <= portrait_seed(*place, "validation") < HELD_OUT_FROM for place in grid)


def test_same_seed_same_edits(tasks: tuple[EditTask, ...]) -> None:
    """Breaks when an edit depends on anything but the run's arguments."""
    again = tuple(make_tasks(2, 0, ("glasses", "necklace=gold", "hat=none"), size=SIZE))
    for one, other in zip(tasks, again, strict=False):
        assert (one.phrase, one.before.seed) == (other.phrase, other.before.seed)
        assert np.array_equal(one.after.image, other.after.image)
    another = next(make_tasks(1, 1, ["glasses"], size=SIZE))
    assert another.before.seed not in {task.before.seed for task in tasks}


def test_changes_too_small_to_see_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks when the benchmark asks for edits whose answer equals the input, or does not count what it left out."""
    plain = next(make_tasks(1, 0, ["cheeks=rosy"], size=SIZE))
    needed = visible_change(plain.before.image, plain.after.image) + 0.001
    monkeypatch.setattr(room, "MIN_VISIBLE_CHANGE", needed)
    stricter = next(make_tasks(1, 0, ["cheeks=rosy"], size=SIZE))
    assert stricter.rejected > plain.rejected
    assert visible_change(stricter.before.image, stricter.after.image) >= needed


def test_hidden_fields_are_not_edited_and_need_not_be_kept() -> None:
    """Breaks when blue eyes are asked for behind sunglasses."""
    for task in make_tasks(3, 0, ["eye_color=blue"], size=SIZE):
        assert task.before.attributes.glasses != "sunglasses"
        assert "eye_color" in task.fields_in_sight
    for task in make_tasks(2, 0, ["glasses=sunglasses"], size=SIZE):
        assert "eye_color" in task.visible_before or task.before.attributes.eyes == "closed"
        assert "eye_color" not in task.fields_in_sight


@pytest.mark.parametrize(
    "arguments",
    [
        {"attributes": ["wings"]},
        {"attributes": ["age=old"]},
        {"wordings": "poetic"},
        {"split": "training"},
        {"count": 0},
        {"seed": -1},
    ],
)
def test_what_cannot_be_run_is_refused_at_once(arguments: dict[str, object]) -> None:
    """Breaks when a wrong argument is found only after minutes of editing, or silently gives an empty run."""
    with pytest.raises(UsageError) as caught:
        make_tasks(**({"count": 1} | arguments))
    assert caught.value.hint


def test_roughened_places(tasks: tuple[EditTask, ...]) -> None:
    """Breaks when a roughened mask loses a part of the exact region, or is not rougher."""
    for task in tasks:
        places = {name: rough_place(task, name) for name in ROUGHNESSES}
        exact = places["exact"]
        assert exact is not None
        for name in ("dilate", "hull"):
            place = places[name]
            assert place is not None
            assert (place >= exact).all()
            assert place.sum() > exact.sum()
        assert rough_place(task, "template") is None


def test_the_recipe_does_not_roughen_twice() -> None:
    """Breaks when the recipe's own dilation is added to the benchmark's."""
    recipe = load_recipe("smoke/inpaint", {"locator.dilate": "0.1", "locator.hull": "true"})
    assert with_locator(recipe, "recipe") == recipe
    for name in ROUGHNESSES:
        assert with_locator(recipe, name).locator.dilate == 0
        assert not with_locator(recipe, name).locator.hull
    assert with_locator(recipe, "template").locator.name == "template"
