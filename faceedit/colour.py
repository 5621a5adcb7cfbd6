"""Any decoded picture to 8-bit sRGB, once: ICC profiles, 16-bit grey, CMYK, Lab, palettes, alpha."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from faceedit.errors import ImageError
from faceedit.request import Bytes3

_DEEP_GREY = ("I;16", "I;16L", "I;16B", "I;16N", "I")
_PROFILE_SPACES = {"RGB": "RGB ", "L": "GRAY", "CMYK": "CMYK", "LAB": "Lab "}
_CMS_ERRORS = (ImageCms.PyCMSError, OSError, ValueError, TypeError)


@dataclass(frozen=True)
class Normalised:
    """Pixels after normalisation: `rgb` uint8 [H, W, 3] sRGB, `alpha` uint8 [H, W] or `None`, and what was done."""

    rgb: Bytes3
    alpha: NDArray[np.uint8] | None
    grey: bool
    icc_profile: bytes | None
    notes: tuple[str, ...]


def normalise(image: Image.Image, icc_profile: bytes | None) -> Normalised:
    """Bring a loaded, upright picture of any mode to 8-bit sRGB with its alpha beside it.

    A picture whose profile is sRGB in effect (no colour of a probe moves by more than one level) keeps its pixels
    untouched. 16-bit grey is divided by 257 and rounded. Palettes, CMYK, Lab, HSV and 1-bit become RGB or grey.

    Raises:
        ImageError: floating-point pixels or 32-bit integers beyond 16 bits, whose white is not defined.
    """
    notes: list[str] = []
    alpha = _alpha(image)
    base = _without_alpha(image, notes)
    grey = base.mode == "L"
    converted, profile, said = _to_srgb(base, icc_profile)
    notes += said
    rgb = np.array(converted.convert("RGB"), dtype=np.uint8)
    return Normalised(rgb, alpha, grey, profile, tuple(notes))


def srgb_profile() -> bytes:
    """An sRGB ICC profile, the same bytes every time."""
    raw = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    raw[24:36] = bytes([0x07, 0xE8, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0])  # lcms writes the current time here
    raw[84:100] = bytes(16)
    return bytes(raw)


def _alpha(image: Image.Image) -> NDArray[np.uint8] | None:
    if not image.has_transparency_data:
        return None
    if image.mode in _DEEP_GREY:
        return np.where(np.asarray(image) == image.info["transparency"], 0, 255).astype(np.uint8)
    bands = image if image.mode in ("RGBA", "LA", "PA") else image.convert("RGBA")
    return np.array(bands.getchannel("A"), dtype=np.uint8)


def _without_alpha(image: Image.Image, notes: list[str]) -> Image.Image:
    mode = image.mode
    if mode in _DEEP_GREY:
        deep = np.asarray(image).astype(np.int64)
        if deep.min() < 0 or deep.max() > 65535:
            raise ImageError("32-bit grey beyond 16 bits: its white is not defined", "save it as 8- or 16-bit")
        notes.append("16-bit grey was scaled to 8 bits.")
        return Image.fromarray(((deep + 128) // 257).astype(np.uint8))
    if mode == "F":
        raise ImageError("floating-point pixels: their white is not defined", "save the picture as 8- or 16-bit")
    if mode in ("RGB", "L", "CMYK", "LAB"):
        return image
    if mode in ("RGBA", "RGBX", "RGBa"):
        return image.convert("RGBA").convert("RGB")
    if mode in ("LA", "La", "1"):
        if mode == "1":
            notes.append("A 1-bit picture was read as grey.")
        return image.convert("LA" if mode == "La" else "L").convert("L")
    notes.append(f"A {'palette' if mode in ('P', 'PA') else mode} picture was converted to RGB.")
    # By way of RGBA, since Pillow warns when a palette's transparency is dropped directly.
    return image.convert("RGBA").convert("RGB") if mode in ("P", "PA") else image.convert("RGB")


def _to_srgb(image: Image.Image, icc_profile: bytes | None) -> tuple[Image.Image, bytes | None, list[str]]:
    if image.mode == "LAB":
        transform = ImageCms.buildTransform(
            ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB", ImageCms.Intent.PERCEPTUAL
        )
        return ImageCms.applyTransform(image, transform) or image, srgb_profile(), ["Lab was converted to sRGB."]
    plain = ["CMYK without a usable profile was converted to RGB plainly."] if image.mode == "CMYK" else []
    if not icc_profile:
        return image, None, plain
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(icc_profile))
        if source.profile.xcolor_space != _PROFILE_SPACES[image.mode]:
            return image, None, [*plain, "The colour profile does not fit the pixels; they were read as sRGB."]
        target = ImageCms.createProfile("sRGB")
        transform = ImageCms.buildTransform(source, target, image.mode, "RGB", ImageCms.Intent.RELATIVE_COLORIMETRIC)
        if image.mode != "CMYK" and _is_identity(transform, image.mode):
            return image, icc_profile, []
        converted = ImageCms.applyTransform(image, transform)
    except _CMS_ERRORS:
        return image, None, [*plain, "The colour profile is broken; the pixels were read as sRGB."]
    name = "".join(c for c in (source.profile.profile_description or "its profile") if c.isprintable())[:80]
    profile = None if image.mode == "L" else srgb_profile()
    return converted or image, profile, [f"Colours were converted from {name} to sRGB."]


def _is_identity(transform: ImageCms.ImageCmsTransform, mode: str) -> bool:
    levels = np.linspace(0, 255, 9).round().astype(np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(27, 27, 3)
    probe = grid if mode == "RGB" else np.arange(256, dtype=np.uint8).reshape(16, 16)
    moved = ImageCms.applyTransform(Image.fromarray(probe), transform)
    expected = Image.fromarray(probe).convert("RGB")
    return bool(np.abs(np.asarray(moved, np.int16) - np.asarray(expected, np.int16)).max() <= 1)
