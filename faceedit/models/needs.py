"""Which published weights a recipe needs, and which of their files."""

from __future__ import annotations

from faceedit.errors import UsageError
from faceedit.models import manifest
from faceedit.models.components import PUBLISHED_NAMES
from faceedit.models.manifest import WeightFile, WeightSet
from faceedit.recipe_schema import Recipe


def sets_of(recipe: Recipe) -> tuple[WeightSet, ...]:
    """The published sets that a recipe needs, in the manifest's order.

    Raises:
        UsageError: it runs on weights that are not published, or that the manifest does not know.
    """
    if recipe.weights.kind != "hub":
        raise UsageError(f"{recipe.name} runs on {recipe.weights.kind} weights", "there is nothing to pull")
    repository = recipe.weights.repository
    found = tuple(
        known
        for known in manifest.weight_sets()
        if known.kind == "hub" and (known.repository == repository or recipe.name in known.needed_by)
    )
    if not any(known.repository == repository for known in found):
        raise UsageError(f"weights.toml does not know {repository}", "fetch it with: hf download")
    return found


def files_for(known: WeightSet, recipe: Recipe | None) -> tuple[WeightFile, ...]:
    """The files of a set that a recipe reads: without parts that it replaces or does not use; all for `None`."""
    if recipe is None:
        return known.files
    unused = set(recipe.weights.folders)
    if recipe.safety == "off":
        unused |= {"safety_checker", "feature_extractor"}
    parts = {file.path: file.path.partition("/")[0] for file in known.files}
    return tuple(
        file for file in known.files if not unused & {parts[file.path], PUBLISHED_NAMES.get(parts[file.path], "")}
    )
