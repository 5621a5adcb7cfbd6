"""Masks: float32 [H, W] in [0, 1], 1 = edit. Every function is pure and gives a new array.

Feathering grows outwards: the shape itself keeps its full strength and the ramp lies around it, so that an edit is
never thinned inside the place that was asked for. Beyond the ramp the mask is exactly 0.
"""

from __future__ import annotations

from functools import reduce
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from faceedit.errors import ImageError, NothingToEditError, UsageError
from faceedit.request import Float2

NEARLY_FULL = 0.95
MAX_ASPECT_MISMATCH = 0.01
_EMPTY_BELOW = 1 / 510
_DUST = 1e-9  # running sums leave traces of this kind where the truth is zero
_ROUNDING = 1e-6
_LARGEST_DISC = 8

Float8 = NDArray[np.float64]


def load_mask(source: Path | bytes, size: tuple[int, int], resize: bool = False) -> Float2:
    """Read a mask file: white = edit, grey = partly.

    A file whose visible colours are all one, but which has an alpha channel with a shape, is read from its alpha
    (opaque = edit). In a file with both, transparent pixels are not edited.

    Args:
        source: PNG, JPEG, WebP or TIFF file, or its encoded bytes.
        size: (height, width) of the picture that it belongs to.
        resize: allow another size of the same aspect; it is then resized by area.

    Returns:
        float32 [H, W] in [0, 1] of exactly `size`.

    Raises:
        ImageError: the file cannot be read.
        UsageError: another size without `resize`, or another aspect by more than one per cent.
    """
    from faceedit.decode import decode
    from faceedit.images import read_source

    try:
        data, name = read_source(source)
        picture = decode(data, name)
    except ImageError as error:
        raise ImageError(f"mask: {error}", error.hint) from None
    grey = picture.rgb.astype(np.float32) @ np.array([0.299, 0.587, 0.114], dtype=np.float32) / 255
    values = grey
    if picture.alpha is not None:
        alpha = picture.alpha.astype(np.float32) / 255
        visible = grey[alpha > 0]
        flat = visible.size == 0 or float(visible.max() - visible.min()) < 1 / 255
        values = alpha if flat and float(alpha.min()) < float(alpha.max()) else grey * alpha
    return fit(_unit(values), size, resize)


def fit(mask: Float2, size: tuple[int, int], resize: bool = False) -> Float2:
    """Hold a mask against a picture's size.

    Args:
        mask: float32 [h, w] in [0, 1].
        size: (height, width) wanted.
        resize: allow another size of the same aspect.

    Raises:
        UsageError: another size without `resize`, or another aspect by more than one per cent.
    """
    height, width = mask.shape
    if (height, width) == size:
        return mask
    said = f"the mask is {width}x{height}, the picture {size[1]}x{size[0]}"
    if abs((width / height) / (size[1] / size[0]) - 1) > MAX_ASPECT_MISMATCH:
        raise UsageError(f"{said}: another aspect", "draw the mask on the picture itself")
    if not resize:
        raise UsageError(said, "add --resize-mask to fit it to the picture")
    return resize_area(mask, size)


def resize_area(mask: Float2, size: tuple[int, int]) -> Float2:
    """Resize by averaging over areas: exact box averages when shrinking, each pixel's share when growing.

    Args:
        mask: float32 [h, w].
        size: (height, width) of the result.

    Returns:
        float32 [H, W] with the mean of `mask`, and within its range.
    """
    shrunk = _average_rows(_average_rows(mask.astype(np.float64), size[0]).T, size[1]).T
    return _unit(np.where(shrunk > _DUST, shrunk, 0.0))


def dilate(mask: Float2, radius: float) -> Float2:
    """Grow by a disc of `radius` pixels (greyscale dilation); below 0.5 nothing changes. Returns float32 [H, W]."""
    return _morph(mask, radius, grow=True)


def erode(mask: Float2, radius: float) -> Float2:
    """Shrink by a disc of `radius` pixels; the outside of the picture counts as masked. Returns float32 [H, W]."""
    return _morph(mask, radius, grow=False)


def convex_hull(mask: Float2, threshold: float = 0.5) -> Float2:
    """The convex hull of everything at or above `threshold`, filled with 1; the mask's own values stay beneath.

    Returns:
        float32 [H, W], nowhere below `mask`.
    """
    import cv2

    ys, xs = np.nonzero(mask >= threshold)
    if not xs.size:
        return mask.copy()
    corners = cv2.convexHull(np.stack([xs, ys], axis=1).astype(np.int32))[:, 0]
    left, right = np.full(mask.shape[0], np.inf), np.full(mask.shape[0], -np.inf)
    for start, end in zip(corners, np.roll(corners, 1, axis=0), strict=True):
        (x0, y0), (x1, y1) = sorted((start.tolist(), end.tolist()), key=lambda point: point[1])
        rows = np.arange(y0, y1 + 1)
        for x in (np.interp(rows, (y0, y1), (x0, x1)),) if y0 < y1 else (x0, x1):
            left[rows] = np.minimum(left[rows], x)
            right[rows] = np.maximum(right[rows], x)
    columns = np.arange(mask.shape[1])
    # Filled by spans, since a polygon drawn with lines would reach past its own hull.
    inside = (columns >= left[:, None] - _ROUNDING) & (columns <= right[:, None] + _ROUNDING)
    return np.maximum(inside.astype(np.float32), mask)


def feather(mask: Float2, radius: float) -> Float2:
    """Soften the border outwards over `radius` pixels.

    The shape is dilated by the radius and box-blurred twice within it, so that the ramp is smooth at both ends.

    Args:
        mask: float32 [H, W] in [0, 1].
        radius: width of the ramp in pixels; below 1 nothing changes.

    Returns:
        float32 [H, W] in [0, 1], nowhere below `mask`, exactly 0 farther than `radius` (each axis) from its support.
    """
    import cv2

    if radius < 1:
        return mask.copy()
    half = max(int(radius) // 2, 1)
    grown = dilate(mask, half)
    kernel = (2 * (half // 2) + 1, 2 * (half // 2) + 1)
    soft = grown.astype(np.float64)
    for _ in range(2):
        soft = cv2.blur(soft, kernel, borderType=cv2.BORDER_REPLICATE)
    return np.maximum(_unit(np.where(soft > _DUST, soft, 0.0)), mask)


def union(*masks: Float2) -> Float2:
    """The larger value everywhere. All masks float32 [H, W] of one size; at least one."""
    return reduce(np.maximum, masks).astype(np.float32)


def bounding_box(mask: Float2, threshold: float = 0.0) -> tuple[int, int, int, int] | None:
    """The box (x0, y0, x1, y1) around everything above `threshold`, x1 and y1 exclusive; `None` when empty."""
    ys, xs = np.nonzero(mask > threshold)
    if not xs.size:
        return None
    return int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1


def require_nonempty(mask: Float2) -> None:
    """Refuse a mask with nothing in it.

    Raises:
        NothingToEditError: no value stands out from zero.
    """
    if float(mask.max(initial=0.0)) < _EMPTY_BELOW:
        raise NothingToEditError("the mask is empty: there is nothing to edit", "white marks what is edited")


def coverage_warning(mask: Float2) -> str | None:
    """One sentence for a mask that covers (nearly) the whole picture, else `None`."""
    share = float(mask.mean())
    if share < NEARLY_FULL:
        return None
    return f"The mask covers {share:.0%} of the picture: almost nothing is kept. White marks what is edited."


def _unit(values: ArrayLike) -> Float2:
    return np.asarray(np.clip(np.asarray(values), 0.0, 1.0), dtype=np.float32)


def _average_rows(values: Float8, target: int) -> Float8:
    """Area averages down the first axis, as differences of the interpolated running sum."""
    length = values.shape[0]
    total = np.concatenate([np.zeros((1, values.shape[1])), np.cumsum(values, axis=0)])
    edges = np.linspace(0, length, target + 1)
    below = np.minimum(edges.astype(np.int64), length - 1)
    share = (edges - below)[:, None]
    sums = total[below] * (1 - share) + total[below + 1] * share
    return np.asarray(np.diff(sums, axis=0) * (target / length))


def _morph(mask: Float2, radius: float, grow: bool) -> Float2:
    import cv2

    box = bounding_box(mask)
    left = round(radius)
    if left < 1 or box is None:
        return mask.copy()
    x0, y0 = max(box[0] - left - 1, 0), max(box[1] - left - 1, 0)
    window = np.s_[y0 : box[3] + left + 1, x0 : box[2] + left + 1]
    part = np.ascontiguousarray(mask[window], dtype=np.float32)
    operation = cv2.dilate if grow else cv2.erode
    while left > 0:  # a large disc is the sum of small ones, at a fraction of the cost
        step = min(left, _LARGEST_DISC)
        part = operation(part, _disc(step))
        left -= step
    result = mask.astype(np.float32)
    result[window] = part
    return result


def _disc(radius: int) -> NDArray[np.uint8]:
    offsets = np.arange(-radius, radius + 1)
    return (offsets[:, None] ** 2 + offsets[None] ** 2 <= (radius + 0.5) ** 2).astype(np.uint8)
