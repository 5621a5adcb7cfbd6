"""How a recipe option is declared; the sections of the recipe stand on it."""

from __future__ import annotations

from dataclasses import field
from typing import Any


def option(
    default: Any,
    meaning: str,
    choices: tuple[str, ...] = (),
    at_least: float | None = None,
    at_most: float | None = None,
) -> Any:
    """A recipe option. `meaning` is what `faceedit recipes show` and `docs/recipes.md` print."""
    metadata = {"meaning": meaning, "choices": choices, "at_least": at_least, "at_most": at_most}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=metadata)
    return field(default=default, metadata=metadata)
