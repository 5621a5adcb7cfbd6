"""Outlines of the regions in the upright face frame (see `frame.py`), tuned on rendered portraits' training seeds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from faceedit.request import Float2

Points = tuple[tuple[float, float], ...]

# The raster that outlines are drawn on: the frame's x and y from -HALF_SPAN to HALF_SPAN.
HALF_SPAN = 3.4
RASTER = 640
_SHIFT = 4


@dataclass(frozen=True)
class Outline:
    """A closed polygon through `points`; with `mirrored` its mirror image about the midline as well."""

    points: Points
    mirrored: bool = False


@dataclass(frozen=True)
class Shape:
    """Outlines filled, less those cut out."""

    fill: tuple[Outline, ...]
    cut: tuple[Outline, ...] = ()


def ellipse(x: float, y: float, rx: float, ry: float, turn: float = 0.0, mirrored: bool = False) -> Outline:
    """An ellipse about (x, y), turned by `turn` degrees (its right end downwards)."""
    angles = np.linspace(0, 2 * np.pi, 48, endpoint=False)
    c, s = np.cos(np.deg2rad(turn)), np.sin(np.deg2rad(turn))
    px, py = rx * np.cos(angles), ry * np.sin(angles)
    return Outline(tuple(zip((x + c * px - s * py).tolist(), (y + s * px + c * py).tolist(), strict=True)), mirrored)


def symmetric(*right: tuple[float, float]) -> Outline:
    """A polygon about the midline, from its right half's points, top to bottom."""
    return Outline((*right, *((-x, y) for x, y in reversed(right))))


FACE = symmetric(
    (0.0, -1.42), (0.48, -1.36), (0.88, -1.08), (1.08, -0.68), (1.17, -0.07), (1.17, 0.36), (1.05, 0.84), (0.84, 1.1),
    (0.54, 1.36), (0.0, 1.56),
)  # fmt: skip
BEARD = symmetric(
    (0.0, 0.62), (0.33, 0.68), (0.52, 0.66), (0.82, 0.5), (0.96, 0.12), (1.2, 0.1), (1.22, 0.5), (1.14, 0.84),
    (0.86, 1.38), (0.5, 1.74), (0.0, 1.86),
)  # fmt: skip
LIPS = symmetric((0.0, 0.86), (0.1, 0.84), (0.26, 0.87), (0.52, 0.97), (0.4, 1.16), (0.14, 1.3), (0.0, 1.31))
INNER_LIPS = symmetric((0.0, 0.95), (0.22, 0.94), (0.42, 0.98), (0.33, 1.12), (0.12, 1.22), (0.0, 1.22))
MOUTH = symmetric((0.0, 0.69), (0.35, 0.73), (0.54, 0.83), (0.66, 1.01), (0.6, 1.18), (0.35, 1.36), (0.0, 1.4))
CHIN = ellipse(0.0, 1.42, 0.67, 0.38)
NECK = symmetric((0.68, 1.1), (0.7, 1.9), (0.46, 2.2), (0.0, 2.32))
EAR = Outline(
    ((1.08, -0.26), (1.34, -0.33), (1.5, -0.18), (1.5, 0.05), (1.38, 0.44), (1.16, 0.56), (0.96, 0.42), (0.94, -0.04)),
    True,
)
EYE = Outline(
    (
        (0.08, -0.06), (0.08, 0.08), (0.2, 0.22), (0.46, 0.31), (0.68, 0.29), (0.84, 0.22), (0.98, 0.08), (0.99, -0.02),
        (0.9, -0.2), (0.6, -0.35), (0.4, -0.35), (0.25, -0.28),
    ),
    True,
)  # fmt: skip
EYE_OPENING = ellipse(0.51, 0.0, 0.28, 0.14, mirrored=True)
PUPIL = ellipse(0.5, 0.0, 0.19, 0.19, mirrored=True)
UNDER_EYE = Outline(
    ((0.17, 0.08), (0.22, 0.26), (0.44, 0.38), (0.7, 0.34), (0.83, 0.17), (0.82, 0.06), (0.6, 0.15), (0.4, 0.15)), True
)
BROW = Outline(
    (
        (0.92, -0.3),
        (0.74, -0.57),
        (0.52, -0.63),
        (0.26, -0.56),
        (0.14, -0.4),
        (0.14, -0.2),
        (0.24, -0.14),
        (0.58, -0.27),
        (0.9, -0.18),
    ),
    True,
)
NOSE = symmetric((0.0, -0.2), (0.18, -0.12), (0.18, 0.2), (0.34, 0.52), (0.34, 0.66), (0.14, 0.8), (0.0, 0.8))
CHEEK = ellipse(0.65, 0.58, 0.42, 0.33, mirrored=True)
FOREHEAD = symmetric((0.0, -1.08), (0.45, -1.05), (0.76, -0.92), (1.0, -0.7), (1.04, -0.5), (0.78, -0.33), (0.0, -0.33))
HAIRLINE = symmetric(
    (0.0, -1.25), (0.3, -1.3), (0.52, -1.38), (0.73, -1.34), (0.9, -1.18), (1.02, -0.9), (1.06, -0.36), (0.93, -0.33),
    (0.76, -0.58), (0.42, -0.7), (0.0, -0.75),
)  # fmt: skip
HAIR = symmetric(
    (0.0, -1.85), (0.5, -1.8), (1.0, -1.6), (1.3, -1.25), (1.52, -0.75), (1.62, -0.3), (1.66, 0.4),
    (1.66, 1.6), (0.0, 1.6),
)  # fmt: skip
HAIR_INSIDE = symmetric(
    (0.0, -0.62), (0.6, -0.58), (0.85, -0.38), (0.97, -0.05), (1.0, 0.5), (0.85, 0.95), (0.74, 1.2),
    (0.74, 1.7), (0.0, 1.7),
)  # fmt: skip
GLASSES = symmetric(
    (0.0, -0.2), (0.28, -0.36), (0.66, -0.38), (0.84, -0.33), (0.99, -0.2), (1.24, -0.17), (1.24, 0.06), (1.06, 0.12),
    (0.98, 0.28), (0.75, 0.44), (0.38, 0.47), (0.14, 0.37), (0.0, 0.18),
)  # fmt: skip
HAT = symmetric(
    (0.0, -2.32), (0.2, -2.26), (0.32, -2.0), (0.68, -1.86), (0.92, -1.72), (1.16, -1.46), (1.3, -1.16), (1.36, -0.6),
    (1.32, -0.46), (0.0, -0.42),
)  # fmt: skip
EARRING = ellipse(1.16, 0.58, 0.27, 0.34, mirrored=True)
NECKLACE = symmetric((0.5, 1.68), (0.7, 1.72), (0.68, 1.9), (0.5, 2.08), (0.24, 2.3), (0.0, 2.36))
NECKLACE_INSIDE = symmetric((0.5, 1.66), (0.27, 1.84), (0.0, 1.86))

SHAPES: dict[str, Shape] = {
    "beard": Shape((BEARD,), (INNER_LIPS,)),
    "face_shape": Shape((FACE,)),
    "chin": Shape((CHIN,)),
    "skin": Shape((FACE, NECK, EAR), (EYE_OPENING, INNER_LIPS)),
    "hair": Shape((HAIR,), (HAIR_INSIDE,)),
    "hairline": Shape((HAIRLINE,)),
    "forehead": Shape((FOREHEAD,)),
    "mouth": Shape((MOUTH,)),
    "lips": Shape((LIPS,)),
    "nose": Shape((NOSE,)),
    "eyebrows": Shape((BROW,)),
    "under_eyes": Shape((UNDER_EYE,)),
    "pupils": Shape((PUPIL,)),
    "eyes": Shape((EYE,)),
    "makeup": Shape((EYE, BROW, CHEEK, LIPS)),
    "cheeks": Shape((CHEEK,)),
    "expression": Shape((MOUTH, EYE, BROW, CHEEK)),
    "eyeglasses": Shape((GLASSES,)),
    "ears": Shape((EAR,)),
    "hat": Shape((HAT,)),
    "earring": Shape((EARRING,)),
    "necklace": Shape((NECKLACE,), (NECKLACE_INSIDE,)),
}


@lru_cache(maxsize=64)
def region_raster(region: str) -> Float2:
    """A region drawn on the frame's raster: float32 [RASTER, RASTER] in [0, 1], soft at the edge; read-only."""
    shape = SHAPES[region]
    values: Float2 = np.clip(_drawn(shape.fill) - _drawn(shape.cut), 0.0, 1.0).astype(np.float32)
    values.flags.writeable = False
    return values


def _drawn(outlines: tuple[Outline, ...]) -> Float2:
    import cv2

    image = np.zeros((RASTER, RASTER), dtype=np.uint8)
    for outline in outlines:
        points = np.array(outline.points)
        for sign in (1, -1) if outline.mirrored else (1,):
            pixels = (points * (sign, 1) / HALF_SPAN + 1) * RASTER / 2 - 0.5
            cv2.fillPoly(image, [np.round(pixels * 2**_SHIFT).astype(np.int32)], 255, cv2.LINE_AA, _SHIFT)
    return np.asarray(image / 255, dtype=np.float32)
