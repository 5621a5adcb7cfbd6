"""Neck, ears and the skin of the face: tone, shading by the light, cheeks, freckles, wrinkles, chin."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator

from faceedit.portraits.attributes import Attributes, stream
from faceedit.portraits.backdrop import neckline
from faceedit.portraits.canvas import Canvas, Color, Floats, Patch
from faceedit.portraits.curves import Points, ellipse, shifted, spline
from faceedit.portraits.geometry import FRECKLES, SKIN, Geometry

TONES: dict[str, Color] = {
    "very-light": (0.975, 0.87, 0.825),
    "light": (0.935, 0.755, 0.645),
    "medium": (0.85, 0.64, 0.50),
    "tan": (0.725, 0.505, 0.365),
    "brown": (0.56, 0.375, 0.265),
    "deep": (0.40, 0.265, 0.20),
}
SIDES = (-1, 1)


def skin_color(seed: int, attributes: Attributes) -> Color:
    """The person's own shade of the skin tone."""
    jitter = stream(seed, SKIN).uniform(-0.012, 0.012, 3)
    tone = np.array(TONES[attributes.skin_tone]) * (1 + jitter)
    if attributes.age == "old":
        tone = tone * 0.93 + tone.mean() * 0.06
    return float(tone[0]), float(tone[1]), float(tone[2])


def light_field(canvas: Canvas, g: Geometry) -> Floats:
    """Light on a head-shaped ellipsoid, float32 [size, size, 3], about 0.6 to 1.1, warmer in the shade."""
    small = max(canvas.size // 4, 32)
    u, v = (cv2.resize(field, (small, small), interpolation=cv2.INTER_AREA) for field in canvas.grid)
    nx, ny = (u - 0.5) / np.float32(0.36), (v - 0.46) / np.float32(0.46)
    nz = np.sqrt(np.clip(1 - nx * nx - ny * ny, 0.08, 1))
    lit = np.clip(nx * g.light[0] + ny * g.light[1] + nz * g.light[2], 0, 1)
    level = 0.60 + 0.46 * lit
    warm = np.stack([level**0.88, level**1.06, level**1.16], -1).astype(np.float32)
    field: Floats = cv2.resize(warm, (canvas.size, canvas.size), interpolation=cv2.INTER_LINEAR)
    return field


def draw_neck(canvas: Canvas, g: Geometry, tone: Color, light: Floats, double: bool) -> Patch:
    """Neck and neckline with the shadow that the chin casts, and a double chin; returns the neck's patch."""
    w = g.neck_w
    sides = [(0.5 + w, 0.60), (0.5 + w * 0.97, 0.76), (0.5 + w * 1.05, 0.84)]
    hem = neckline(g)
    right, left = spline(sides), spline([(1 - x, y) for x, y in sides])
    neck = canvas.polygon(np.concatenate([right, hem[::-1], left[::-1]]))
    canvas.paint(neck, light[neck.window] * np.float32(0.93) * np.asarray(tone, np.float32))
    shadow = canvas.polygon(shifted(g.outline, -0.05 * g.light[0], 0.052), blur=0.014).within(neck)
    canvas.shade(shadow, (0.72, 0.62, 0.58))
    for side in SIDES:
        canvas.shade(canvas.blob(0.5 + side * w, 0.86, 0.045, 0.10).within(neck), (0.82, 0.74, 0.70))
        cord = spline([(0.5 + side * w * 0.62, 0.86), (0.5 + side * w * 0.34, 0.935)])
        canvas.shade(canvas.lines([cord], 0.010, blur=0.008).within(neck), 0.84)
    if double:
        roll = canvas.polygon(roll_outline(g))
        canvas.shade(canvas.polygon(shifted(roll_outline(g), 0, 0.010), blur=0.012).within(neck), (0.72, 0.63, 0.60))
        canvas.paint(roll, light[roll.window] * np.float32(1.0) * np.asarray(tone, np.float32))
        canvas.shade(canvas.polygon(shifted(g.outline, 0, 0.016), blur=0.008).within(roll), (0.62, 0.50, 0.46))
        canvas.paint(canvas.blob(0.5 + 0.05 * g.light[0], g.chin_y + 0.042, 0.06, 0.010), (1, 0.95, 0.9), 0.16)
    return neck


def roll_outline(g: Geometry) -> Points:
    """The fold of skin that makes a double chin."""
    w, low = min(0.74 * g.jaw, 0.160), g.chin_y
    half = [(0.0, low - 0.08), (w, low - 0.060), (w * 0.92, low + 0.006), (w * 0.52, low + 0.046), (0.0, low + 0.056)]
    return spline([*((0.5 + x, y) for x, y in half), *((0.5 - x, y) for x, y in reversed(half[1:-1]))], closed=True)


def ear_outline(g: Geometry, side: int, scale: float | None = None) -> Points:
    """The outline of one ear."""
    x, y = g.ear(side)
    k = scale or g.ear_scale
    half = 0.030 * (0.6 + 0.4 * k)
    out, mid = side * half * k, side * half
    return spline(
        [
            (x - mid, y - 0.040 * k), (x + out * 0.35, y - 0.062 * k), (x + out * 1.15, y - 0.040 * k),
            (x + out * 0.95, y + 0.010 * k), (x + out * 0.45, y + 0.050 * k), (x - mid * 0.4, y + 0.060 * k),
            (x - mid, y + 0.03 * k),
        ],
        closed=True,
    )  # fmt: skip


def draw_ears(canvas: Canvas, g: Geometry, tone: Color, light: Floats) -> None:
    """Both ears with their hollows."""
    for side in SIDES:
        ear = canvas.polygon(ear_outline(g, side))
        reddish = np.asarray(tone, np.float32) * np.array([0.98, 0.90, 0.88], np.float32)
        canvas.paint(ear, light[ear.window] * reddish)
        x, y = g.ear(side)
        k = g.ear_scale
        rim = spline(
            [
                (x, y - 0.038 * k),
                (x + side * 0.018 * k, y - 0.032 * k),
                (x + side * 0.014 * k, y + 0.006 * k),
                (x + side * 0.002, y + 0.03 * k),
            ]
        )
        canvas.shade(canvas.lines([rim], 0.009, blur=0.003).within(ear), (0.70, 0.58, 0.54))
        canvas.shade(canvas.blob(x - side * 0.006, y, 0.016 * k, 0.032 * k).within(ear), (0.78, 0.66, 0.62))


def draw_face(canvas: Canvas, g: Geometry, tone: Color, light: Floats, attributes: Attributes) -> Patch:
    """The bare face: skin lit by `light`, sockets, cheekbones, chin; returns the face's patch."""
    face = canvas.polygon(g.outline)
    canvas.paint(face, light[face.window] * np.asarray(tone, np.float32))
    rim = canvas.polygon(ellipse(0.5 + 0.03 * g.light[0], 0.44, g.cheek * 1.0, 0.40), blur=0.04)
    edge = (
        Patch(face.y, face.x, face.alpha - rim.within(face).alpha)
        if rim.within(face).alpha.shape == face.alpha.shape
        else face
    )
    canvas.shade(edge, (0.90, 0.83, 0.80))
    for side in SIDES:
        ex, ey = g.eye(side)
        canvas.shade(canvas.blob(ex - side * 0.012, ey - 0.022, 0.085, 0.046), (0.88, 0.80, 0.77))
        canvas.shade(canvas.blob(0.5 + side * g.jaw * 0.98, 0.655, 0.055, 0.11).within(face), (0.90, 0.84, 0.81))
        canvas.paint(canvas.blob(0.5 + side * 0.135, 0.535, 0.055, 0.035).within(face), (1, 0.96, 0.9), 0.10)
    canvas.paint(canvas.blob(0.5 + 0.22 * g.light[0], 0.275, 0.13, 0.065).within(face), (1, 0.97, 0.92), 0.13)
    draw_chin(canvas, g, face, attributes)
    return face


def draw_chin(canvas: Canvas, g: Geometry, face: Patch, attributes: Attributes) -> None:
    """The ball of the chin."""
    low = g.chin_y
    canvas.shade(canvas.blob(0.5, g.mouth_y + 0.052, 0.045, 0.012), (0.88, 0.80, 0.77))
    canvas.paint(canvas.blob(0.5 + 0.05 * g.light[0], low - 0.036, 0.034, 0.020), (1, 0.96, 0.9), 0.13)
    if attributes.chin == "pointed":
        canvas.paint(canvas.blob(0.5, low - 0.022, 0.018, 0.018).within(face), (1, 0.96, 0.9), 0.12)


def draw_marks(canvas: Canvas, seed: int, g: Geometry, face: Patch, attributes: Attributes) -> None:
    """Blush, freckles, dark circles, wrinkles: everything that lies on the skin."""
    a = attributes
    deep = a.skin_tone in ("brown", "deep")
    for side in SIDES:
        cheek = canvas.blob(0.5 + side * 0.150, 0.572, 0.066, 0.050).within(face)
        if a.cheeks == "rosy":
            canvas.paint(cheek, (0.80, 0.20, 0.22) if deep else (0.96, 0.33, 0.36), 0.62 if deep else 0.58)
        ex, ey = g.eye(side)
        if a.under_eyes == "dark-circles":
            under = canvas.polygon(bag_outline(g, side), blur=0.009)
            canvas.shade(under, (0.58, 0.47, 0.56))
        if a.age != "young":
            amount = 0.70 if a.age == "old" else 0.83
            bag = spline([(ex - 0.055, ey + 0.046), (ex, ey + 0.064), (ex + 0.05, ey + 0.048)])
            fold = spline([(0.5 + side * 0.062, 0.588), (0.5 + side * 0.098, 0.625), (0.5 + side * 0.122, 0.672)])
            canvas.shade(canvas.lines([bag, fold], 0.009, blur=0.005), (amount, amount - 0.08, amount - 0.1))
        if a.age == "old":
            crow = [
                np.array([(ex + side * 0.078, ey + dy), (ex + side * 0.112, ey + 2.2 * dy)])
                for dy in (-0.014, 0.004, 0.020)
            ]
            sag = spline([(0.5 + side * 0.128, 0.700), (0.5 + side * 0.148, 0.735), (0.5 + side * 0.140, 0.765)])
            canvas.shade(canvas.lines([*crow, sag], 0.007, blur=0.003).within(face), (0.78, 0.68, 0.65))
            canvas.shade(canvas.blob(0.5 + side * 0.165, 0.63, 0.035, 0.06).within(face), (0.90, 0.84, 0.82))
    if a.freckles == "yes":
        rng = stream(seed, FRECKLES)
        dots = _scatter(rng)
        radius = rng.uniform(0.0055, 0.0088, len(dots))
        spots = [ellipse(x, y, r, r) for (x, y), r in zip(dots, radius, strict=True)]
        canvas.shade(
            canvas.polygon(*spots, blur=0.002).within(face), (0.50, 0.40, 0.36) if deep else (0.74, 0.56, 0.43)
        )
    if a.forehead == "wrinkled":
        lines = [
            spline(
                [
                    (0.5 - w, y + 0.008),
                    (0.5 - w / 2, y - 0.004),
                    (0.5, y + 0.004),
                    (0.5 + w / 2, y - 0.004),
                    (0.5 + w, y + 0.008),
                ]
            )
            for w, y in ((0.125, 0.318), (0.140, 0.288), (0.120, 0.258))
        ]
        canvas.shade(canvas.lines(lines, 0.009, blur=0.0025), (0.66, 0.52, 0.47))
        canvas.paint(
            canvas.lines([shifted(line, 0, 0.009) for line in lines], 0.006, blur=0.003), (1, 0.95, 0.88), 0.16
        )


def _scatter(rng: Generator) -> Points:
    """Freckle places on both cheeks and the nose: a jittered lattice, so that they neither clump nor line up."""
    rows, columns = np.meshgrid(np.arange(5), np.arange(13), indexing="ij")
    places = np.stack([(columns + 0.5 * (rows % 2)).ravel() / 12.5, rows.ravel() / 4.0], 1)
    places = (places - 0.5) * (0.40, 0.105) + (0.5, 0.558) + rng.uniform(-1, 1, places.shape) * (0.012, 0.010)
    keep = rng.random(len(places)) < 0.66
    keep &= np.abs(places[:, 0] - 0.5) * 0.32 + np.abs(places[:, 1] - 0.555) < 0.092
    return places[keep]


def bag_outline(g: Geometry, side: int) -> Points:
    """The area below one eye."""
    x, y = g.eye(side)
    w = g.eye_w
    return spline(
        [(x - w, y + 0.012), (x - 0.5 * w, y + 0.038), (x, y + 0.043), (x + 0.5 * w, y + 0.038), (x + w, y + 0.012),
         (x + 0.75 * w, y + 0.058), (x, y + 0.074), (x - 0.75 * w, y + 0.058)],
        closed=True,
    )  # fmt: skip
