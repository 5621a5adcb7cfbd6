"""Which recipe serves a request: the one asked for, or the best one whose weights are on this machine."""

from __future__ import annotations

from dataclasses import dataclass

from faceedit.errors import UsageError
from faceedit.recipe import load_recipe
from faceedit.recipe_schema import Recipe
from faceedit.request import Request

# Best first. The last one of each backend is bundled and always there.
RECIPES = {
    "inpaint": ("inpaint", "mini/inpaint"),
    "ca-edit": ("ca-edit", "mini/ca-edit"),
    "mag-edit": ("mag-edit", "mini/mag-edit"),
    "flux-sculptor": ("flux-sculptor", "mini/flux-sculptor"),
    "mini": ("mini/ca-edit",),
}
BACKENDS = tuple(RECIPES)
AUTO = ("inpaint", "mini/ca-edit")


@dataclass(frozen=True)
class Choice:
    """A recipe with every override applied.

    Attributes:
        reason: why it was taken.
        better: what to type for a better one, or empty.
        step_down: what it gives up because memory had run out ("device.memory auto -> lowest"), or empty.
    """

    recipe: Recipe
    reason: str
    better: str = ""
    step_down: str = ""


def overrides(request: Request) -> dict[str, str]:
    """The request's options that are recipe options by another name; an explicit `--set` wins over none of them."""
    named = {
        "sampling.steps": request.steps,
        "sampling.strength": request.strength,
        "locator.dilate": request.dilate,
        "paste.feather": request.feather,
    }
    plain = {"device.device": request.device, "device.dtype": request.dtype, "device.memory": request.memory}
    return {
        **request.settings,
        **{key: repr(value) for key, value in named.items() if value is not None},
        **{key: value for key, value in plain.items() if value != "auto"},
    }


def choose_recipe(request: Request) -> Choice:
    """The recipe of a request.

    An explicit recipe is taken as it is. Otherwise the first recipe of the backend (or of all, for "auto") whose
    weights are on this machine and fit its memory.

    Raises:
        UsageError: no such backend, recipe or key.
    """
    settings = overrides(request)
    if request.recipe is not None:
        recipe = load_recipe(request.recipe, settings)
        if request.backend not in ("auto", recipe.editor):
            raise UsageError(
                f"recipe {request.recipe} runs {recipe.editor}, not {request.backend}",
                "leave out --backend or --recipe",
            )
        return Choice(recipe, f"{recipe.name}, as asked for")
    if request.backend != "auto" and request.backend not in RECIPES:
        raise UsageError(f"unknown backend {request.backend!r}", f"the backends are: auto, {', '.join(BACKENDS)}")
    names = AUTO if request.backend == "auto" else RECIPES[request.backend]
    skipped: list[str] = []
    for name in names[:-1]:
        recipe = load_recipe(name, settings)
        obstacle = what_is_missing(recipe)
        if not obstacle:
            return Choice(recipe, f"{name}: the best recipe whose weights are on this machine")
        skipped.append(f"{name} ({obstacle})")
    bundled = load_recipe(names[-1], settings)
    passed_over = f"photographs want published weights, passed over here: {', '.join(skipped)}"
    better = f"{passed_over}; see: faceedit weights list" if skipped else ""
    return Choice(bundled, f"{names[-1]}: the bundled models", better)


def what_is_missing(recipe: Recipe) -> str:
    """Why a recipe cannot run on this machine, in a few words, or the empty text. Loads nothing, opens no socket."""
    if recipe.weights.kind in ("random", "bundled"):
        return ""
    import psutil

    from faceedit.errors import WeightsError
    from faceedit.models.places import weight_paths
    from faceedit.models.plan import device_plan
    from faceedit.models.sizes import loading_bytes
    from faceedit.safety import require_checker

    try:
        needed = loading_bytes(weight_paths(recipe.weights), device_plan(recipe.device))
    except WeightsError:
        return "weights not on this machine"
    try:
        require_checker(recipe)
    except WeightsError:
        return "its safety checker is not on this machine"
    if needed > psutil.virtual_memory().available:
        return f"needs about {needed / 1e9:.0f} GB of free memory"
    return ""
