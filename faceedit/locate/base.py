"""The locator protocol: from a portrait and what is to be edited to where."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from faceedit.errors import UsageError
from faceedit.recipe_schema import Recipe
from faceedit.request import EditText, Mask, Portrait


class Locator(Protocol):
    """Finds the place of an edit."""

    def locate(self, portrait: Portrait, edit: EditText) -> Mask:
        """The soft place of `edit`.

        Args:
            portrait: picture, face and crop; the picture is [H, W].
            edit: what is to be edited; `edit.regions` names the places.

        Returns:
            Mask float32 [H, W] in [0, 1] at the picture's size, 1 = edit.
        """
        ...


def _template(_: Recipe) -> Locator:
    from faceedit.locate.template import TemplateLocator

    return TemplateLocator()


def _pasl(recipe: Recipe) -> Locator:
    from faceedit.locate.pasl import open_pasl
    from faceedit.models.plan import device_plan

    options = recipe.locator
    return open_pasl(options.weights, options.threshold, options.ask, str(device_plan(recipe.device).device))


Builder = Callable[[Recipe], Locator]
_BUILDERS: dict[str, Builder] = {"template": _template, "pasl": _pasl}
_DEFAULTS = Recipe()


def register_locator(name: str, builder: Builder) -> None:
    """Makes a locator known by name; `builder` makes it, as a recipe says, when it is asked for."""
    _BUILDERS[name] = builder


def locator_names() -> tuple[str, ...]:
    """Names that `build_locator` knows."""
    return tuple(sorted(_BUILDERS))


def build_locator(name: str, recipe: Recipe = _DEFAULTS) -> Locator:
    """The locator of that name, with the options and on the device of a recipe.

    Raises:
        UsageError: no locator has that name.
        WeightsError: its weights are missing or damaged.
    """
    if name not in _BUILDERS:
        raise UsageError(f"unknown locator {name!r}", f"the locators are: {', '.join(locator_names())}")
    return _BUILDERS[name](recipe)
