"""What an edit would do, for `--dry-run`: everything up to the mask, and what the rest would cost."""

from __future__ import annotations

from dataclasses import dataclass

from faceedit.request import Request
from faceedit.run import prepare


@dataclass(frozen=True)
class Plan:
    """What an edit would do, for `--dry-run`.

    Attributes:
        recipe: name of the recipe, and `reason` why it was taken.
        editor: the editing method.
        device: device, `dtype` precision and `memory` preset that the models would run with.
        weights: where the weights come from, `weight_bytes` their size on disk; 0 where they are random.
        steps: denoising steps that would be run, on a crop of `size` pixels.
        source: the sentence that describes the portrait; `target` and `negative` those that guide the edit.
        mask_origin: where the mask comes from, `mask_share` the share of the picture that it covers.
    """

    recipe: str
    reason: str
    editor: str
    device: str
    dtype: str
    memory: str
    weights: str
    weight_bytes: int
    steps: int
    size: int
    source: str
    target: str
    negative: str
    mask_origin: str
    mask_share: float


def plan(request: Request) -> Plan:
    """Go through steps 1 to 4 and say what the rest would do; weights are looked for and not loaded.

    Raises:
        FaceEditError: whatever would stop the edit itself before it starts.
    """
    from faceedit.models.places import weight_paths
    from faceedit.models.plan import device_plan

    prepared = prepare(request)
    recipe = prepared.recipe
    placed = device_plan(recipe.device)
    return Plan(
        recipe=recipe.name,
        reason=prepared.choice.reason,
        editor=recipe.editor,
        device=str(placed.device),
        dtype=str(placed.dtype).removeprefix("torch."),
        memory=placed.memory,
        weights=recipe.weights.path or recipe.weights.repository or "random",
        weight_bytes=sum(path.stat().st_size for path in weight_paths(recipe.weights).values()),
        steps=max(1, round(recipe.sampling.steps * recipe.sampling.strength)),
        size=recipe.size,
        source=prepared.text.source,
        target=prepared.text.target,
        negative=prepared.text.negative,
        mask_origin=prepared.mask.origin,
        mask_share=float(prepared.mask.values.mean()),
    )
