"""What `benchmarks/flux_sculptor.py` measures with: noisy masks, and scores of pictures that nothing is pasted into."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from faceedit.evaluate.runner import words_of
from faceedit.evaluate.scorers import ClipPair, bundled_clip, bundled_judge
from faceedit.evaluate.tasks import EditTask, make_tasks
from faceedit.recipe import load_recipe

SIZE = 96


@pytest.fixture(scope="module")
def modules() -> Iterator[tuple[ModuleType, ModuleType]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
        import flux_masks
        import flux_scores

        yield flux_masks, flux_scores


@pytest.fixture(scope="module")
def task() -> EditTask:
    (made,) = make_tasks(1, 3, ["glasses=sunglasses"], split="validation", size=SIZE)
    return made


def mask(modules: tuple[ModuleType, ModuleType], task: EditTask, kind: str, **named: str) -> NDArray[np.float32]:
    recipe = load_recipe("mini/inpaint")
    locators = named.get("locator", "dilate"), named.get("rough", "template")
    found: NDArray[np.float32] = modules[0].mask_of(kind, task, words_of(task, recipe), recipe, *locators)
    return found


def test_masks_are_as_wrong_as_they_say(modules: tuple[ModuleType, ModuleType], task: EditTask) -> None:
    """Breaks when two kinds are the same, or a "noisy" or "coarse" mask is nearly right."""
    region = task.region > 0.5
    assert np.array_equal(mask(modules, task, "precise"), task.region)
    noisy, coarse = mask(modules, task, "noisy") > 0.5, mask(modules, task, "coarse") > 0.5
    assert 0.1 < 1 - noisy[region].mean() < 0.5
    assert 0.1 < noisy[~region].mean() < 0.3
    assert coarse[region].all()
    assert coarse.mean() > 3 * region.mean()
    assert not np.array_equal(mask(modules, task, "rough"), mask(modules, task, "rough", rough="dilate"))


def test_noise_is_the_edits_own(modules: tuple[ModuleType, ModuleType], task: EditTask) -> None:
    """Breaks when two variants of one edit get different noise, or all edits the same."""
    first, again = mask(modules, task, "noisy"), mask(modules, task, "noisy")
    assert np.array_equal(first, again)
    assert first.dtype == np.float32
    assert first.min() >= 0 and first.max() <= 1
    assert not np.array_equal(first, mask(modules, replace(task, index=task.index + 1), "noisy"))


@pytest.fixture(scope="module")
def scored(modules: tuple[ModuleType, ModuleType], task: EditTask) -> dict[str, Any]:
    """Scores of the input, the truth, and inputs damaged inside and outside the place."""
    flux_scores = modules[1]
    place = mask(modules, task, "place")
    before = task.before.image
    pictures = {
        flux_scores.RECONSTRUCTION: before,
        "truth": task.after.image,
        "inside": np.where(place[..., None] > 0, 255 - before, before),
        "outside": np.where(place[..., None] > 0, before, 255 - before),
    }
    made = {name: flux_scores.Made(picture, place) for name, picture in pictures.items()}
    text, stranger = words_of(task, load_recipe("mini/inpaint")), task.before.image[:, ::-1]
    clip: ClipPair = bundled_clip()
    found: dict[str, Any] = flux_scores.score_portrait(
        task, text, made, np.ascontiguousarray(stranger), place, bundled_judge(), clip
    )
    return found


def test_damage_is_found_where_it_is(modules: tuple[ModuleType, ModuleType], scored: dict[str, Any]) -> None:
    """Breaks when what a fusion loses outside the place cannot show, or is blamed on what it does inside."""
    assert scored["inside"].outside_db == 100
    assert scored["inside"].whole_db < 30
    assert scored["outside"].outside_db < 15
    assert scored["outside"].ssim_outside < 0.5 < scored["inside"].ssim_outside
    rebuilt = scored[modules[1].RECONSTRUCTION]
    assert (rebuilt.whole_db, rebuilt.outside_db, rebuilt.gain_db) == (100, 100, 0)
    assert rebuilt.identity == pytest.approx(1, abs=1e-5)
    assert rebuilt.clip_direction is None


def test_the_truth_is_the_best(modules: tuple[ModuleType, ModuleType], scored: dict[str, Any]) -> None:
    """Breaks when the reach, the direction or the gain is taken from the wrong picture."""
    truth, others = scored["truth"], [score for name, score in scored.items() if name != "truth"]
    assert truth.reached
    assert truth.gain_db > max(other.gain_db for other in others)
    assert truth.clip_direction > 0
    assert truth.identity > scored["outside"].identity
    assert modules[1].STRANGER in scored
