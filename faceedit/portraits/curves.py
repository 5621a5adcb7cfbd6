"""Point curves: smooth splines through control points, arcs, ellipses and seeded smooth noise."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Points = NDArray[np.float64]


@lru_cache(maxsize=64)
def _spline_weights(count: int, closed: bool, steps: int) -> Points:
    """What every control point adds to every point of the curve, [points, count]."""
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    powers = np.concatenate([np.ones_like(t), t, t**2, t**3], 1)
    # Catmull and Rom (1974), tension 1/2.
    basis = powers @ (0.5 * np.array([[0, 2, 0, 0], [-1, 0, 1, 0], [2, -5, 4, -1], [-1, 3, -3, 1.0]]))
    segments = count if closed else count - 1
    weights = np.zeros((segments * steps + (not closed), count))
    for segment in range(segments):
        for k in range(4):
            point = segment - 1 + k
            point = point % count if closed else min(max(point, 0), count - 1)
            weights[segment * steps : (segment + 1) * steps, point] += basis[:, k]
    if not closed:
        weights[-1, -1] = 1
    return weights


def spline(points: Sequence[tuple[float, float]] | Points, closed: bool = False, steps: int = 6) -> Points:
    """A Catmull-Rom curve through control points [n, 2], `steps` points a segment."""
    control = np.asarray(points, np.float64)
    curve: Points = _spline_weights(len(control), closed, steps) @ control
    return curve


def shifted(points: Points, dx: float, dy: float) -> Points:
    """Points [n, 2] moved by (dx, dy)."""
    moved: Points = points + np.array([dx, dy])
    return moved


def mirrored(half: Sequence[tuple[float, float]]) -> Points:
    """A closed outline from its right half: offsets from the middle line x = 0.5, first and last point on the line."""
    right = [(0.5 + x, y) for x, y in half]
    left = [(0.5 - x, y) for x, y in reversed(half[1:-1])]
    return spline([*right, *left], closed=True)


@lru_cache(maxsize=4)
def _circle(steps: int) -> Points:
    angle = np.linspace(0, 2 * np.pi, steps, endpoint=False)
    return np.stack([np.cos(angle), np.sin(angle)], 1)


def ellipse(x: float, y: float, rx: float, ry: float, angle: float = 0.0) -> Points:
    """An ellipse as 32 points, turned by `angle` radians."""
    points = _circle(32) * (rx, ry)
    if angle:
        c, s = np.cos(angle), np.sin(angle)
        points = points @ np.array([[c, s], [-s, c]])
    return shifted(points, x, y)


def smooth_noise(rng: Generator, knots: int, length: int) -> NDArray[np.float32]:
    """Smooth random values in about [-1, 1], float32 [length], with `knots` bumps."""
    values = rng.uniform(-1, 1, knots + 2)
    at = np.linspace(0, knots, length)
    base = at.astype(int)
    t = at - base
    t = t * t * (3 - 2 * t)
    noise: NDArray[np.float32] = (values[base] * (1 - t) + values[base + 1] * t).astype(np.float32)
    return noise
