"""Soft masks of every region, and the landmarks: where each thing is, or where it would be."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceedit.portraits.attributes import Attributes
from faceedit.portraits.backdrop import neckline
from faceedit.portraits.beard import beard_area
from faceedit.portraits.canvas import Canvas, Floats
from faceedit.portraits.curves import Points, ellipse, shifted, spline
from faceedit.portraits.eyes import brow_outline, lid_area, lids
from faceedit.portraits.geometry import Geometry
from faceedit.portraits.hair import Tress, back_outlines, bangs_outline, cap_outline, hairline_curve, scalloped
from faceedit.portraits.mouth import mouth_curves
from faceedit.portraits.skin import bag_outline, ear_outline
from faceedit.portraits.worn import earring_area, glasses_area, hat_area, necklace_area
from faceedit.regions import REGIONS

SIDES = (-1, 1)
SOFT = 0.006


class Places:
    """The regions of one portrait as float32 [size, size] masks in [0, 1], each drawn when it is asked for."""

    def __init__(
        self, size: int, matrix: NDArray[np.float64], g: Geometry, hair: Tress, attributes: Attributes
    ) -> None:
        self._canvas = Canvas(size, matrix)
        self._g, self._hair, self._attributes = g, hair, attributes
        self._known: dict[str, Floats] = {}

    def mask(self, name: str) -> Floats:
        """The soft mask of one region of `faceedit.regions.REGIONS`."""
        if name not in self._known:
            self._known[name] = self._draw(name)
        return self._known[name]

    def masks(self, names: tuple[str, ...] = REGIONS) -> dict[str, Floats]:
        """The soft masks of several regions."""
        return {name: self.mask(name) for name in names}

    def _fill(self, *outlines: Points, blur: float = SOFT) -> Floats:
        field = np.zeros((self._canvas.size, self._canvas.size), np.float32)
        patch = self._canvas.polygon(*outlines, blur=blur)
        field[patch.window] = patch.alpha
        return field

    def _union(self, *names: str) -> Floats:
        field: Floats = np.maximum.reduce([self.mask(name) for name in names])
        return field

    def _draw(self, name: str) -> Floats:
        if name == "makeup":
            return self._union("eyes", "eyebrows", "lips", "cheeks")
        if name == "expression":
            return self._union("mouth", "eyes", "eyebrows", "cheeks")
        if name == "beard":
            return self._fill(*beard_area(self._g)) * (1 - self.mask("lips"))
        if name == "hair":
            return self._hair_mask()
        if name == "skin":
            return self._skin()
        return self._fill(*self._outlines(name))

    def _skin(self) -> Floats:
        g = self._g
        hem = neckline(g)
        w = g.neck_w
        neck = np.concatenate([[(0.5 - w, 0.62), (0.5 + w, 0.62)], hem[::-1]])
        field = self._fill(g.outline, neck, *(ear_outline(g, s) for s in SIDES))
        hidden = [self._front_hair(), *([self._fill(*hat_area(g))] if self._attributes.hat != "none" else [])]
        eyes = self._fill(*(np.concatenate([a, b[::-1]]) for a, b in (lids(g, s, self._attributes) for s in SIDES)))
        if self._attributes.glasses == "sunglasses":
            hidden.append(self.mask("eyeglasses"))
        for cover in (*hidden, eyes, self.mask("lips"), self.mask("eyebrows")):
            field = field * (1 - cover)
        if self._attributes.beard in ("full", "goatee"):
            field = field * (1 - 0.9 * self.mask("beard"))
        return field

    def _front_hair(self) -> Floats:
        a, g, hair = self._attributes, self._g, self._hair
        if a.hair_style == "bald":
            return np.zeros((self._canvas.size, self._canvas.size), np.float32)
        front = [cap_outline(g, hair, a.hair_style, a.hairline == "receding")]
        return self._fill(*front, *([bangs_outline(g, hair)] if a.bangs == "yes" else []))

    def _hair_mask(self) -> Floats:
        """Hair that is seen or hidden by a hat, and where short hair would be; without face, ears and neck."""
        a, g, hair = self._attributes, self._g, self._hair
        outlines = [cap_outline(g, hair, "short", False)]
        if a.hair_style != "bald":
            outlines += [cap_outline(g, hair, a.hair_style, False)]
            outlines += [bangs_outline(g, hair)] if a.bangs == "yes" else []
        if a.hair_style == "curly":
            outlines.append(scalloped(0.5, 0.225, g.temple + 0.055, 0.165, 18, hair.phase))
        front = self._fill(*outlines)
        back = back_outlines(g, hair, a.hair_style)
        if not back:
            return front
        w = g.neck_w
        neck = np.concatenate([[(0.5 - w, 0.62), (0.5 + w, 0.62)], neckline(g)[::-1]])
        bare = self._fill(g.outline, neck, *(ear_outline(g, s) for s in SIDES))
        field: Floats = np.maximum(front, self._fill(*back) * (1 - bare))
        return field

    def _outlines(self, name: str) -> list[Points]:
        a, g = self._attributes, self._g
        both = [(s, *g.eye(s)) for s in SIDES]
        if name == "face_shape":
            return [g.outline]
        if name == "chin":
            return [ellipse(0.5, g.chin_y - 0.018, 0.150, 0.078)]
        if name == "hairline":
            normal = hairline_curve(g, self._hair, False)[8:-8]
            high = hairline_curve(g, self._hair, True)[8:-8]
            return [np.concatenate([shifted(high, 0, -0.02), (shifted(normal, 0, 0.035))[::-1]])]
        if name == "forehead":
            t = g.temple
            return [
                spline(
                    [
                        (0.5 - 0.86 * t, 0.355),
                        (0.5 - 0.84 * t, 0.27),
                        (0.5 - 0.45 * t, 0.215),
                        (0.5, 0.205),
                        (0.5 + 0.45 * t, 0.215),
                        (0.5 + 0.84 * t, 0.27),
                        (0.5 + 0.86 * t, 0.355),
                        (0.5, 0.362),
                    ],
                    closed=True,
                )
            ]
        if name == "mouth":
            return [ellipse(0.5, g.mouth_y + 0.006, 0.142, 0.072)]
        if name == "lips":
            top, _, _, bottom = mouth_curves(g, a)
            return [np.concatenate([top, bottom[::-1]])]
        if name == "nose":
            w, y = g.nose_w * 1.15, g.nose_y
            half = [(0.030, 0.415), (0.036, 0.49), (w, y - 0.03), (w * 1.08, y), (w * 0.7, y + 0.026), (0.0, y + 0.032)]
            return [
                spline([*((0.5 + x, v) for x, v in half), *((0.5 - x, v) for x, v in reversed(half[:-1]))], closed=True)
            ]
        if name == "eyebrows":
            return [brow_outline(g, s, a, 0.008) for s in SIDES]
        if name == "under_eyes":
            return [bag_outline(g, s) for s in SIDES]
        if name == "pupils":
            return [ellipse(x + g.gaze, y - 0.004, 0.037, 0.037) for _, x, y in both]
        if name == "eyes":
            return [
                *(ellipse(x + 0.006 * s, y - 0.004, 0.098, 0.062, -s * g.eye_tilt) for s, x, y in both),
                *(lid_area(g, s) for s in SIDES),
            ]
        if name == "cheeks":
            return [ellipse(0.5 + s * 0.152, 0.578, 0.088, 0.072) for s in SIDES]
        if name == "eyeglasses":
            return glasses_area(g)
        if name == "ears":
            return [ear_outline(g, s, max(g.ear_scale, 1.3)) for s in SIDES]
        if name == "hat":
            return hat_area(g)
        if name == "earring":
            return [earring_area(g, s) for s in SIDES]
        return necklace_area(g)


def landmarks(canvas: Canvas, g: Geometry) -> tuple[dict[str, tuple[float, float]], tuple[float, float, float, float]]:
    """Named points (x, y) in pixels, and the box (x0, y0, x1, y1) from hairline to chin and ear to ear."""
    points = {
        "left_eye": g.eye(-1),
        "right_eye": g.eye(1),
        "nose_tip": (0.5, g.nose_y - 0.018),
        "mouth_left": (0.5 - g.mouth_w, g.mouth_y),
        "mouth_right": (0.5 + g.mouth_w, g.mouth_y),
        "chin": (0.5, g.chin_y),
        "left_ear": g.ear(-1),
        "right_ear": g.ear(1),
        "forehead_top": (0.5, 0.225),
    }
    pixels = canvas.to_pixels(list(points.values()))
    named = {name: (float(x), float(y)) for name, (x, y) in zip(points, pixels, strict=True)}
    reach = g.ear(1)[0] + 0.02
    ends = canvas.to_pixels([(1 - reach, 0.46), (reach, 0.46), (0.5, 0.225), (0.5, g.chin_y)])
    low, high = np.clip(ends.min(0), 0, canvas.size), np.clip(ends.max(0), 0, canvas.size)
    return named, (float(low[0]), float(low[1]), float(high[0]), float(high[1]))
