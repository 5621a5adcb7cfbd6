"""Pictures beside pictures: labelled sheets, mask overlays, difference maps, and three plain scores."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from faceedit.errors import UsageError
from faceedit.request import Bytes3, Face, Float2

_GAP = 8
_PAPER = (255, 255, 255)
_INK = (32, 32, 32)
_BOX = (225, 30, 80)
_EDIT_COLOUR = np.array([255.0, 40.0, 90.0], dtype=np.float32)


def sheet(images: Sequence[Bytes3], labels: Sequence[str], height: int = 320, columns: int | None = None) -> Bytes3:
    """A contact sheet: pictures at one height, in rows, each under its label.

    Args:
        images: uint8 [H, W, 3] pictures of any sizes, at least one.
        labels: as many; a label that is wider than its picture is cut.
        height: of every picture on the sheet, in pixels.
        columns: pictures per row; `None` puts all in one row.

    Returns:
        uint8 [h, w, 3].

    Raises:
        UsageError: nothing to show, or not one label per picture.
    """
    if not images or len(images) != len(labels):
        raise UsageError("a sheet needs pictures, and one label for each")
    tiles = [_tile(image, label, height) for image, label in zip(images, labels, strict=True)]
    per_row = columns or len(tiles)
    rows = [tiles[start : start + per_row] for start in range(0, len(tiles), per_row)]
    width = max(sum(tile.width + _GAP for tile in row) for row in rows) + _GAP
    page = Image.new("RGB", (width, len(rows) * (tiles[0].height + _GAP) + _GAP), _PAPER)
    for index, row in enumerate(rows):
        x = _GAP
        for tile in row:
            page.paste(tile, (x, _GAP + index * (tile.height + _GAP)))
            x += tile.width + _GAP
    return np.array(page, dtype=np.uint8)


def overlay(rgb: Bytes3, mask: Float2, strength: float = 0.5) -> Bytes3:
    """The picture with the mask laid over it in red, its border drawn as a line.

    Args:
        rgb: uint8 [H, W, 3].
        mask: float32 [H, W] in [0, 1].
        strength: opacity of the colour where the mask is 1.
    """
    import cv2

    share = (mask * strength)[..., None]
    tinted = np.rint(rgb * (1 - share) + _EDIT_COLOUR * share).astype(np.uint8)
    outlines, _ = cv2.findContours((mask >= 0.5).astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    thickness = max(1, round(max(mask.shape) / 400))
    drawn = cv2.drawContours(np.ascontiguousarray(tinted), outlines, -1, (255, 255, 255), thickness, cv2.LINE_AA)
    return np.asarray(drawn, dtype=np.uint8)


def heat_map(rgb: Bytes3, heat: Float2) -> Bytes3:
    """The picture under a map of how sure a locator is: dimmed where 0, red at a half, pale yellow at 1 (inferno).

    Args:
        rgb: uint8 [H, W, 3].
        heat: float32 [H, W] in [0, 1].
    """
    import cv2

    sure = np.clip(heat, 0, 1)
    colours = cv2.applyColorMap(np.rint(sure * 255).astype(np.uint8), cv2.COLORMAP_INFERNO)[:, :, ::-1]
    share = (0.3 + 0.4 * sure)[..., None]
    return np.asarray(np.rint(rgb * (1 - share) + colours * share), dtype=np.uint8)


def draw_faces(rgb: Bytes3, faces: Sequence[Face]) -> Bytes3:
    """The picture with a numbered box around every face, in the order given. uint8 [H, W, 3]."""
    page = Image.fromarray(rgb)
    pen = ImageDraw.Draw(page)
    line = max(2, round(max(page.size) / 300))
    font = ImageFont.load_default(max(12, round(max(page.size) / 32)))
    for number, face in enumerate(faces):
        pen.rectangle(face.box, outline=_BOX, width=line)
        corner = (face.box[0] + 2 * line, face.box[1] + line)
        pen.text(corner, str(number), fill=_PAPER, font=font, stroke_width=line, stroke_fill=_BOX)
        for x, y in face.landmarks.values():
            pen.ellipse((x - line, y - line, x + line, y + line), fill=_PAPER, outline=_BOX)
    return np.array(page, dtype=np.uint8)


def difference_map(a: Bytes3, b: Bytes3, gain: float = 4.0) -> Bytes3:
    """Where and how much two pictures differ: black is equal, brighter is more (viridis), `gain` times enlarged.

    Args:
        a: uint8 [H, W, 3].
        b: the same shape.
        gain: factor on the largest difference of a pixel's channels.

    Raises:
        UsageError: two sizes.
    """
    import cv2

    _require_same_size(a, b)
    largest = np.abs(a.astype(np.int16) - b.astype(np.int16)).max(axis=2)
    scaled = np.clip(np.rint(largest * gain), 0, 255).astype(np.uint8)
    coloured = cv2.applyColorMap(scaled, cv2.COLORMAP_VIRIDIS)[:, :, ::-1]
    return np.asarray(np.where(largest[..., None] > 0, coloured, 0), dtype=np.uint8)


def input_mask_result(before: Bytes3, mask: Float2, after: Bytes3, height: int = 320) -> Bytes3:
    """The sheet of one edit: input, mask over the input, result, difference. uint8 [h, w, 3]."""
    pictures = (before, overlay(before, mask), after, difference_map(before, after))
    return sheet(pictures, ("input", "mask", "result", "difference x4"), height)


def psnr(a: Bytes3, b: Bytes3, mask: Float2 | None = None) -> float:
    """Peak signal-to-noise ratio in dB: 10 log10(255² / MSE), over the picture or only inside a mask.

    Args:
        a: uint8 [H, W, 3].
        b: the same shape.
        mask: float32 [H, W] in [0, 1] that weighs the pixels; `None` weighs all alike.

    Returns:
        dB; infinite where the two are equal, NaN for an empty mask.

    Raises:
        UsageError: two sizes.
    """
    _require_same_size(a, b)
    squares = np.square(a.astype(np.float64) - b.astype(np.float64)).mean(axis=2)
    weights = np.ones(squares.shape) if mask is None else mask.astype(np.float64)
    total = float(weights.sum())
    if total == 0:
        return math.nan
    error = float((squares * weights).sum()) / total
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)


def ssim(a: Bytes3, b: Bytes3) -> float:
    """Structural similarity (Wang et al. 2004): 11x11 Gaussian window, sigma 1.5, mean over the channels.

    Raises:
        UsageError: two sizes, or a side under 11 pixels.
    """
    from skimage.metrics import structural_similarity

    _require_same_size(a, b)
    if min(a.shape[:2]) < 11:
        raise UsageError("SSIM needs pictures of at least 11x11 pixels")
    score = structural_similarity(
        a, b, channel_axis=2, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
    )
    return float(score)


def outside_max_abs_diff(before: Bytes3, after: Bytes3, mask: Float2) -> int:
    """The largest change of any channel where the mask is exactly 0, in levels: 0 for a result that keeps its promise.

    Raises:
        UsageError: sizes differ.
    """
    _require_same_size(before, after)
    if mask.shape != before.shape[:2]:
        raise UsageError("the mask has another size than the pictures")
    change = np.abs(before.astype(np.int16) - after.astype(np.int16)).max(axis=2)
    return int(change[mask == 0].max(initial=0))


def _require_same_size(a: Bytes3, b: Bytes3) -> None:
    if a.shape != b.shape:
        sizes = f"{a.shape[1]}x{a.shape[0]} and {b.shape[1]}x{b.shape[0]}"
        raise UsageError(f"the pictures have two sizes: {sizes}", "compare pictures of one size")


def _tile(image: Bytes3, label: str, height: int) -> Image.Image:
    width = max(round(image.shape[1] * height / image.shape[0]), 1)
    picture = Image.fromarray(image).resize((width, height), Image.Resampling.LANCZOS)
    size = max(height // 16, 11)
    strip = round(size * 1.6)
    tile = Image.new("RGB", (width, height + strip), _PAPER)
    ImageDraw.Draw(tile).text((1, size * 0.1), label, fill=_INK, font=ImageFont.load_default(size))
    tile.paste(picture, (0, strip))
    return tile
