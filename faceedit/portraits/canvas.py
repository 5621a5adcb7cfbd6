"""A float canvas in portrait coordinates: anti-aliased patches, soft blobs and how they blend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil, floor
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Color = tuple[float, float, float]
_SHIFT = 4


@dataclass(frozen=True)
class Patch:
    """Coverage `alpha` float32 [h, w] in [0, 1] at rows `y`.. and columns `x`.. of a canvas."""

    y: int
    x: int
    alpha: Floats

    @property
    def window(self) -> tuple[slice, slice]:
        """Index of the patch's place in the canvas."""
        return slice(self.y, self.y + self.alpha.shape[0]), slice(self.x, self.x + self.alpha.shape[1])

    def within(self, other: Patch) -> Patch:
        """This patch clipped to another one."""
        top, left = max(self.y, other.y), max(self.x, other.x)
        bottom = min(self.y + self.alpha.shape[0], other.y + other.alpha.shape[0])
        right = min(self.x + self.alpha.shape[1], other.x + other.alpha.shape[1])
        if bottom <= top or right <= left:
            return Patch(0, 0, np.zeros((0, 0), np.float32))
        mine = self.alpha[top - self.y : bottom - self.y, left - self.x : right - self.x]
        clip = other.alpha[top - other.y : bottom - other.y, left - other.x : right - other.x]
        return Patch(top, left, mine * clip)

    def times(self, field: Floats | float) -> Patch:
        """This patch with its coverage multiplied by a canvas-sized field or a number."""
        return Patch(self.y, self.x, self.alpha * (field if isinstance(field, float) else field[self.window]))


class Canvas:
    """`size` x `size` pixels seen through an affine map from portrait coordinates ([0, 1], x right, y down).

    Attributes:
        rgb: float32 [size, size, 3], display-referred sRGB in [0, 1].
        matrix: float64 [2, 3], portrait coordinates -> pixels.
    """

    def __init__(self, size: int, matrix: NDArray[np.float64]) -> None:
        self.size = size
        self.matrix = matrix * size
        self.unit = float(np.sqrt(abs(np.linalg.det(self.matrix[:, :2]))))
        self.rgb: Floats = np.zeros((size, size, 3), np.float32)

    @cached_property
    def grid(self) -> tuple[Floats, Floats]:
        """Portrait coordinates u, v of every pixel centre, float32 [size, size] each."""
        inverse = cv2.invertAffineTransform(self.matrix).astype(np.float32)
        axis = np.arange(self.size, dtype=np.float32)
        x, y = axis[None, :], axis[:, None]
        u = inverse[0, 0] * x + inverse[0, 1] * y + inverse[0, 2]
        v = inverse[1, 0] * x + inverse[1, 1] * y + inverse[1, 2]
        return u, v

    def to_pixels(self, points: NDArray[np.float64] | Sequence[tuple[float, float]]) -> NDArray[np.float64]:
        """Portrait points [n, 2] as pixel coordinates [n, 2]."""
        array = np.asarray(points, np.float64)
        return array @ self.matrix[:, :2].T + self.matrix[:, 2]

    def _bounds(self, pixels: NDArray[np.float64], margin: float) -> tuple[int, int, int, int]:
        (left, top), (right, bottom) = pixels.min(0).tolist(), pixels.max(0).tolist()
        x0, y0 = max(floor(left - margin), 0), max(floor(top - margin), 0)
        return x0, y0, min(ceil(right + margin) + 1, self.size), min(ceil(bottom + margin) + 1, self.size)

    def _soften(self, alpha: NDArray[np.uint8], blur: float) -> Floats:
        sigma = blur * self.unit
        if sigma > 0.3:
            alpha = cast("NDArray[np.uint8]", cv2.GaussianBlur(alpha, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE))
        return alpha.astype(np.float32) * np.float32(1 / 255)

    def polygon(self, *outlines: NDArray[np.float64] | Sequence[tuple[float, float]], blur: float = 0.0) -> Patch:
        """The filled union of outlines (points [n, 2]), blurred by `blur` portrait units."""
        pixels = [self.to_pixels(outline) for outline in outlines]
        x0, y0, x1, y1 = self._bounds(np.concatenate(pixels), 2 + 3 * blur * self.unit)
        if x1 <= x0 or y1 <= y0:
            return Patch(0, 0, np.zeros((0, 0), np.float32))
        alpha = np.zeros((y1 - y0, x1 - x0), np.uint8)
        for points in pixels:
            fixed = np.round((points - (x0, y0)) * (1 << _SHIFT)).astype(np.int32)
            cv2.fillPoly(alpha, [fixed], 255, cv2.LINE_AA, _SHIFT)
        return Patch(y0, x0, self._soften(alpha, blur))

    def lines(
        self, strokes: Sequence[NDArray[np.float64]], width: float, blur: float = 0.0, closed: bool = False
    ) -> Patch:
        """Polylines of one width in portrait units; widths below a pixel fade instead of vanishing."""
        pixels = [self.to_pixels(stroke) for stroke in strokes]
        wide = width * self.unit
        x0, y0, x1, y1 = self._bounds(np.concatenate(pixels), 2 + wide + 3 * blur * self.unit)
        if x1 <= x0 or y1 <= y0:
            return Patch(0, 0, np.zeros((0, 0), np.float32))
        alpha = np.zeros((y1 - y0, x1 - x0), np.uint8)
        fixed = [np.round((points - (x0, y0)) * (1 << _SHIFT)).astype(np.int32) for points in pixels]
        whole = max(1, round(wide))
        cv2.polylines(alpha, fixed, closed, min(255, round(255 * wide / whole)), whole, cv2.LINE_AA, _SHIFT)
        return Patch(y0, x0, self._soften(alpha, blur))

    def blob(self, x: float, y: float, rx: float, ry: float, angle: float = 0.0) -> Patch:
        """A Gaussian blob: coverage exp(-r^2) with radii `rx`, `ry`, turned by `angle` radians."""
        reach = 2.2 * max(rx, ry)
        corners = self.to_pixels(
            [(x - reach, y - reach), (x + reach, y - reach), (x - reach, y + reach), (x + reach, y + reach)]
        )
        x0, y0, x1, y1 = self._bounds(corners, 0)
        if x1 <= x0 or y1 <= y0:
            return Patch(0, 0, np.zeros((0, 0), np.float32))
        u, v = self.grid
        du, dv = u[y0:y1, x0:x1] - np.float32(x), v[y0:y1, x0:x1] - np.float32(y)
        if angle:
            c, s = np.float32(np.cos(angle)), np.float32(np.sin(angle))
            du, dv = c * du + s * dv, c * dv - s * du
        du *= np.float32(1 / rx)
        dv *= np.float32(1 / ry)
        return Patch(y0, x0, np.exp(-(du * du + dv * dv)))

    def paint(self, patch: Patch, color: Color | Floats, amount: float = 1.0) -> None:
        """Blend `color` (one RGB, or float32 [h, w, 3] for the patch) over the canvas."""
        place = self.rgb[patch.window]
        alpha = patch.alpha[..., None] * np.float32(amount)
        place += alpha * (np.asarray(color, np.float32) - place)

    def shade(self, patch: Patch, factor: Color | float) -> None:
        """Multiply the canvas by `factor` where the patch covers it."""
        gain = np.asarray(factor, np.float32) - np.float32(1)
        self.rgb[patch.window] *= 1 + patch.alpha[..., None] * gain
