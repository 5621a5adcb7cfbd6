"""A sheet of the first edits of a benchmark run: input, mask, result and counterfactual side by side."""

from __future__ import annotations

from collections.abc import Sequence

from faceedit.compare import overlay, sheet
from faceedit.errors import UsageError
from faceedit.evaluate.report import Sample
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
