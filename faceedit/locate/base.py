"""The locator protocol: from a portrait and what is to be edited to where."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from faceedit.errors import UsageError
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


_FACTORIES: dict[str, Callable[[], Locator]] = {}


def register_locator(name: str, factory: Callable[[], Locator]) -> None:
    """Makes a locator known by name; `factory` builds it when it is first asked for."""
    _FACTORIES[name] = factory


def make_locator(name: str) -> Locator:
    """The locator of that name, with its defaults.

    Raises:
        UsageError: no locator has that name.
    """
    if name not in _FACTORIES:
        raise UsageError(f"unknown locator {name!r}", f"the locators are: {', '.join(sorted(_FACTORIES))}")
    return _FACTORIES[name]()


def locator_names() -> tuple[str, ...]:
    """Names that `make_locator` knows."""
    return tuple(sorted(_FACTORIES))
