"""How the shipped face template was made: `python -m faceedit.template_fit` writes it again, the same bytes.

Positives are rendered training portraits, shifted, scaled and mirrored a little. Negatives are windows of the pictures
without a face that scikit-image ships, of the portraits' own margins, and, in a second round, those that the first
template took for a face.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceedit.request import Bytes3
from faceedit.resources import bundled_weights_dir
from faceedit.template import FILE, LANDMARKS, SET, WINDOW, Template, best_window, window_features

NEGATIVE_PICTURES = ("coffee", "brick", "grass", "gravel", "moon", "coins", "page", "retina", "horse", "logo", "cell")
_FACE_SEEDS = range(0, 360)
_TURNED_SEEDS = range(1000, 1080)
_RENDER_SIZE = 128
_RIDGE = 0.1
_RIDGE_SHAPE = 1.0
_ROUNDS = 2

Float = NDArray[np.float64]


@dataclass(frozen=True)
class Samples:
    """Rows of features [N, 2304], and for faces box corners and landmarks as shares of the window [N, 14]."""

    features: Float
    points: Float


def positives(seeds: range, jitter: float, repeats: int, rng: np.random.Generator) -> Samples:
    """Windows on the faces of rendered training portraits, mirrored too.

    Args:
        seeds: of the portraits.
        jitter: largest shift as a share of the window, and largest change of its side.
        repeats: windows per portrait and mirror image.
        rng: draws the jitter.
    """
    from faceedit.portraits.render import render

    features, points = [], []
    for seed in seeds:
        portrait = render(seed, _RENDER_SIZE, regions=False)
        named = [portrait.face_box[:2], portrait.face_box[2:], *(portrait.landmarks[name] for name in LANDMARKS)]
        where = np.array(named, dtype=np.float64)
        other = np.stack([_RENDER_SIZE - where[:, 0], where[:, 1]], axis=1)[[1, 0, 3, 2, 4, 6, 5]]
        other[:2, 1] = where[:2, 1]
        for image, marks in ((portrait.image, where), (np.ascontiguousarray(portrait.image[:, ::-1]), other)):
            for _ in range(repeats):
                side = WINDOW * (marks[1, 0] - marks[0, 0]) * (1 + rng.uniform(-jitter, jitter))
                corner = marks[:2].mean(axis=0) - side / 2 + rng.uniform(-jitter, jitter, 2) * side
                features.append(window_features(image, float(corner[0]), float(corner[1]), float(side)))
                points.append(((marks - corner) / side).ravel())
    return Samples(np.array(features, dtype=np.float64), np.array(points))


def crops_without_face(rng: np.random.Generator, per_picture: int) -> Iterator[Bytes3]:
    """Square crops of pictures that show no face, sharp and blurred; portraits turned by quarters are among them."""
    import cv2
    from skimage import data

    from faceedit.portraits.render import render

    for name in NEGATIVE_PICTURES:
        rgb = as_rgb(getattr(data, name)())
        for index in range(per_picture):
            turned = np.rot90(rgb, index % 4)
            side = int(rng.uniform(0.35, 1.0) * min(turned.shape[:2]))
            row, column = (int(rng.integers(0, length - side + 1)) for length in turned.shape[:2])
            crop = np.ascontiguousarray(turned[row : row + side, column : column + side])
            blur = rng.uniform(0.01, 0.05) * side
            yield cv2.GaussianBlur(crop, (0, 0), blur) if index % 3 == 2 else crop
    for seed in range(_TURNED_SEEDS.start, _TURNED_SEEDS.stop):
        image = render(seed, _RENDER_SIZE, regions=False).image
        for turns in (1, 2, 3):
            yield np.ascontiguousarray(np.rot90(image, turns))


def margins(rng: np.random.Generator) -> Iterator[NDArray[np.float32]]:
    """Windows of portraits that miss the face by a fifth of the window and more."""
    from faceedit.portraits.render import render

    for seed in _TURNED_SEEDS:
        portrait = render(seed, _RENDER_SIZE, regions=False)
        x0, y0, x1, y1 = portrait.face_box
        for _ in range(3):
            side = WINDOW * (x1 - x0) * rng.uniform(0.7, 1.4)
            angle, distance = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 0.5) * side
            x = (x0 + x1 - side) / 2 + distance * np.cos(angle)
            y = (y0 + y1 - side) / 2 + distance * np.sin(angle)
            yield window_features(portrait.image, float(x), float(y), float(side))


def fit() -> Template:
    """Fit the template in closed form, twice: the second time with the windows that the first found most face-like."""
    rng = np.random.default_rng(0)
    close = positives(_FACE_SEEDS, 0.03, 1, rng)
    wide = positives(_FACE_SEEDS, 0.12, 4, rng)
    shape = _ridge(wide.features, wide.points)
    crops = list(crops_without_face(rng, 120))
    others = list(margins(rng))
    for crop in crops:
        side = crop.shape[0] * rng.uniform(0.5, 1.0)
        x, y = rng.uniform(0, crop.shape[0] - side, 2).tolist()
        others.append(window_features(crop, x, y, side))
    weights = _discriminant(close.features, np.array(others, dtype=np.float64))
    for _ in range(_ROUNDS):
        first = Template(weights.astype(np.float32), 0.0, shape.astype(np.float32))
        others += [window_features(crop, *best_window(crop, first)[:3]) for crop in crops]
        weights = _discriminant(close.features, np.array(others, dtype=np.float64))
    # Scores are scaled so that the faces' mean lies at 1 and the hardest others' at -1.
    faces = close.features @ weights
    first = Template(weights.astype(np.float32), 0.0, shape.astype(np.float32))
    hardest = np.array([best_window(crop, first)[3] for crop in crops])
    low, high = float(np.quantile(hardest, 0.999)), float(np.quantile(faces, 0.01))
    scale = 2 / (high - low)
    bias = -scale * (low + high) / 2
    return Template((weights * scale).astype(np.float32), bias, shape.astype(np.float32))


def _ridge(features: Float, targets: Float) -> Float:
    rows = np.concatenate([features, np.ones((len(features), 1))], axis=1)
    return np.asarray(np.linalg.solve(rows.T @ rows + _RIDGE_SHAPE * np.eye(rows.shape[1]), rows.T @ targets))


def _discriminant(faces: Float, others: Float) -> Float:
    """Fisher's linear discriminant with a ridge: (C + r I)^-1 (mean of faces - mean of others)."""
    covariance = (np.cov(faces.T) + np.cov(others.T)) / 2
    ridge = _RIDGE * np.trace(covariance) / len(covariance)
    gap = faces.mean(axis=0) - others.mean(axis=0)
    return np.asarray(np.linalg.solve(covariance + ridge * np.eye(len(covariance)), gap))


def as_rgb(values: NDArray[np.generic]) -> Bytes3:
    """Any of scikit-image's pictures as uint8 [H, W, 3]."""
    levels = np.asarray(values) * (255 if values.dtype == bool else 1)
    colours = levels[..., :3] if levels.ndim == 3 else np.repeat(levels[..., None], 3, axis=2)
    return np.ascontiguousarray(colours.astype(np.uint8))


def main() -> None:
    """Fit the template and write it beside the other weights."""
    from safetensors.numpy import save_file

    template = fit()
    tensors = {"weights": template.weights, "bias": np.array([template.bias], np.float32), "shape": template.shape}
    path = bundled_weights_dir() / SET / FILE
    save_file({name: np.ascontiguousarray(values, np.float16) for name, values in tensors.items()}, path)
    print(f"{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
