"""Whether a recipe runs on this machine, from its weights' sizes and the device alone; nothing is loaded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from faceedit.errors import FaceEditError, WeightsError
from faceedit.recipe_schema import Recipe

if TYPE_CHECKING:
    from faceedit.models.plan import DevicePlan

RUNS, SLOWLY, NOT = "runs", "runs slowly", "does not run"
# A backbone of this size takes minutes for an edit where no accelerator helps; the bundled models are far below it.
_LARGE = 1 << 30


@dataclass(frozen=True)
class Readiness:
    """A verdict: `state` is "runs", "runs slowly" or "does not run"; but for the first, why, and what to do."""

    state: str
    device: str = ""
    why: str = ""
    advice: str = ""

    def __str__(self) -> str:
        where = f" on {self.device}" if self.device and self.state != NOT else ""
        return f"{self.state}{where}{f', because {self.why}' if self.why else ''}"


def readiness(name: str) -> Readiness:
    """The verdict on a recipe by name. Reads no weights but the bundled ones' hashes, and opens no socket."""
    from faceedit.models.places import weight_paths
    from faceedit.models.plan import device_plan
    from faceedit.models.sizes import loading_bytes
    from faceedit.recipe import load_recipe
    from faceedit.safety import require_checker

    recipe = load_recipe(name)
    try:
        plan = device_plan(recipe.device)
        files = weight_paths(recipe.weights, hashes=False)
        sizes, needed = [path.stat().st_size for path in files.values()], loading_bytes(files, plan)
        require_checker(recipe, hashes=False)
    except WeightsError as error:
        return Readiness(NOT, why=str(error), advice=_how_to_get(recipe) or error.hint)
    except FaceEditError as error:
        return Readiness(NOT, why=str(error), advice=error.hint)
    return judge(sizes, needed, plan, free_memory(), free_device_memory(plan))


def judge(sizes: list[int], needed: int, plan: DevicePlan, free: int, device_free: int | None) -> Readiness:
    """The verdict on weights of these sizes.

    Args:
        sizes: bytes of every weight file.
        needed: memory that loading them takes.
        plan: device and precision.
        free: free memory of the machine in bytes.
        device_free: that of the accelerator, or `None` on the CPU.
    """
    from faceedit.models.plan import memory_preset

    size, device = sum(sizes), str(plan.device)
    if needed > free:
        why = f"it needs about {needed / 1e9:.0f} GB of free memory and {free / 1e9:.0f} GB are free"
        return Readiness(NOT, why=why, advice="close other programs, or use mini/inpaint")
    if plan.device.type == "cpu":
        if size < _LARGE:
            return Readiness(RUNS, device)
        return Readiness(
            SLOWLY, device, f"{size / 1e9:.0f} GB of weights run on no accelerator", "install PyTorch for a GPU"
        )
    largest = max(sizes, default=0)
    if device_free is not None and memory_preset(plan.memory, size, largest, device_free) != "full":
        why = f"{size / 1e9:.0f} GB of weights take turns in {device_free / 1e9:.0f} GB of device memory"
        return Readiness(SLOWLY, device, why, "free device memory, or use a smaller recipe")
    return Readiness(RUNS, device)


def free_memory() -> int:
    """Memory in bytes that programs can still take."""
    import psutil

    return int(psutil.virtual_memory().available)


def free_device_memory(plan: DevicePlan) -> int | None:
    """Free memory of the plan's accelerator in bytes, or `None` where it has none of its own."""
    import torch

    return int(torch.cuda.mem_get_info(plan.device)[0]) if plan.device.type == "cuda" else None


def _how_to_get(recipe: Recipe) -> str:
    """The command that fetches what is missing, with its size as far as it is known."""
    from faceedit.models.manifest import MISSING, by_repository, check

    known = by_repository(recipe.weights.repository) if recipe.weights.kind == "hub" else None
    if known is None or check(known, hashes=False).state != MISSING:
        return ""
    size = f" ({known.size / 1e9:.1f} GB)" if known.size else ""
    return f"faceedit weights pull --recipe {recipe.name}{size}"
