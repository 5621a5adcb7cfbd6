"""Beards and mustaches."""

from __future__ import annotations

import cv2
import numpy as np

from faceedit.portraits.attributes import Attributes, stream
from faceedit.portraits.canvas import Canvas, Color, Floats, Patch
from faceedit.portraits.curves import Points, shifted, spline
from faceedit.portraits.geometry import BEARD, Geometry


def jaw_outline(g: Geometry) -> Points:
    """Where a full beard ends outside: down the sideburns, along the jaw and below the chin; left to right."""
    c, j, low = g.cheek, g.jaw, g.chin_y
    half = [
        (c * 1.0, 0.475),
        (c * 0.985, 0.56),
        (j * 1.035, 0.665),
        (j * 0.66, low + 0.008),
        (j * 0.30, low + 0.050),
        (0.0, low + 0.058),
    ]
    return spline([*((0.5 - x, y) for x, y in half), *((0.5 + x, y) for x, y in reversed(half[:-1]))])


def full_outline(g: Geometry) -> Points:
    """The outline of a full beard without the mustache."""
    c, j, y, w = g.cheek, g.jaw, g.mouth_y, g.mouth_w
    inner = [
        (c * 0.93, 0.475),
        (c * 0.84, 0.545),
        (j * 0.93, 0.595),
        (w * 1.42, y - 0.020),
        (w * 1.12, y + 0.022),
        (w * 0.55, y + 0.047),
        (0.0, y + 0.050),
    ]
    back = spline([*((0.5 + x, v) for x, v in inner), *((0.5 - x, v) for x, v in reversed(inner[:-1]))])
    return np.concatenate([jaw_outline(g), back])


def goatee_outline(g: Geometry) -> Points:
    """The outline of a goatee: a tuft on the chin."""
    y, low = g.mouth_y, g.chin_y
    half = [
        (0.0, y + 0.046),
        (0.050, y + 0.044),
        (0.072, y + 0.070),
        (0.064, low + 0.010),
        (0.030, low + 0.052),
        (0.0, low + 0.060),
    ]
    return spline([*((0.5 + x, v) for x, v in half), *((0.5 - x, v) for x, v in reversed(half[1:-1]))], closed=True)


def mustache_outline(g: Geometry) -> Points:
    """The outline of a mustache between nose and mouth."""
    y, w, top = g.mouth_y - g.upper_lip, g.mouth_w, g.nose_y + 0.022
    half = [
        (0.0, top + 0.012),
        (0.035, top + 0.004),
        (w * 0.78, y - 0.014),
        (w * 1.22, y + 0.026),
        (w * 1.05, y + 0.030),
        (w * 0.60, y + 0.012),
        (0.014, y + 0.006),
        (0.0, y),
    ]
    return spline([*((0.5 + x, v) for x, v in half), *((0.5 - x, v) for x, v in reversed(half[1:-1]))], closed=True)


def beard_area(g: Geometry) -> list[Points]:
    """Everything that a beard or mustache may cover."""
    c, j, top = g.cheek, g.jaw, g.nose_y + 0.018
    inner = [(c * 0.93, 0.475), (c * 0.84, 0.545), (j * 0.93, 0.590), (g.mouth_w * 1.05, top + 0.018), (0.0, top)]
    back = spline([*((0.5 + x, v) for x, v in inner), *((0.5 - x, v) for x, v in reversed(inner[:-1]))])
    return [np.concatenate([jaw_outline(g), back])]


def _whiskers(canvas: Canvas, patch: Patch, seed: int, g: Geometry) -> Floats:
    u, v = (field[patch.window] for field in canvas.grid)
    rng = stream(seed, BEARD)
    a, b = rng.uniform(0, 6, 2)
    fan = (u - np.float32(0.5)) / (v - np.float32(0.30))
    field: Floats = 0.10 * np.sin(95 * fan + 2.5 * np.sin(38 * v + a)) + 0.08 * np.sin(
        57 * fan + 2 * np.sin(23 * v + b)
    )
    depth = np.clip((v - np.float32(g.mouth_y)) * 3.0, 0, 0.35)
    whiskers: Floats = field - depth * 0.5
    return whiskers


def draw_beard(
    canvas: Canvas, seed: int, g: Geometry, hair: Color, light: Floats, face: Patch, attributes: Attributes
) -> None:
    """What the attributes `beard` and `mustache` ask for."""
    a = attributes
    base = np.array(hair, np.float32) * 0.86 + 0.01
    if a.beard == "stubble":
        area = canvas.polygon(*beard_area(g), blur=0.014).within(face)
        grain = area.times(1.0)
        tint = np.minimum(base * 0.55 + np.array([0.10, 0.10, 0.12], np.float32), 0.42)
        dots = stream(seed, BEARD).uniform(0.25, 1.1, (96, 96)).astype(np.float32)
        u, v = (field[grain.window] for field in canvas.grid)
        cell = cv2.remap(dots, u * 96, v * 96, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        canvas.paint(
            Patch(grain.y, grain.x, grain.alpha * cell), (float(tint[0]), float(tint[1]), float(tint[2])), 0.62
        )
    if a.beard in ("full", "goatee"):
        outline = full_outline(g) if a.beard == "full" else goatee_outline(g)
        under = canvas.polygon(shifted(outline, 0, 0.022), blur=0.010)
        canvas.shade(under, (0.72, 0.66, 0.64))
        patch = canvas.polygon(outline, blur=0.0055)
        level = 0.95 + _whiskers(canvas, patch, seed, g)
        canvas.paint(patch, (base * level[..., None] * (0.35 + 0.65 * light[patch.window])).astype(np.float32), 0.96)
    if a.mustache == "yes":
        outline = mustache_outline(g)
        canvas.shade(canvas.polygon(shifted(outline, 0, 0.006), blur=0.005), (0.76, 0.68, 0.66))
        patch = canvas.polygon(outline, blur=0.003)
        level = 1.0 + 1.2 * _whiskers(canvas, patch, seed, g)
        canvas.paint(patch, (base * level[..., None] * (0.35 + 0.65 * light[patch.window])).astype(np.float32), 0.96)
