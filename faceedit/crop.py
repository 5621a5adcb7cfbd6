"""The square crop that the models see, and the way back: paste at full resolution, bit-equal outside the mask.

A crop is given in picture pixels and may reach over the border, where the edge pixels are repeated. Where the face is
turned by quarter turns, the crop is turned upright for the model and the result is turned back.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from faceedit.errors import ImageError
from faceedit.images import check_frame
from faceedit.request import Bytes3, Float2, Portrait

Float3 = NDArray[np.float32]

PasteMode = Literal["full", "change", "blend"]

# In "blend", how much a pixel may change (mean over the channels, in [0, 1]) before its own texture begins to give way,
# and from where on nothing of it is kept.
_KEEP_BELOW, _DROP_ABOVE = 0.05, 0.20


def crop_pixels(portrait: Portrait, size: int) -> Bytes3:
    """The upright crop at the model's size: area averages when shrinking, cubic when growing.

    Returns:
        uint8 [size, size, 3], sRGB.
    """
    square = np.rot90(_padded(portrait.picture.rgb, portrait.crop), portrait.face.quarter_turns)
    return np.asarray(_resized(square, size), dtype=np.uint8)


def crop_mask(mask: Float2, portrait: Portrait, size: int) -> Float2:
    """A picture-sized mask on the upright crop: float32 [size, size] in [0, 1]; 0 beyond the picture's border.

    Raises:
        ImageError: the mask has another size than the picture.
    """
    _require_size(mask, portrait)
    square = np.rot90(_padded(mask.astype(np.float32), portrait.crop, constant=True), portrait.face.quarter_turns)
    return np.asarray(np.clip(_resized(square, size), 0.0, 1.0), dtype=np.float32)


def uncrop_mask(values: Float2, portrait: Portrait) -> Float2:
    """A mask drawn on the upright crop, back on the picture.

    Args:
        values: float32 [S, S] in [0, 1].
        portrait: whose crop it was drawn on.

    Returns:
        float32 [H, W] in [0, 1], 0 outside the crop.
    """
    back = np.clip(_on_crop(values.astype(np.float32), portrait), 0.0, 1.0)
    result = np.zeros(portrait.picture.size, dtype=np.float32)
    inner, outer = _windows(portrait)
    result[outer] = back[inner]
    return result


def paste_back(
    picture_rgb: Bytes3,
    portrait: Portrait,
    edited_crop: NDArray[np.floating[Any]],
    mask: Float2,
    mode: PasteMode = "full",
    reconstructed_crop: NDArray[np.floating[Any]] | None = None,
) -> Bytes3:
    """Blend the edited crop into the picture through the mask.

    With m the mask, x the picture and ↑ the resizing to the picture's resolution, the layer that is blended in is
    ↑edited + k (x - ↑reconstructed): the decoded edit, and as much of the picture's own fine texture as k says. The
    result is (1 - m) x + m layer, rounded to the nearest level.

    - "full": k = 0, the decoded pixels as they are;
    - "change": k = 1, only the change is transferred;
    - "blend": k falls from 1 to 0 with the size of the change, so that texture is kept where little happens and does
      not shine through where a thing is put on or taken off.

    Wherever m is 0, and outside the crop, the result is the input itself.

    Args:
        picture_rgb: uint8 [H, W, 3], the picture at full resolution.
        portrait: the crop that was edited.
        edited_crop: float [S, S, 3] in [0, 1], sRGB, upright.
        mask: float32 [H, W] in [0, 1].
        mode: "full", "change" or "blend".
        reconstructed_crop: float [S, S, 3] in [0, 1]; what the model gives without an edit; "full" needs none.

    Returns:
        uint8 [H, W, 3].

    Raises:
        NumericError: the edited crop is not finite, or black.
        ImageError: the mask has another size than the picture, or the reconstruction is missing.
    """
    _require_size(mask, portrait)
    check_frame(edited_crop)
    inner, outer = _windows(portrait)
    before = picture_rgb[outer].astype(np.float32)
    share = mask[outer][..., None]
    layer = np.clip(_on_crop(edited_crop.astype(np.float32), portrait)[inner] * 255, 0, 255)
    if mode != "full":
        if reconstructed_crop is None:
            raise ImageError(f"pasting by {mode!r} needs the reconstruction of the input")
        if not np.isfinite(reconstructed_crop).all():
            check_frame(reconstructed_crop)
        change = edited_crop.astype(np.float32) - reconstructed_crop.astype(np.float32)
        shifted = before + _on_crop(change, portrait)[inner] * 255
        keep = 1.0 if mode == "change" else _texture_share(_on_crop(np.abs(change), portrait)[inner])
        layer = keep * shifted + (1 - keep) * layer
    blended = before + share * (layer - before)
    pasted = np.clip(np.rint(blended), 0, 255).astype(np.uint8)
    result = picture_rgb.copy()
    result[outer] = np.where(share > 0, pasted, picture_rgb[outer])
    return result


def _texture_share(change: Float3) -> Float3:
    """k of "blend", float32 [h, w, 1]: a smooth step down over the mean change of a pixel, float32 [h, w, 3]."""
    t = np.clip((change.mean(-1, keepdims=True) - _KEEP_BELOW) / (_DROP_ABOVE - _KEEP_BELOW), 0, 1)
    return np.asarray(1 - t * t * (3 - 2 * t), dtype=np.float32)


def _require_size(mask: Float2, portrait: Portrait) -> None:
    if mask.shape != portrait.picture.size:
        height, width = portrait.picture.size
        raise ImageError(f"the mask is {mask.shape[1]}x{mask.shape[0]}, the picture {width}x{height}")


def _padded(values: NDArray[Any], crop: tuple[int, int, int, int], constant: bool = False) -> NDArray[Any]:
    """Cut the crop out; what lies beyond the border repeats the edge, or is 0 with `constant`."""
    height, width = values.shape[:2]
    x0, y0, x1, y1 = crop
    if not constant:
        rows = np.clip(np.arange(y0, y1), 0, height - 1)
        columns = np.clip(np.arange(x0, x1), 0, width - 1)
        return values[rows[:, None], columns[None]]
    result = np.zeros((y1 - y0, x1 - x0, *values.shape[2:]), dtype=values.dtype)
    outer = np.s_[max(y0, 0) : min(y1, height), max(x0, 0) : min(x1, width)]
    part = values[outer]
    top, left = max(-y0, 0), max(-x0, 0)
    result[top : top + part.shape[0], left : left + part.shape[1]] = part
    return result


def _resized(values: NDArray[Any], size: int) -> NDArray[Any]:
    import cv2

    if values.shape[0] == size:
        return np.ascontiguousarray(values)
    how = cv2.INTER_AREA if size < values.shape[0] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(np.ascontiguousarray(values), (size, size), interpolation=how))


def _on_crop(values: NDArray[np.float32], portrait: Portrait) -> NDArray[np.float32]:
    """Values on the upright model square, at the crop's own size and orientation."""
    x0, _, x1, _ = portrait.crop
    return np.rot90(np.asarray(_resized(values, x1 - x0), dtype=np.float32), -portrait.face.quarter_turns)


def _windows(portrait: Portrait) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """The part of the crop that lies inside the picture: as a window of the crop, and as one of the picture."""
    height, width = portrait.picture.size
    x0, y0, x1, y1 = portrait.crop
    left, top, right, bottom = max(x0, 0), max(y0, 0), min(x1, width), min(y1, height)
    return np.s_[top - y0 : bottom - y0, left - x0 : right - x0], np.s_[top:bottom, left:right]
