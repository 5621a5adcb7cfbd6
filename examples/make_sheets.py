"""How the pictures in docs/images were made: python examples/make_sheets.py. Seed 0, nothing picked by hand."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

from faceedit.compare import overlay, sheet
from faceedit.faces import crop_pixels
from faceedit.images import load_picture
from faceedit.recipe import load_recipe
from faceedit.request import Request
from faceedit.run import edit_prepared, load_editor, prepare

HERE = Path(__file__).parent
IMAGES = HERE.parent / "docs/images"
RECIPE = "mini/ca-edit"
PORTRAIT_EDITS = ("rosy cheeks", "red lipstick", "sunglasses", "a full beard", "a beanie", "blond hair")
PHOTO_EDITS = ("rosy cheeks", "red lipstick")


def encoded(rgb: np.ndarray) -> bytes:
    """The picture as PNG bytes."""
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "PNG")
    return buffer.getvalue()


def edits_sheet(source: Path | bytes, prompts: tuple[str, ...], target: Path, close_up: bool) -> None:
    """Input, then mask and result of every prompt; with `close_up` also what the models saw and gave."""
    editor = load_editor(load_recipe(RECIPE))
    before = load_picture(source).rgb
    pictures, labels = [before], ["input"]
    for prompt in prompts:
        request = Request(source, (prompt,), recipe=RECIPE)
        prepared = prepare(request)
        result = edit_prepared(prepared, request, editor=editor)
        pictures += [overlay(before, result.mask.values), result.rgb]
        labels += ["mask", prompt]
        if close_up:
            x0, y0, x1, y1 = prepared.portrait.crop
            pictures += [crop_pixels(prepared.portrait, 320), result.rgb[y0:y1, x0:x1]]
            labels += ["crop before", "crop after"]
    columns = 5 if close_up else 1 + 2 * 3
    if not close_up:  # two rows of three edits, each row led by the input
        pictures.insert(7, before)
        labels.insert(7, "input")
    Image.fromarray(sheet(pictures, labels, height=256, columns=columns)).save(target, quality=88)


if __name__ == "__main__":
    edits_sheet(HERE / "portrait.png", PORTRAIT_EDITS, IMAGES / "edits.jpg", close_up=False)
    edits_sheet(encoded(data.astronaut()), PHOTO_EDITS, IMAGES / "astronaut.jpg", close_up=True)
