"""How well a locator finds regions: intersection over union with the exact regions of rendered portraits."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceedit import faces
from faceedit.evaluate.runner import portrait_of_render
from faceedit.locate.pasl import PaslLocator
from faceedit.locate.template import place
from faceedit.portraits.render import Rendered
from faceedit.regions import REGIONS
from faceedit.request import Face, Float2

Said = tuple[str, tuple[str, ...]]
"""A sentence, and the regions whose union it means."""

INSIDE = 0.5
"""From here on a soft mask counts as inside, of the answer as of the truth."""


@dataclass(frozen=True)
class Answered:
    """One answer held against the truth: which regions were asked for, by which words, and the IoU in [0, 1]."""

    regions: tuple[str, ...]
    text: str
    iou: float


def overlap(answer: Float2, truth: Float2) -> float:
    """Intersection over union of two soft masks [H, W] of one size, cut at `INSIDE`; NaN where both are empty."""
    a, b = answer >= INSIDE, truth >= INSIDE
    either = int((a | b).sum())
    return float((a & b).sum()) / either if either else float("nan")


def truth_of(portrait: Rendered, regions: Sequence[str]) -> Float2:
    """The exact union of regions, float32 [S, S] in [0, 1]."""
    found: Float2 = np.maximum.reduce([portrait.regions[name] for name in regions])
    return found


def score_pasl(locator: PaslLocator, portrait: Rendered, asked: Sequence[Said]) -> list[Answered]:
    """PASL asked by every sentence on one portrait, which it sees whole; one pass of its image encoder."""
    answers = locator.answers(portrait_of_render(portrait), [text for text, _ in asked])
    return [
        Answered(regions, text, overlap(answer, truth_of(portrait, regions)))
        for (text, regions), answer in zip(asked, answers, strict=True)
    ]


def score_places(portrait: Rendered, places: Iterable[tuple[str, ...]], masks: Mapping[str, Float2]) -> list[Answered]:
    """Unions of regions, from one mask for each region as a locator gives them, float32 [S, S]."""
    return [
        Answered(
            regions, "", overlap(np.maximum.reduce([masks[name] for name in regions]), truth_of(portrait, regions))
        )
        for regions in places
    ]


def pasl_masks(locator: PaslLocator, portrait: Rendered) -> dict[str, Float2]:
    """PASL's soft answer for every region by name."""
    return dict(zip(REGIONS, locator.region_answers(portrait_of_render(portrait), REGIONS), strict=True))


def template_masks(portrait: Rendered, face: Face) -> dict[str, Float2]:
    """The template of every region, put onto `face`."""
    return {name: place((name,), face, (portrait.size, portrait.size)) for name in REGIONS}


def known_face(portrait: Rendered) -> Face:
    """The face with the renderer's own box and landmarks: the best that a detector could give."""
    return portrait_of_render(portrait).face


def found_face(portrait: Rendered) -> Face | None:
    """The face as the walk of an edit finds it, or None."""
    found = faces.find_faces(portrait_of_render(portrait).picture)
    return faces.choose_face(found) if found else None


def mean_by_region(answers: Iterable[Answered]) -> dict[tuple[str, ...], float]:
    """Mean IoU over portraits and wordings for every region or union; pairs without truth and answer are left out."""
    sums: dict[tuple[str, ...], list[float]] = {}
    for answer in answers:
        if not np.isnan(answer.iou):
            sums.setdefault(answer.regions, []).append(answer.iou)
    return {regions: float(np.mean(values)) for regions, values in sums.items()}


def grand_mean(means: dict[tuple[str, ...], float], regions: Iterable[tuple[str, ...]]) -> float:
    """Mean over regions, each counting alike."""
    chosen: NDArray[np.float64] = np.array([means[name] for name in regions])
    return float(chosen.mean())
