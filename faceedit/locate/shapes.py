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
    (0.0, -1.37), (0.62, -1.30), (0.98, -0.92), (1.10, -0.45), (1.14, 0.08), (1.10, 0.5), (0.92, 0.94),
    (0.52, 1.36), (0.0, 1.5),
)  # fmt: skip
LOWER_FACE = symmetric((1.16, 0.2), (1.10, 0.6), (0.95, 1.0), (0.62, 1.42), (0.0, 1.64))
NECK = symmetric((0.55, 1.3), (0.66, 2.2), (0.0, 2.4))
HAIR = symmetric((0.0, -2.0), (0.8, -1.86), (1.35, -1.3), (1.6, -0.4), (1.75, 0.8), (1.8, 2.2), (1.1, 2.2), (0.0, 2.2))
FACE_INSIDE = symmetric((0.0, -0.85), (0.6, -0.8), (0.88, -0.4), (0.98, 0.2), (0.9, 0.9), (0.9, 2.3), (0.0, 2.3))
EYE = ellipse(0.5, 0.0, 0.36, 0.22, mirrored=True)
EYE_OPENING = ellipse(0.5, 0.0, 0.29, 0.15, mirrored=True)
BROW = Outline(
    ((0.16, -0.28), (0.42, -0.5), (0.72, -0.5), (0.95, -0.26), (0.9, -0.2), (0.6, -0.3), (0.2, -0.18)), mirrored=True
)
LIPS = ellipse(0.0, 1.0, 0.47, 0.22)
MOUTH = ellipse(0.0, 1.02, 0.52, 0.28)
NOSE = symmetric((0.0, -0.15), (0.12, -0.12), (0.17, 0.3), (0.36, 0.56), (0.32, 0.76), (0.0, 0.82))
CHEEK = ellipse(0.66, 0.6, 0.4, 0.34, mirrored=True)
UNDER_EYE = ellipse(0.5, 0.24, 0.38, 0.17, mirrored=True)
FOREHEAD = symmetric((0.0, -1.3), (0.6, -1.22), (0.92, -0.85), (0.98, -0.45), (0.0, -0.4))
HAIRLINE = symmetric(
    (0.0, -1.55), (0.7, -1.45), (1.12, -0.95), (1.2, -0.4), (0.98, -0.4), (0.86, -0.78), (0.5, -0.98), (0.0, -1.02)
)
GLASSES = symmetric((0.0, -0.2), (0.2, -0.34), (0.55, -0.38), (0.9, -0.34), (1.22, -0.16), (1.22, 0.04), (0.96, 0.1), (0.86, 0.34), (0.5, 0.44), (0.18, 0.34), (0.1, 0.05), (0.0, 0.02))  # fmt: skip  # noqa: E501
HAT = symmetric((0.0, -2.35), (0.7, -2.25), (1.25, -1.7), (1.4, -1.0), (1.42, -0.6), (0.8, -0.68), (0.0, -0.72))
EAR = ellipse(1.2, 0.12, 0.18, 0.36, mirrored=True)
EARRING = ellipse(1.18, 0.62, 0.2, 0.36, mirrored=True)
NECKLACE = symmetric((0.55, 1.55), (0.95, 1.75), (1.0, 2.1), (0.5, 2.6), (0.0, 2.7))
NECKLACE_INSIDE = symmetric((0.3, 1.5), (0.0, 1.75))
CHIN = symmetric((0.0, 1.18), (0.36, 1.2), (0.5, 1.34), (0.36, 1.56), (0.0, 1.64))
PUPIL = ellipse(0.5, 0.0, 0.15, 0.14, mirrored=True)
EYELIDS = ellipse(0.5, -0.1, 0.4, 0.24, mirrored=True)

SHAPES: dict[str, Shape] = {
    "beard": Shape((LOWER_FACE,), (symmetric((0.0, 0.4), (0.5, 0.62), (0.95, 0.1), (0.0, 0.1)),)),
    "face_shape": Shape((FACE,)),
    "chin": Shape((CHIN,)),
    "skin": Shape((FACE, NECK, EAR), (EYE_OPENING, LIPS)),
    "hair": Shape((HAIR,), (FACE_INSIDE,)),
    "hairline": Shape((HAIRLINE,)),
    "forehead": Shape((FOREHEAD,)),
    "mouth": Shape((MOUTH,)),
    "lips": Shape((LIPS,)),
    "nose": Shape((NOSE,)),
    "eyebrows": Shape((BROW,)),
    "under_eyes": Shape((UNDER_EYE,)),
    "pupils": Shape((PUPIL,)),
    "eyes": Shape((EYE,)),
    "makeup": Shape((EYELIDS, CHEEK, LIPS)),
    "cheeks": Shape((CHEEK,)),
    "expression": Shape((MOUTH, EYE, BROW)),
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
