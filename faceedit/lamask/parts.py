"""The 19 parts of CelebAMask-HQ, and which of them make up a region of `faceedit.regions`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceedit.request import Float2

# Position = index in a mask. Left and right are the parser's own; every region takes both sides.
PARTS = (
    "background", "skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear",
    "mouth", "u_lip", "l_lip", "hair", "hat", "ear_r", "neck_l", "neck", "cloth",
)  # fmt: skip

_FACE = ("skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "mouth", "u_lip", "l_lip")
REGION_PARTS: dict[str, tuple[str, ...]] = {
    "skin": ("skin", "nose"),
    "face_shape": _FACE,
    "hair": ("hair",),
    "eyebrows": ("l_brow", "r_brow"),
    "eyes": ("l_eye", "r_eye"),
    "nose": ("nose",),
    "mouth": ("mouth", "u_lip", "l_lip"),
    "lips": ("u_lip", "l_lip"),
    "ears": ("l_ear", "r_ear"),
    "eyeglasses": ("eye_g",),
    "hat": ("hat",),
    "earring": ("ear_r",),
    "necklace": ("neck_l",),
}
"""Regions that 19 parts can tell; cheeks, chin, forehead and the like are all "skin" to them."""

SMALLEST_SHARE = 0.0005


def region_mask(parts: NDArray[np.uint8], region: str) -> Float2:
    """Where a region of `REGION_PARTS` lies in an index map [H, W]: float32 [H, W] of zeros and ones."""
    return np.isin(parts, [PARTS.index(name) for name in REGION_PARTS[region]]).astype(np.float32)


def regions_in(parts: NDArray[np.uint8], smallest: float = SMALLEST_SHARE) -> tuple[str, ...]:
    """The regions that take at least the share `smallest` of the picture, in `REGION_PARTS`' order."""
    return tuple(name for name in REGION_PARTS if float(region_mask(parts, name).mean()) >= smallest)
