"""A sheet of the first edits of a benchmark run: input, mask, result and counterfactual side by side."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

from faceedit.compare import overlay, sheet
from faceedit.errors import UsageError
from faceedit.evaluate.report import Sample
from faceedit.images import write_atomic
from faceedit.request import Bytes3

PER_ROW = 8


def draw_sheet(samples: Sequence[Sample], height: int = 160) -> Bytes3:
    """Two edits a row, four pictures each; the prompt stands above the input.

    Args:
        samples: edits kept by the benchmark.
        height: of every picture on the sheet, in pixels.

    Returns:
        uint8 [h, w, 3].

    Raises:
        UsageError: there are no samples.
    """
    if not samples:
        raise UsageError("no edits were kept as pictures", "ask for some: samples=16")
    images: list[Bytes3] = []
    labels: list[str] = []
    for sample in samples:
        images += [sample.before, overlay(sample.before, sample.mask), sample.result, sample.truth]
        labels += [sample.phrase, "mask", "result", "counterfactual"]
    return sheet(images, labels, height, columns=min(PER_ROW, len(images)))


def write_sheet(path: Path, samples: Sequence[Sample], force: bool = False) -> None:
    """Write `draw_sheet` as a PNG.

    Raises:
        UsageError: there are no samples.
        OutputError: the file exists and `force` is false, or it cannot be written.
    """
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(draw_sheet(samples)).save(buffer, "PNG", optimize=True)
    write_atomic(path, buffer.getvalue(), force)
