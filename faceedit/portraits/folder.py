"""Write portraits, their masks, counterfactuals and captions to a folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from faceedit.errors import OutputError
from faceedit.portraits.attributes import Attributes, stream, visible_fields
from faceedit.portraits.captions import KINDS, caption
from faceedit.portraits.render import Rendered, counterfactual, render
from faceedit.portraits.vocabulary import ATTRIBUTES, attribute_value

_CHOICES = 12


def _write_png(path: Path, pixels: NDArray[np.uint8]) -> None:
    _, data = cv2.imencode(".png", pixels[..., ::-1] if pixels.ndim == 3 else pixels)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.tobytes())


def possible_edits(attributes: Attributes) -> list[tuple[str, str]]:
    """(field, value) pairs that are local edits and whose effect can be seen in the portrait."""
    edits = []
    for item in ATTRIBUTES:
        if not item.editable or getattr(attributes, item.field) == item.value:
            continue
        changed = attributes.with_value(item.field, item.value)
        if item.field in visible_fields(attributes) and item.field in visible_fields(changed):
            edits.append((item.field, item.value))
    return edits


def _captions(attributes: Attributes, rng: Generator) -> dict[str, list[str]]:
    return {kind: [caption(attributes, rng, kind) for _ in range(3)] for kind in KINDS}


def _write_one(out: Path, name: str, portrait: Rendered, counterfactuals: int) -> dict[str, Any]:
    rng = stream(portrait.seed, _CHOICES)
    _write_png(out / "images" / f"{name}.png", portrait.image)
    for region, mask in portrait.regions.items():
        _write_png(out / "masks" / name / f"{region}.png", np.round(mask * 255).astype(np.uint8))
    edits = possible_edits(portrait.attributes)
    written = []
    for index in rng.permutation(len(edits))[:counterfactuals]:
        field, value = edits[int(index)]
        other = counterfactual(portrait.seed, portrait.size, field, value, portrait.attributes, regions=False)
        file = f"counterfactuals/{name}/{field}={value}.png"
        _write_png(out / file, other.image)
        item = attribute_value(field, value)
        written.append(
            {
                "file": file, "field": field, "from": getattr(portrait.attributes, field), "to": value,
                "prompt": item.phrases[0], "regions": list(item.regions),
                "captions": _captions(other.attributes, rng),
            }
        )  # fmt: skip
    return {
        "file": f"images/{name}.png",
        "seed": portrait.seed,
        "size": portrait.size,
        "attributes": portrait.attributes.as_dict(),
        "landmarks": {key: [round(x, 2), round(y, 2)] for key, (x, y) in portrait.landmarks.items()},
        "face_box": [round(value, 2) for value in portrait.face_box],
        "captions": _captions(portrait.attributes, rng),
        "counterfactuals": written,
    }


def write_folder(
    out: Path,
    count: int,
    seed: int = 0,
    size: int = 256,
    counterfactuals: int = 4,
    force: bool = False,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Write `count` portraits from `seed` on: images, masks, counterfactuals, and `portraits.jsonl` last.

    Args:
        out: folder to write; made where it is missing.
        count: number of portraits.
        seed: seed of the first portrait; the next ones count up.
        size: width and height in pixels.
        counterfactuals: at most so many edited versions of each portrait.
        force: write into a folder that holds something already.
        progress: called with the number of portraits written so far.

    Returns:
        The number of portraits written.

    Raises:
        OutputError: the folder is not empty, or cannot be written.
        UsageError: seed or size is out of range.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not force and any(out.iterdir()):
            raise OutputError(f"{out} is not empty", "choose another folder or pass --force")
        lines = []
        for index in range(count):
            portrait = render(seed + index, size)
            lines.append(json.dumps(_write_one(out, f"{index:06d}", portrait, counterfactuals)))
            if progress is not None:
                progress(index + 1)
        part = out / "portraits.jsonl.part"
        part.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        part.replace(out / "portraits.jsonl")
    except OSError as error:
        raise OutputError(f"cannot write to {out}: {error.strerror}", "check the folder and the free space") from error
    return count
