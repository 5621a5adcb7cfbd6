"""The walk before any model: where the mask comes from and how it is cut to the crop."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from faceedit.errors import NothingToEditError, UsageError
from faceedit.prompts import parse
from faceedit.recipe import load_recipe
from faceedit.request import Face, Float2, Picture, Portrait
from faceedit.run import find_mask

RECIPE = load_recipe("smoke/inpaint")
TEXT = parse(["rosy cheeks"])
PICTURE = Picture(np.full((100, 200, 3), 128, np.uint8), None, "RGB", "PNG", None, None, None, "")
PORTRAIT = Portrait(PICTURE, Face((30.0, 30.0, 70.0, 80.0)), (10, 10, 90, 90))


def block(x0: int, x1: int) -> Float2:
    values = np.zeros((100, 200), np.float32)
    values[40:60, x0:x1] = 1
    return values


def test_a_users_mask_wins_and_comes_back_as_it_is() -> None:
    """Breaks when regions, the locator or the recipe's own growth touch a mask that the user drew."""
    mask, warnings = find_mask(RECIPE, PORTRAIT, TEXT, ("lips",), block(40, 60))
    assert np.array_equal(mask.values, block(40, 60))
    assert (mask.origin, warnings) == ("file", ())


def test_named_regions_win_over_the_prompts() -> None:
    """Breaks when --region is read and dropped, or a mistyped name passes."""
    mask, _ = find_mask(RECIPE, PORTRAIT, TEXT, ("Lips", "glasses"), None)
    assert mask.origin == "template: lips, eyeglasses"
    assert find_mask(RECIPE, PORTRAIT, TEXT, (), None)[0].origin == "template: cheeks"
    with pytest.raises(UsageError, match="cheaks"):
        find_mask(RECIPE, PORTRAIT, TEXT, ("cheaks",), None)


def test_what_lies_outside_the_crop_is_cut_off_and_said() -> None:
    """Breaks when a mask reaches where no model looked, or half of it is dropped in silence."""
    mask, warnings = find_mask(RECIPE, PORTRAIT, TEXT, (), block(80, 100))
    assert np.array_equal(mask.values, block(80, 90))
    assert "50% of the mask" in warnings[0]
    with pytest.raises(NothingToEditError, match="outside"):
        find_mask(RECIPE, PORTRAIT, TEXT, (), block(120, 140))
    with pytest.raises(NothingToEditError, match="empty"):
        find_mask(RECIPE, PORTRAIT, TEXT, (), block(0, 0))


def test_growth_is_a_share_of_the_crops_side() -> None:
    """Breaks when --dilate counts pixels of the picture or of the model."""
    grown = replace(RECIPE, locator=replace(RECIPE.locator, dilate=0.05))
    mask, _ = find_mask(grown, PORTRAIT, TEXT, (), block(40, 60))
    columns = np.nonzero(mask.values.any(axis=0))[0]
    assert (columns.min(), columns.max()) == (40 - 4, 59 + 4)
