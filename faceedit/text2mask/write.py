"""Writing a Text2Mask folder picture by picture, so that a run that was broken off goes on with the others."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceedit.errors import OutputError, UsageError
from faceedit.images import write_atomic
from faceedit.lamask.portraits import png_bytes
from faceedit.regions import TEXT2MASK_REGIONS
from faceedit.request import Float2
from faceedit.text2mask.form import (
    MARKER,
    SAMPLES,
    Description,
    Sample,
    mask_name,
    mask_strip,
    read_description,
    require_sizes,
)
from faceedit.text2mask.prompts import PROMPTS, UNSEEN

SMALLEST_SHARE = 0.0005
"""Share of the picture from which a mask counts as there."""

_RECORDS = "records"


def describe(size: int, grid: int, source: str, regions: tuple[str, ...] = TEXT2MASK_REGIONS) -> Description:
    """The description of a new folder, with our own prompts.

    Raises:
        UsageError: the grid does not divide the pictures' side.
    """
    require_sizes(size, grid)
    said = ({region: table[region] for region in regions} for table in (PROMPTS, UNSEEN))
    return Description(size, grid, regions, source, *said)


def begin(out: Path, description: Description) -> None:
    """Make the folder, or go on in one that was begun alike.

    Raises:
        OutputError: it holds something else, or was begun with other settings, or cannot be written.
    """
    try:
        if (out / MARKER).is_file():
            if (out / MARKER).read_text(encoding="utf-8") != description.text():
                raise OutputError(f"{out} was built {_difference(out, description)}", "choose a new folder")
        elif out.is_dir() and any(out.iterdir()):
            raise OutputError(f"{out} holds something else", "choose a new folder")
        for part in ("images", "masks", _RECORDS):
            (out / part).mkdir(parents=True, exist_ok=True)
        write_atomic(out / MARKER, description.text().encode(), force=True)
    except OSError as error:
        raise OutputError(f"cannot write to {out}: {error.strerror}", "check the folder and the free space") from error


def on_grid(mask: Float2, grid: int) -> NDArray[np.uint8]:
    """A mask float32 [S, S] in [0, 1], averaged over the cells of the grid: uint8 [g, g], 255 = wholly inside."""
    import cv2

    averaged = cv2.resize(mask, (grid, grid), interpolation=cv2.INTER_AREA)
    return np.asarray(np.round(np.clip(averaged, 0, 1) * 255), dtype=np.uint8)


def attached(regions: Sequence[str], key: int) -> dict[str, str]:
    """A prompt for each region, drawn by `key` alone. As in the paper it says nothing of what the picture shows:
    "a person with rosy cheeks" means the cheeks of pale faces too."""
    rng = np.random.default_rng([key, len(PROMPTS)])
    drawn = {region: texts[int(rng.integers(len(texts)))] for region, texts in PROMPTS.items()}
    return {region: drawn[region] for region in regions}


def write_sample(
    out: Path, name: str, image: NDArray[np.uint8], masks: NDArray[np.uint8], regions: Sequence[str], source: str
) -> Sample:
    """Write one picture [S, S, 3] and its masks [R, g, g]; returns what was attached to them.

    Args:
        out: a folder that was begun.
        name: hexadecimal or decimal digits; the prompts hang on it.
        image: the picture.
        masks: all masks of the folder, in its order.
        regions: those of them that are good.
        source: where the picture comes from.

    Raises:
        OutputError: the folder cannot be written.
    """
    path = f"images/{name}.png"
    sample = Sample(path, source, attached(regions, int(name, 16)))
    write_atomic(out / path, png_bytes(image), force=True)
    write_atomic(out / mask_name(path), png_bytes(mask_strip(masks)), force=True)
    # The record comes last: where it is, picture and masks are whole.
    write_atomic(out / _RECORDS / f"{name}.json", json.dumps(asdict(sample)).encode(), force=True)
    return sample


def written(out: Path, name: str) -> Sample | None:
    """The sample of that name if an earlier run finished it and its files are still whole."""
    path = f"images/{name}.png"
    try:
        for file in (path, mask_name(path)):
            with Image.open(out / file) as opened:
                opened.verify()
        return Sample(**json.loads((out / _RECORDS / f"{name}.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError, SyntaxError):
        return None


def finish(out: Path, samples: Sequence[Sample]) -> None:
    """Write `samples.jsonl`, with which the folder is whole.

    Raises:
        OutputError: the folder cannot be written.
    """
    write_atomic(out / SAMPLES, "".join(f"{sample.line()}\n" for sample in samples).encode(), force=True)


def _difference(out: Path, wanted: Description) -> str:
    try:
        found = read_description(out)
    except UsageError:
        return "by something else"
    names = [name for name in ("size", "grid", "regions", "source") if getattr(found, name) != getattr(wanted, name)]
    return f"with another {names[0]}" if names else "with other prompts"
