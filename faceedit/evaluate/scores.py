"""The scores of `eval portraits`, one small function each; `docs/evaluation.md` explains how they are put together.

Pictures are uint8 [H, W, 3] sRGB, masks float32 [H, W] in [0, 1]. A pixel is *inside* a mask where the mask is above 0:
those are all pixels that pasting back may touch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from faceedit.request import Bytes3, Float2

PSNR_CAP_DB = 100.0
"""What two identical pictures score, so that means stay finite; one wrong grey level in 256 x 256 pixels is 101 dB."""

VISIBLE_LEVELS = 10
"""Grey levels of 255 from which on a changed pixel counts as visibly changed."""

Predictions = Mapping[str, str]
Vector = NDArray[np.float32]


def inside_mse(a: Bytes3, b: Bytes3, mask: Float2) -> float:
    """Mean squared error, values scaled to [0, 1], over the pixels inside the mask only.

    PnPInversion's evaluation (the reference code of PIE-Bench) multiplies both pictures by the mask and averages over
    the *whole frame*, which adds 10 log10(H W / pixels inside) dB; figures of the two kinds cannot be compared.

    Args:
        a, b: pictures [H, W, 3].
        mask: [H, W], with at least one pixel above 0.
    """
    inside = mask > 0
    return float(np.mean(((a[inside].astype(np.float64) - b[inside]) / 255.0) ** 2))


def psnr_db(mse: float) -> float:
    """Peak signal-to-noise ratio 10 log10(1 / MSE) in dB of values in [0, 1], at most `PSNR_CAP_DB`."""
    return PSNR_CAP_DB if mse <= 0 else min(PSNR_CAP_DB, float(-10 * np.log10(mse)))


def outside_max_abs_diff(before: Bytes3, after: Bytes3, mask: Float2) -> int:
    """Largest change of any channel, in grey levels of 255, over the pixels where the mask is 0."""
    change = np.abs(before.astype(np.int16) - after)[mask <= 0]
    return int(change.max()) if change.size else 0


def outside_ssim(before: Bytes3, after: Bytes3, mask: Float2) -> float | None:
    """Structural similarity (Wang et al. 2004, Gaussian window, σ 1.5) averaged over the pixels outside the mask.

    Windows near the border look across it, so a value below 1 with an outside difference of 0 tells of the seam alone.

    Returns:
        A value in [-1, 1], or None where the mask leaves no pixel outside.
    """
    outside = mask <= 0
    if not outside.any():
        return None
    return float(ssim_map(before, after)[outside].mean())


def ssim_map(a: Bytes3, b: Bytes3) -> NDArray[np.float64]:
    """Structural similarity per pixel and channel, float64 [H, W, 3]: 11 x 11 Gaussian window, K 0.01 and 0.03."""
    from skimage.metrics import structural_similarity

    values: NDArray[np.float64] = structural_similarity(
        a, b, channel_axis=2, data_range=255, full=True, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )[1]
    return values


def change_inside(before: Bytes3, truth: Bytes3, mask: Float2) -> float:
    """Share of the counterfactual's change that lies inside the mask, in [0, 1]; 1 where there is no change at all."""
    change = np.abs(before.astype(np.int16) - truth).sum(axis=2)
    total = float(change.sum())
    return float(change[mask > 0].sum()) / total if total else 1.0


def visible_change(before: Bytes3, truth: Bytes3) -> float:
    """Share of the picture's pixels that the counterfactual changes by at least `VISIBLE_LEVELS` in some channel."""
    return float((np.abs(before.astype(np.int16) - truth).max(axis=2) >= VISIBLE_LEVELS).mean())


def reached(edited: Predictions, field: str, value: str) -> bool:
    """The judge sees the wanted value on the edited picture (AttrEdit of Flux-Sculptor eq. 17, by arg max)."""
    return edited[field] == value


def fields_to_keep(before: Predictions, truth: Predictions, field: str) -> tuple[str, ...]:
    """Fields that a perfect edit leaves alone: all but the edited one and those that the counterfactual itself changes.

    A beard hides a moustache: where the judge sees another value on the counterfactual than on the input, no edit
    could do better.
    """
    return tuple(name for name in before if name != field and before[name] == truth[name])


def kept(edited: Predictions, expected: Predictions, fields: Collection[str]) -> float | None:
    """Share of `fields` whose predicted value on the edited picture is the expected one; None where there are none.

    `expected` holds the judge's own predictions on the input (AttrPreserve of Flux-Sculptor eq. 18), or true labels.
    """
    if not fields:
        return None
    return sum(edited[name] == expected[name] for name in fields) / len(fields)


def clip_score(image: Vector, text: Vector) -> float:
    """100 x cosine of a picture's and a sentence's embedding, each [D] of unit length; not clamped."""
    return 100.0 * float(image @ text)


def directional_clip(source: Vector, edited: Vector, source_text: Vector, target_text: Vector) -> float | None:
    """Cosine between the change of the picture and the change of the sentence, in [-1, 1], as InstructPix2Pix has it.

    Args:
        source, edited, source_text, target_text: unit embeddings [D].

    Returns:
        None where one of the two changes is nil: the direction is undefined then, and 0 would be a made-up score.
    """
    picture, sentence = edited - source, target_text - source_text
    lengths = float(np.linalg.norm(picture)), float(np.linalg.norm(sentence))
    if min(lengths) < 1e-6:
        return None
    return float(picture @ sentence) / (lengths[0] * lengths[1])


def mean(values: Sequence[float | None]) -> float | None:
    """Mean of the values that are defined, or None where none is."""
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None
