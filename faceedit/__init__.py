"""Edit one local attribute of a face from a short text, and change nothing else.

>>> import faceedit
>>> result = faceedit.edit("portrait.png", "rosy cheeks", seed=1)  # doctest: +SKIP
>>> result.rgb.shape  # doctest: +SKIP
(512, 512, 3)
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from faceedit.request import Mask, Request, Result

__version__ = "0.1.0"
__all__ = ["Mask", "Request", "Result", "__version__", "edit", "mask"]


def edit(image: str | Path | bytes, *prompts: str, **options: Any) -> Result:
    """Edit one local attribute of one face; several prompts make one multi-attribute edit.

    Args:
        image: path of a picture, or its encoded bytes.
        prompts: attribute phrases ("rosy cheeks").
        options: fields of `Request` (backend, recipe, region, face, seed, steps, strength, settings, ...).

    Returns:
        The result: `rgb` uint8 [H, W, 3] at the input's size, equal to the input outside `mask`.

    Raises:
        FaceEditError: see `faceedit.errors`.
    """
    from faceedit.run import edit as run

    return run(_request(image, prompts, options))


def mask(image: str | Path | bytes, *prompts: str, **options: Any) -> Mask:
    """Where the same call of `edit` would act: `values` float32 [H, W] in [0, 1]. Loads no model."""
    from faceedit.run import locate_mask

    return locate_mask(_request(image, prompts, options))[1]


def _request(image: str | Path | bytes, prompts: tuple[str, ...], options: dict[str, Any]) -> Request:
    from faceedit.request import Request

    return Request(image=image if isinstance(image, bytes) else Path(image), prompts=prompts, **options)


def __getattr__(name: str) -> Any:
    # Request and its kin bring NumPy along, which `faceedit --help` must not wait for.
    if name in ("Mask", "Request", "Result"):
        from faceedit import request

        return getattr(request, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
