"""Regions of a photographed face: from its parsing where 19 parts tell them, else outlines placed by landmarks.

What can be put on (glasses, a hat) has its place on every face, as on rendered portraits; what everybody has must be
seen.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from faceedit import masks
from faceedit.lamask.parts import PARTS, REGION_PARTS
from faceedit.locate.template import place
from faceedit.request import Face, Float2, Portrait

LEAST_VISIBLE = 0.4
"""Share of a placed outline that must lie on the parts it belongs to; below it is hidden, or the landmarks are off."""

_FACE = REGION_PARTS["face_shape"]
_EYES, _LIPS = REGION_PARTS["eyes"], REGION_PARTS["lips"]

# Told by the parsing alone.
_PARSED: dict[str, tuple[str, ...]] = {
    "skin": ("skin", "nose", "neck", "l_ear", "r_ear"),
    "face_shape": _FACE,
    "nose": ("nose",),
    "lips": _LIPS,
    "eyebrows": REGION_PARTS["eyebrows"],
    "ears": REGION_PARTS["ears"],
}
# Outlines, and the parts that they must lie on.
_PLACED: dict[str, tuple[str, ...]] = {
    "beard": ("skin", "neck"),
    "chin": ("skin", "neck"),
    "hairline": ("skin", "hair"),
    "forehead": ("skin",),
    "under_eyes": ("skin", "eye_g"),
    "pupils": _EYES,
    "cheeks": ("skin",),
}
# Parsed where it is worn or grown; else the outline, on the parts that it would cover.
_WEARABLE: dict[str, tuple[str, ...]] = {
    "hair": ("background", "neck", "cloth", "hat", "l_ear", "r_ear"),
    "eyeglasses": (*_FACE, "l_ear", "r_ear"),
    "hat": PARTS,
    "earring": PARTS,
    "necklace": ("neck", "skin", "cloth"),
}
# Eyes and mouth are left: parsed, with the skin around them that moves with them (lids, the corners of the mouth).
_UNIONS: dict[str, tuple[str, ...]] = {
    "makeup": ("eyes", "eyebrows", "lips", "cheeks"),
    "expression": ("mouth", "eyes", "eyebrows", "cheeks"),
}


def photo_masks(parts: NDArray[np.uint8], face: Face, regions: tuple[str, ...], smallest: float) -> dict[str, Float2]:
    """The regions of an upright crop that are good.

    Args:
        parts: uint8 [S, S], index of each pixel's part.
        face: the face in the crop's pixels (`face_on_crop`).
        regions: which ones.
        smallest: share of the crop that a region must take.

    Returns:
        Region -> float32 [S, S] in [0, 1]; those that are hidden, missing or too small are left out.
    """
    face = with_parsed_landmarks(face, parts)
    found: dict[str, Float2] = {}
    needed = (*regions, *(part for union in set(regions) & set(_UNIONS) for part in _UNIONS[union]))
    for region in set(needed) - set(_UNIONS):
        found[region] = _single(region, parts, face, smallest)
    for region in set(regions) & set(_UNIONS):
        pieces = [found[name] for name in _UNIONS[region]]
        found[region] = masks.union(*pieces) if all(piece.any() for piece in pieces) else np.zeros_like(pieces[0])
    return {region: found[region] for region in regions if float(found[region].mean()) >= smallest}


def face_on_crop(portrait: Portrait, size: int) -> Face:
    """The portrait's face in the pixels of its upright crop of side `size`."""
    x0, y0, x1, _ = portrait.crop
    side = x1 - x0

    def moved(x: float, y: float) -> tuple[float, float]:
        x, y = x - x0, y - y0
        for _ in range(portrait.face.quarter_turns % 4):
            x, y = y, side - x
        return x * size / side, y * size / side

    box, points = portrait.face.box, portrait.face.landmarks
    (ax, ay), (bx, by) = moved(*box[:2]), moved(*box[2:])
    upright = (min(ax, bx), min(ay, by), max(ax, bx), max(ay, by))
    return replace(
        portrait.face, box=upright, quarter_turns=0, landmarks={name: moved(*point) for name, point in points.items()}
    )


def with_parsed_landmarks(face: Face, parts: NDArray[np.uint8]) -> Face:
    """The face with its eyes and mouth where the parsing sees them, if it sees both eyes and the lips near enough.

    A detector may know no more than a mean face put into its box; the parts are where they are.
    """
    sides = [np.argwhere(parts == PARTS.index(name)) for name in _EYES]
    lips = np.argwhere(np.isin(parts, [PARTS.index(name) for name in _LIPS]))
    if not (len(sides[0]) and len(sides[1]) and len(lips)):
        return face
    centres = sorted(((float(x), float(y)) for y, x in (side.mean(0) + 0.5 for side in sides)))
    corners = [(float(x + 0.5), float(y + 0.5)) for y, x in (lips[lips[:, 1].argmin()], lips[lips[:, 1].argmax()])]
    seen = dict(zip(("left_eye", "right_eye", "mouth_left", "mouth_right"), (*centres, *corners), strict=True))
    reach = 0.2 * (face.box[2] - face.box[0])
    near = all(
        np.hypot(*np.subtract(point, face.landmarks[name])) < reach
        for name, point in seen.items()
        if name in face.landmarks
    )
    return replace(face, landmarks={**face.landmarks, **seen}) if near else face


def _single(region: str, parts: NDArray[np.uint8], face: Face, smallest: float) -> Float2:
    if region in _PARSED:
        return _on(parts, _PARSED[region])
    outline = place((region,), face, (parts.shape[0], parts.shape[1]))
    if region in _PLACED:
        seen = outline * _on(parts, _PLACED[region])
        return seen if float(seen.sum()) >= LEAST_VISIBLE * float(outline.sum()) else np.zeros_like(seen)
    parsed = _on(parts, REGION_PARTS[region])
    if region in _WEARABLE:
        return parsed if float(parsed.mean()) >= smallest else outline * _on(parts, _WEARABLE[region])
    return masks.union(parsed, outline * _on(parts, ("skin",))) if parsed.any() else parsed


def _on(parts: NDArray[np.uint8], names: tuple[str, ...]) -> Float2:
    return np.isin(parts, [PARTS.index(name) for name in names]).astype(np.float32)
