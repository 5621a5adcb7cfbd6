"""Where the benchmark lets an edit act: the attribute's exact region, made as rough as a hand-drawn mask."""

from __future__ import annotations

from dataclasses import replace

from faceedit.evaluate.tasks import EditTask
from faceedit.locate.exact import ROUGHNESSES, roughen
from faceedit.recipe_schema import Recipe
from faceedit.request import Float2


def rough_place(task: EditTask, locator: str) -> Float2 | None:
    """The mask of one edit from its exact region, or None where a real locator is to find it.

    Args:
        task: the edit, with the exact region.
        locator: "dilate" (the benchmark's default) or "hull", as FFLEBench roughens its masks, or "exact" as drawn;
            any other name is a locator of the walk.

    Returns:
        float32 [S, S] in [0, 1], or None.
    """
    return roughen(task.region, locator) if locator in ROUGHNESSES else None


def with_locator(recipe: Recipe, locator: str) -> Recipe:
    """The recipe that finds the place as the benchmark wants it.

    Args:
        recipe: the editor's recipe.
        locator: one of `ROUGHNESSES` (the recipe must not roughen the mask once more), "recipe" (as the recipe
            says) or the name of a locator of the walk, such as "template".
    """
    if locator == "recipe":
        return recipe
    if locator in ROUGHNESSES:
        return replace(recipe, locator=replace(recipe.locator, dilate=0.0, hull=False))
    return replace(recipe, locator=replace(recipe.locator, name=locator))
