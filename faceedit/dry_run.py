"""What an edit would do, for `--dry-run`: everything up to the mask, and what the rest would cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from faceedit.backend import choose_recipe
from faceedit.recipe_schema import Recipe
from faceedit.request import Request
from faceedit.run import prepare

if TYPE_CHECKING:
    from faceedit.editors.flux_sculptor.cost import Cost
    from faceedit.models.plan import DevicePlan


@dataclass(frozen=True)
class Plan:
    """What an edit would do, for `--dry-run`.

    Attributes:
        recipe: name of the recipe, and `reason` why it was taken.
        editor: the editing method.
        device: device, `dtype` precision and `memory` preset that the models would run with.
        weights: where the weights come from, `weight_bytes` their size on disk; 0 where they are random.
        part_bytes: each model's size in the form that it would run in; of quantised ones about that.
        steps: denoising steps that would be run, on a crop of `size` pixels.
        source: the sentence that describes the portrait; `target` and `negative` those that guide the edit.
        mask_origin: where the mask comes from, `mask_share` the share of the picture that it covers.
        cost: evaluations, value bank and peak memory, where the editor can tell them beforehand.
    """

    recipe: str
    reason: str
    editor: str
    device: str
    dtype: str
    memory: str
    weights: str
    weight_bytes: int
    part_bytes: Mapping[str, int]
    steps: int
    size: int
    source: str
    target: str
    negative: str
    mask_origin: str
    mask_share: float
    cost: Cost | None


def plan(request: Request) -> Plan:
    """Go through steps 1 to 4 and say what the rest would do; weights are looked for and not loaded.

    Raises:
        FaceEditError: whatever would stop the edit itself before it starts.
    """
    from faceedit.editors.base import unused_parts
    from faceedit.models.places import require_present, weight_paths
    from faceedit.models.plan import device_plan
    from faceedit.models.residence import preset_for
    from faceedit.models.sizes import empty_models, running_bytes

    choice = choose_recipe(request)
    require_present(choice.recipe.weights)
    prepared = prepare(request, choice)
    recipe = prepared.recipe
    placed = device_plan(recipe.device)
    models = empty_models(recipe.weights, unused_parts(recipe))
    preset = placed.preset or preset_for(placed, running_bytes(models, placed), running_bytes(models, placed, "24gb"))
    return Plan(
        recipe=recipe.name,
        reason=prepared.choice.reason,
        editor=recipe.editor,
        device=str(placed.device),
        dtype=str(placed.dtype).removeprefix("torch."),
        memory=preset,
        weights=recipe.weights.path or recipe.weights.repository or "random",
        weight_bytes=sum(path.stat().st_size for path in weight_paths(recipe.weights).values()),
        part_bytes=running_bytes(models, placed, preset),
        steps=max(1, round(recipe.sampling.steps * recipe.sampling.strength)),
        size=recipe.size,
        source=prepared.text.source,
        target=prepared.text.target,
        negative=prepared.text.negative,
        mask_origin=prepared.mask.origin,
        mask_share=float(prepared.mask.values.mean()),
        cost=_flux_cost(recipe, models, placed, preset) if recipe.editor == "flux-sculptor" else None,
    )


def _flux_cost(recipe: Recipe, models: Mapping[str, Any], placed: DevicePlan, preset: str) -> Cost:
    from faceedit.editors.flux_sculptor.cost import Room, cost_of
    from faceedit.models.free_memory import free_device_bytes, free_host_bytes
    from faceedit.models.sizes import resident_bytes

    resident = resident_bytes(models, placed, preset)
    room = Room(
        phases=(max(resident["text_encoder"], resident["text_encoder_2"]), resident["transformer"], resident["vae"]),
        free_device=free_device_bytes(placed.device),
        free_host=free_host_bytes() if placed.device.type == "cuda" else 0,
    )
    return cost_of(recipe, models["transformer"], models["vae"], placed.dtype.itemsize, room)
