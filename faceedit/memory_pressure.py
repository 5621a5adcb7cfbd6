"""What happens when memory runs out: one step down to a leaner recipe, said and recorded, and after that a clear stop.

The step that leaves the result as it is comes first: models that wait off the device. Fewer candidates come after it,
since they change what the best of them is.
"""

from __future__ import annotations

import gc
import sys
from dataclasses import replace

from faceedit.errors import OutOfMemoryError
from faceedit.recipe_schema import Recipe

# "auto" has looked at the free memory and may have taken "low" already, so what follows it is "lowest".
_LEANER = {"full": "low", "80gb": "low", "auto": "lowest", "low": "lowest", "24gb": "lowest", "16gb": "lowest"}

# What runs out says so by its class or, where a library raises a general error, only by its text: the CPU allocator on
# Linux and on Windows, CUDA, ROCm and Metal, CUDA's libraries, a Metal buffer above its limit, OpenCV.
_TEXTS = (
    "can't allocate memory",
    "not enough memory",
    "out of memory",
    "insufficient memory",
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
    "invalid buffer size",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether `error` says that the machine's or the device's memory ran out. torch is not imported for it."""
    if isinstance(error, (MemoryError, OutOfMemoryError)) or type(error).__name__ == "OutOfMemoryError":
        return True
    general = isinstance(error, RuntimeError) or type(error).__module__ == "cv2"
    text = str(error).lower()
    return general and any(sign in text for sign in _TEXTS)


def step_down(recipe: Recipe, device: str) -> tuple[Recipe, str] | None:
    """The next leaner recipe and what it gives up, as "device.memory auto -> lowest"; `None` where nothing is left.

    Args:
        recipe: the one that memory ran out under.
        device: kind of the device that it runs on: "cpu", "cuda" or "mps".
    """
    preset = recipe.device.memory
    if device == "cuda" and preset in _LEANER:
        leaner = _LEANER[preset]
        return replace(recipe, device=replace(recipe.device, memory=leaner)), f"device.memory {preset} -> {leaner}"
    sculptor, candidates = recipe.flux_sculptor, recipe.inpaint.candidates
    if recipe.editor == "flux-sculptor" and sculptor.bank == "auto":
        return replace(recipe, flux_sculptor=replace(sculptor, bank="dual")), "flux_sculptor.bank auto -> dual"
    if recipe.editor == "inpaint" and candidates > 1:
        return replace(recipe, inpaint=replace(recipe.inpaint, candidates=1)), f"inpaint.candidates {candidates} -> 1"
    return None


def stopped(device: str, step: str = "") -> OutOfMemoryError:
    """The end of it: memory ran out, `step` had been tried already."""
    after = f", also with {step}" if step else ""
    ways = ["close other programs"] if device == "cpu" else ["--device cpu"]
    return OutOfMemoryError(
        f"the memory of the {device} device does not hold what this edit needs{after}",
        f"try {', '.join(ways)}, or a smaller recipe (faceedit recipes list)",
    )


def release() -> None:
    """Give back what is no longer referred to, to the device as well."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is None:
        return
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()
