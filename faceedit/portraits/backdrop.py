"""What stands behind and below the face: smooth backgrounds and clothes."""

from __future__ import annotations

import colorsys

import cv2
import numpy as np
from numpy.random import Generator

from faceedit.portraits.attributes import stream
from faceedit.portraits.canvas import Canvas, Color, Floats
from faceedit.portraits.curves import spline
from faceedit.portraits.geometry import BACKGROUND, CLOTHES, Geometry


def random_color(rng: Generator, saturation: tuple[float, float], value: tuple[float, float]) -> Color:
    """A colour of any hue, with saturation and value drawn from the ranges given."""
    return colorsys.hsv_to_rgb(rng.random(), rng.uniform(*saturation), rng.uniform(*value))


def draw_background(canvas: Canvas, seed: int) -> None:
    """Fill the canvas: plain, gradient, glow, soft blobs or soft stripes, then a slight vignette."""
    rng = stream(seed, BACKGROUND)
    kind = int(rng.integers(5))
    base = np.array(random_color(rng, (0.12, 0.6), (0.5, 0.95)), np.float32)
    hue, saturation, value = colorsys.rgb_to_hsv(*(float(c) for c in base))
    near = colorsys.hsv_to_rgb((hue + rng.uniform(-0.12, 0.12)) % 1, saturation, value * rng.uniform(0.6, 0.85))
    other = np.array(near, np.float32)
    small = 96
    axis = (np.arange(small, dtype=np.float32) + 0.5) / np.float32(small)
    x, y = axis[None, :], axis[:, None]
    angle = rng.uniform(0, 2 * np.pi)
    along: Floats = x * np.float32(np.cos(angle)) + y * np.float32(np.sin(angle))
    cx, cy = rng.uniform(0.2, 0.8, 2)
    mix: Floats
    if kind == 0:
        mix = np.zeros((small, small), np.float32)
    elif kind == 1:
        mix = np.clip(0.5 + (along - 0.5 * (np.cos(angle) + np.sin(angle))) * 0.9, 0, 1).astype(np.float32)
    elif kind == 2:
        mix = np.clip(np.hypot(x - cx, y - cy) * 1.25, 0, 1).astype(np.float32)
    elif kind == 3:
        mix = np.zeros((small, small), np.float32)
        for bx, by, radius in rng.uniform((0, 0, 0.12), (1, 1, 0.3), (5, 3)):
            mix += np.exp(-(((x - bx) / radius) ** 2)) * np.exp(-(((y - by) / radius) ** 2))
        mix = np.minimum(mix, 1)
    else:
        mix = (0.5 + 0.5 * np.sin(along * np.float32(rng.uniform(14, 30)))).astype(np.float32) * 0.6
    vignette = 1.02 - 0.14 * ((x - 0.5) ** 2 + (y - 0.5) ** 2) * 2
    picture = ((base + mix[..., None] * (other - base)) * vignette[..., None]).astype(np.float32)
    canvas.rgb[:] = cv2.resize(picture, (canvas.size, canvas.size), interpolation=cv2.INTER_LINEAR)


def draw_clothes(canvas: Canvas, seed: int, light: Floats) -> None:
    """Shoulders in a plain or striped top, lit by the light field float32 [size, size, 3]."""
    rng = stream(seed, CLOTHES)
    color = np.array(random_color(rng, (0.2, 0.75), (0.25, 0.9)), np.float32)
    slope, striped, stripe = rng.uniform(-0.015, 0.02), rng.random() < 0.25, rng.uniform(60, 95)
    half = [(0.15, 0.842), (0.27, 0.878 + slope), (0.40, 0.915 + slope), (0.50, 1.0 + slope), (0.56, 1.2)]
    body = canvas.polygon(
        np.concatenate([spline([(0.5 - x, y) for x, y in reversed(half)]), spline([(0.5 + x, y) for x, y in half])])
    )
    _, v = canvas.grid
    tint = np.broadcast_to(color, (*body.alpha.shape, 3)) * (0.45 + 0.55 * light[body.window])
    if striped:
        wave = np.clip(2 * np.sin(v[body.window] * np.float32(stripe)), -1, 1)[..., None] * 0.5 + 0.5
        tint = tint + wave * (0.9 - tint) * 0.45
    canvas.paint(body, tint.astype(np.float32))
    canvas.shade(canvas.lines([spline(half_fold(side))[:] for side in (-1, 1)], 0.006, blur=0.012), 0.75)


def half_fold(side: int) -> list[tuple[float, float]]:
    """A fold of cloth over one shoulder."""
    return [(0.5 + side * 0.27, 0.93), (0.5 + side * 0.31, 0.97), (0.5 + side * 0.32, 1.05)]


def draw_collar(canvas: Canvas, seed: int, g: Geometry) -> None:
    """The hem around the neckline, over the skin of the neck."""
    rng = stream(seed, CLOTHES)
    color = np.array(random_color(rng, (0.2, 0.75), (0.25, 0.9))) * 0.78
    canvas.paint(canvas.lines([neckline(g)], 0.014), (float(color[0]), float(color[1]), float(color[2])))


def neckline(g: Geometry) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """The curve where the skin of the neck meets the clothes, from left to right."""
    w = g.neck_w + 0.022
    return spline(
        [
            (0.5 - w, 0.838),
            (0.5 - w * 0.86, 0.90),
            (0.5 - w * 0.45, 0.952),
            (0.5, 0.968),
            (0.5 + w * 0.45, 0.952),
            (0.5 + w * 0.86, 0.90),
            (0.5 + w, 0.838),
        ]
    )
