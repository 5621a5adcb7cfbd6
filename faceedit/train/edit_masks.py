"""Masks for training an inpainting editor: regions made as rough as the masks that people and locators give.

Exact masks teach the model that whatever is asked for fills the mask to its rim; rough ones teach it to find the shape
inside. All masks are float32 [H, W] in [0, 1], 1 = edit, and none of these functions gives an empty one for a region
that is not empty.
"""

from __future__ import annotations

import numpy as np
from numpy.random import Generator

from faceedit import masks
from faceedit.request import Float2
from faceedit.train.settings import MaskSettings

HARD_FROM = 0.4
_CURVE_POINTS = 12
_SUPERSAMPLED = 8


def enlarged(region: Float2, size: int) -> Float2:
    """A coarse soft region as a hard mask at picture size.

    Args:
        region: float32 [g, g] in [0, 1], shares of cells; not empty.
        size: side of the picture in pixels.

    Returns:
        float32 [size, size] of zeros and ones, never empty: a region that fills no cell to `HARD_FROM` is cut at half
        of its largest share.
    """
    import cv2

    soft = cv2.resize(region.astype(np.float32), (size, size), interpolation=cv2.INTER_LINEAR)
    return np.asarray(soft >= min(HARD_FROM, 0.5 * float(soft.max())), dtype=np.float32)


def eroded(region: Float2, radius: float) -> Float2:
    """The region shrunk by a disc of up to `radius` pixels; by less where nothing of it would be left."""
    while radius >= 1:
        smaller = masks.erode(region, radius)
        if float(smaller.max()) >= float(region.max()):
            return smaller
        radius /= 2
    return region.copy()


def bezier_blob(region: Float2, rng: Generator, bulge: float) -> Float2:
    """A blob around the region: quadratic Bézier curves over the four sides of its bounding box, bent outwards.

    Args:
        region: float32 [H, W], not empty.
        rng: bends every curve by a random share of `bulge`, at a random place.
        bulge: the farthest that a control point stands off its side, as a share of the box's longer side.

    Returns:
        float32 [H, W] in [0, 1], nowhere below `region`.
    """
    import cv2

    box = masks.bounding_box(region)
    if box is None:
        return region.copy()
    x0, y0, x1, y1 = box
    corners = np.array([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], np.float64) - 0.5
    outwards = np.array([(0, -1), (1, 0), (0, 1), (-1, 0)], np.float64)
    reach = bulge * max(x1 - x0, y1 - y0)
    t = np.linspace(0, 1, _CURVE_POINTS, endpoint=False)[:, None]
    curves = []
    for start, end, normal in zip(corners, np.roll(corners, -1, axis=0), outwards, strict=True):
        along, off = rng.uniform(0.2, 0.8), rng.uniform(0, reach)
        control = start + along * (end - start) + off * normal
        curves.append((1 - t) ** 2 * start + 2 * t * (1 - t) * control + t**2 * end)
    outline = np.round(np.concatenate(curves) * _SUPERSAMPLED).astype(np.int32)
    blob = np.zeros(region.shape, np.uint8)
    cv2.fillPoly(blob, [outline], 1, shift=_SUPERSAMPLED.bit_length() - 1)
    return np.maximum(region, blob.astype(np.float32))


def roughened(region: Float2, rng: Generator, settings: MaskSettings) -> Float2:
    """The region by one of five ways, drawn by their shares in the settings.

    Args:
        region: float32 [H, W] in [0, 1], not empty.
        rng: chooses the way and its measure.
        settings: shares of the ways and their largest measures.

    Returns:
        float32 [H, W] in [0, 1], never empty; nowhere below `region` unless it was eroded.
    """
    side = region.shape[0]
    shares = np.array([settings.exact, settings.eroded, settings.dilated, settings.hull, settings.bezier])
    way = int(rng.choice(len(shares), p=shares / shares.sum()))
    if way == 1:
        return eroded(region, rng.uniform(0, settings.most_eroded) * side)
    if way == 2:
        return masks.dilate(region, rng.uniform(0, settings.most_dilated) * side)
    if way == 3:
        return masks.convex_hull(region)
    if way == 4:
        return bezier_blob(region, rng, settings.bulge)
    return region.copy()
