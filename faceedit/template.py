"""A face detector for pictures that are one portrait: a linear template over histograms of oriented gradients.

The LBP cascade knows photographs and hardly ever takes a drawn face. This template was fitted to the rendered portraits
of `faceedit.portraits` (see `faceedit.template_fit`) and looks only where such a portrait has its face: large, and
near the middle of a near-square picture. Histograms after Dalal & Triggs 2005; the template is the linear discriminant
of Hariharan et al. 2012; the landmarks come from a ridge regression on the same histograms.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from faceedit.request import Bytes3, Face

SET, FILE = "faces-1", "face_template.safetensors"
CELL = 4
SIDE = 64
BINS = 9
LANDMARKS = ("left_eye", "right_eye", "nose_tip", "mouth_left", "mouth_right")
MAX_ASPECT = 1.25
# Face widths searched, as shares of the picture's side; a portrait's face takes about half of it.
FACE_SHARES = (0.40, 0.45, 0.50, 0.55, 0.61, 0.68)
# The window that the template sees, in face widths: the face with some hair around it.
WINDOW = 1.5
_CELLS = SIDE // CELL
_REFINEMENTS = 2
# Windows whose answers are averaged: shift across and down in shares of the side, and a factor on the side.
_SHIFTS = tuple(
    (across, down, factor)
    for factor in (0.93, 1.0, 1.07)
    for across, down in ((0.0, 0.0), (0.06, 0.0), (-0.06, 0.0), (0.0, 0.06), (0.0, -0.06))
)
_EPSILON = 1e-2
_LARGEST_BIN = 0.3
_LARGEST_SIDE = 192

Float = NDArray[np.float32]


@dataclass(frozen=True)
class Template:
    """Fitted numbers.

    Attributes:
        weights: float32 [16 * 16 * 9], so that `features @ weights + bias` is a face's score, above 0 for a face.
        bias: added to it.
        shape: float32 [features + 1, 14]; the last row is the constant. Gives box corners and landmarks as
            (x, y) shares of the window.
    """

    weights: Float
    bias: float
    shape: Float


def template_detector(rgb: Bytes3) -> list[Face]:
    """The one face of a near-square picture that is a portrait, or nothing.

    Args:
        rgb: uint8 [H, W, 3] sRGB, upright.

    Returns:
        At most one face, with five landmarks; its score is the template's, above 0.
    """
    height, width = rgb.shape[:2]
    if max(height, width) > MAX_ASPECT * min(height, width):
        return []
    template = load_template()
    full, rgb = max(rgb.shape[:2]), _shrunk(rgb)
    x, y, side, score = best_window(rgb, template)
    if score <= 0:
        return []
    for _ in range(_REFINEMENTS):
        points = np.mean([_shape_at(rgb, template, x, y, side, *shift) for shift in _SHIFTS], axis=0)
        centre = points[:2].mean(axis=0)
        side = WINDOW * float(points[1, 0] - points[0, 0])
        x, y = float(centre[0] - side / 2), float(centre[1] - side / 2)
    factor = full / max(rgb.shape[:2])
    placed = [(float(px) * factor, float(py) * factor) for px, py in points]
    return [Face((*placed[0], *placed[1]), score, 0, dict(zip(LANDMARKS, placed[2:], strict=True)))]


def window_features(rgb: Bytes3, x: float, y: float, side: float) -> Float:
    """Histograms of one square of a picture.

    Args:
        rgb: uint8 [H, W, 3].
        x: left edge in pixels; the square may reach over the border, where the edge repeats.
        y: top edge.
        side: of the square, in pixels.

    Returns:
        float32 [16 * 16 * 9].
    """
    import cv2

    factor = SIDE / side
    calm = cv2.GaussianBlur(rgb, (0, 0), 0.4 / factor) if factor < 0.8 else rgb
    matrix = np.array([[factor, 0, -x * factor + (factor - 1) / 2], [0, factor, -y * factor + (factor - 1) / 2]])
    cut = cv2.warpAffine(calm, matrix, (SIDE, SIDE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return histogram_cells(cv2.cvtColor(cut, cv2.COLOR_RGB2GRAY).astype(np.float32) / 255).ravel()


def histogram_cells(grey: Float) -> Float:
    """Histograms of oriented gradients.

    Args:
        grey: float32 [H, W] in [0, 1]; both sides multiples of `CELL`.

    Returns:
        float32 [H / 4, W / 4, 9], every cell divided by the energy of its 3x3 neighbourhood, then cut at 0.3.
    """
    import cv2

    dy, dx = np.gradient(np.sqrt(grey))
    strength = np.hypot(dx, dy)
    angle = np.mod(np.arctan2(dy, dx), np.pi) / np.pi * BINS
    low = np.floor(angle).astype(np.int64)
    upper = (angle - low).astype(np.float32)
    rows, columns = grey.shape[0] // CELL, grey.shape[1] // CELL
    cell_of = np.arange(grey.shape[0])[:, None] // CELL * columns + np.arange(grey.shape[1])[None] // CELL
    counts = np.zeros(rows * columns * BINS)
    for bin_index, weight in ((low % BINS, strength * (1 - upper)), ((low + 1) % BINS, strength * upper)):
        counts += np.bincount((cell_of * BINS + bin_index).ravel(), weight.ravel(), rows * columns * BINS)
    cells = counts.reshape(rows, columns, BINS)
    energy = cv2.blur(np.square(cells).sum(axis=2), (3, 3), borderType=cv2.BORDER_REPLICATE)
    return np.asarray(np.minimum(cells / np.sqrt(energy[..., None] + _EPSILON), _LARGEST_BIN), dtype=np.float32)


@lru_cache(maxsize=1)
def load_template() -> Template:
    """The template that ships with the package.

    Raises:
        WeightsError: its file is missing or damaged.
    """
    from safetensors.numpy import load_file

    from faceedit.models.manifest import bundled_folder

    stored = load_file(bundled_folder(SET) / FILE)
    tensors = {name: values.astype(np.float32) for name, values in stored.items()}
    return Template(tensors["weights"], float(tensors["bias"][0]), tensors["shape"])


def _shrunk(rgb: Bytes3) -> Bytes3:
    """The picture at no more pixels than the template can use."""
    import cv2

    scale = _LARGEST_SIDE / max(rgb.shape[:2])
    if scale >= 1:
        return rgb
    size = (max(round(rgb.shape[1] * scale), 1), max(round(rgb.shape[0] * scale), 1))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _shape_at(
    rgb: Bytes3, template: Template, x: float, y: float, side: float, across: float, down: float, factor: float
) -> Float:
    """Box corners and landmarks [7, 2] in picture pixels, as one shifted window sees them."""
    own = side * factor
    left, top = x + (side - own) / 2 + across * side, y + (side - own) / 2 + down * side
    features = np.append(window_features(rgb, left, top, own), np.float32(1))
    return np.asarray((features @ template.shape).reshape(-1, 2) * own + (left, top), dtype=np.float32)


def best_window(rgb: Bytes3, template: Template) -> tuple[float, float, float, float]:
    """The window with the highest score: its corner (x, y) and side in picture pixels, and the score."""
    best = (0.0, 0.0, 1.0, -np.inf)
    for share in FACE_SHARES:
        cells, scale, pad = _cells_at(rgb, share)
        windows = np.lib.stride_tricks.sliding_window_view(cells, (_CELLS, _CELLS), axis=(0, 1))
        features = windows.transpose(0, 1, 3, 4, 2).reshape(*windows.shape[:2], -1)
        scores = features @ template.weights + template.bias
        row, column = np.unravel_index(int(scores.argmax()), scores.shape)
        score = float(scores[row, column])
        if score > best[3]:
            best = (float(column * CELL - pad) / scale, float(row * CELL - pad) / scale, SIDE / scale, score)
    return best


def _cells_at(rgb: Bytes3, share: float) -> tuple[Float, float, int]:
    """Histograms of the padded picture, scaled so that a face of this share fills its part of the window."""
    import cv2

    longest = max(rgb.shape[:2])
    scale = SIDE / (WINDOW * share * longest)
    size = (max(round(rgb.shape[1] * scale), 1), max(round(rgb.shape[0] * scale), 1))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    small = cv2.cvtColor(cv2.resize(rgb, size, interpolation=how), cv2.COLOR_RGB2GRAY).astype(np.float32) / 255
    pad = 2 * CELL
    missing = [max(SIDE - side, 0) + (-max(side, SIDE)) % CELL for side in (size[1], size[0])]
    padded = np.pad(small, ((pad, pad + missing[0]), (pad, pad + missing[1])), mode="edge")
    return histogram_cells(padded), scale, pad
