"""The four masks of Flux-Sculptor's supplement A.4, from the exact region of a rendered portrait's attribute."""

from __future__ import annotations

import numpy as np

from faceedit import masks
from faceedit.evaluate.places import rough_place, with_locator
from faceedit.evaluate.runner import portrait_of_render
from faceedit.evaluate.tasks import EditTask
from faceedit.recipe_schema import Recipe
from faceedit.request import EditText, Float2
from faceedit.run import find_mask

KINDS = ("precise", "rough", "noisy", "coarse")
PLACE = "place"

# The paper shows its masks and states no numbers; these are ours. Shares are of the picture's side, or of an area.
DISCS = (0.01, 0.04)
SCATTERED = 0.15
HOLES = 0.3
SPECKLE = 0.25
GROWN = 0.15


def mask_of(kind: str, task: EditTask, text: EditText, recipe: Recipe, locator: str, rough: str) -> Float2:
    """One mask for one edit.

    - "precise": the exact region, as a careful hand would draw it.
    - "rough": what the locator `rough` finds from the words (the paper: PASL).
    - "noisy": the exact region with holes of discs in three tenths of it, discs scattered over three twentieths of the
      rest, and Gaussian noise on every pixel.
    - "coarse": the region's box, grown by 0.15 of the side on every side, so that most of it has nothing to do with
      the edit.
    - "place": the exact region as `locator` says ("exact", "dilate", "hull"), or what a locator of that name finds.

    Returns:
        float32 [S, S] in [0, 1].

    Raises:
        UsageError: no such locator.
        NothingToEditError: it finds nothing.
        KeyError: no such kind.
    """
    makers = {
        "precise": lambda: task.region,
        "rough": lambda: located(task, text, recipe, rough),
        "noisy": lambda: noisy(task.region, task.index),
        "coarse": lambda: coarse(task.region),
        PLACE: lambda: located(task, text, recipe, locator),
    }
    return makers[kind]()


def located(task: EditTask, text: EditText, recipe: Recipe, locator: str) -> Float2:
    """The region made rough, or found from the words."""
    place = rough_place(task, locator)
    return find_mask(with_locator(recipe, locator), portrait_of_render(task.before), text, (), place)[0].values


def noisy(region: Float2, seed: int) -> Float2:
    """Holes, scattered discs and speckle; the same for the same seed."""
    rng = np.random.default_rng(seed)
    holes, scattered = (discs(region.shape[0], share, rng) for share in (HOLES, SCATTERED))
    torn = np.where(region > 0.5, region * (1 - holes), np.maximum(region, scattered))
    return np.clip(torn + rng.normal(0, SPECKLE, region.shape), 0, 1).astype(np.float32)


def discs(side: int, share: float, rng: np.random.Generator) -> Float2:
    """Discs at random places until they cover `share` of a picture of `side` pixels, float32 [S, S] of 0 and 1."""
    rows, columns = np.mgrid[:side, :side]
    covered = np.zeros((side, side), dtype=bool)
    while covered.mean() < share:
        y, x = rng.uniform(0, side, 2)
        covered |= (rows - y) ** 2 + (columns - x) ** 2 <= (side * rng.uniform(*DISCS)) ** 2
    return covered.astype(np.float32)


def coarse(region: Float2) -> Float2:
    """The grown box around a region that has something in it."""
    x0, y0, x1, y1 = masks.bounding_box(region)
    more = round(GROWN * region.shape[0])
    box = np.zeros_like(region)
    box[max(y0 - more, 0) : y1 + more, max(x0 - more, 0) : x1 + more] = 1
    return box
