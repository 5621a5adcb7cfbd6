"""Glasses, hats, earrings and necklaces."""

from __future__ import annotations

import numpy as np

from faceedit.portraits.attributes import Attributes, stream
from faceedit.portraits.backdrop import neckline, random_color
from faceedit.portraits.canvas import Canvas, Color, Floats
from faceedit.portraits.curves import Points, ellipse, shifted, spline
from faceedit.portraits.geometry import WORN, Geometry

SIDES = (-1, 1)
FRAMES: tuple[Color, ...] = (
    (0.07, 0.06, 0.07),
    (0.33, 0.17, 0.08),
    (0.62, 0.10, 0.14),
    (0.10, 0.16, 0.38),
    (0.74, 0.58, 0.22),
)
GOLD: Color = (0.93, 0.72, 0.22)
PEARL: Color = (0.95, 0.92, 0.89)


def lens_outline(g: Geometry, side: int, roundness: float, grow: float = 0.0) -> Points:
    """The outline of one lens: a superellipse around the eye."""
    x, y = 0.5 + side * (g.eye_x + 0.002), g.eye_y + 0.006
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    c, s = np.cos(angle), np.sin(angle)
    power = 1.0 - 0.45 * (1 - roundness)
    shape = np.stack([np.sign(c) * np.abs(c) ** power, np.sign(s) * np.abs(s) ** power], 1)
    return shape * (0.096 + grow, 0.073 + grow) + (x, y)


def glasses_area(g: Geometry) -> list[Points]:
    """Everything that glasses cover: both lenses, the bridge and the temples."""
    y = g.eye_y
    bridge = np.array([(0.46, y - 0.040), (0.54, y - 0.040), (0.54, y + 0.020), (0.46, y + 0.020)])
    arms = [
        np.array(
            [
                (0.5 + s * 0.19, y - 0.045),
                (0.5 + s * (g.cheek + 0.014), y - 0.040),
                (0.5 + s * (g.cheek + 0.014), y + 0.012),
                (0.5 + s * 0.19, y + 0.015),
            ]
        )
        for s in SIDES
    ]
    return [lens_outline(g, -1, 0.6, 0.014), lens_outline(g, 1, 0.6, 0.014), bridge, *arms]


def draw_glasses(canvas: Canvas, seed: int, g: Geometry, attributes: Attributes) -> None:
    """Eyeglasses or sunglasses; the frame's colour and form belong to the person."""
    if attributes.glasses == "none":
        return
    rng = stream(seed, WORN)
    color, roundness = FRAMES[int(rng.integers(len(FRAMES)))], float(rng.uniform(0.1, 1))
    dark = attributes.glasses == "sunglasses"
    if dark:
        color = (color[0] * 0.4, color[1] * 0.4, color[2] * 0.4)
    y = g.eye_y
    arms = [np.array([(0.5 + s * 0.208, y - 0.018), (0.5 + s * (g.cheek + 0.004), y - 0.014)]) for s in SIDES]
    bridge = spline([(0.475, y - 0.004), (0.5, y - 0.020), (0.525, y - 0.004)])
    outlines = [lens_outline(g, s, roundness) for s in SIDES]
    canvas.shade(
        canvas.lines([shifted(o, -0.006, 0.012) for o in outlines], 0.012, blur=0.006, closed=True), (0.78, 0.70, 0.67)
    )
    for outline in outlines:
        lens = canvas.polygon(outline)
        if dark:
            _, v = canvas.grid
            fade = np.clip((v[lens.window] - y + 0.07) / 0.16, 0, 1)[..., None]
            tint = np.array([0.045, 0.045, 0.06], np.float32) + fade * np.array([0.13, 0.11, 0.11], np.float32)
            canvas.paint(lens, tint.astype(np.float32), 0.96)
        else:
            canvas.paint(lens, (0.90, 0.96, 1.0), 0.09)
        x = float(outline[:, 0].mean())
        streak = np.array(
            [(x - 0.060, y + 0.030), (x - 0.020, y - 0.050), (x - 0.002, y - 0.050), (x - 0.042, y + 0.030)]
        )
        canvas.paint(canvas.polygon(streak, blur=0.005).within(lens), (1, 1, 1), 0.26 if dark else 0.20)
    canvas.paint(canvas.lines(outlines, 0.0150 if dark else 0.0125, closed=True), color)
    canvas.paint(canvas.lines([*arms, bridge], 0.0125), color)
    canvas.paint(canvas.lines([shifted(o[22:30], 0, 0.002) for o in outlines], 0.004, blur=0.001), (1, 1, 1), 0.35)


def dome_outline(g: Geometry, top: float) -> Points:
    """The crown of a hat, from its left lower end over the top to the right one."""
    w = g.temple + 0.048
    angle = np.linspace(np.pi, 0, 33)
    return np.stack([0.5 + w * np.cos(angle), 0.285 - (0.285 - top) * np.sin(angle) ** 0.8], 1)


def hat_area(g: Geometry) -> list[Points]:
    """Everything that a hat covers."""
    w = g.temple + 0.055
    low = spline([(0.5 + w, 0.325), (0.5 + 0.6 * w, 0.335), (0.5, 0.338), (0.5 - 0.6 * w, 0.335), (0.5 - w, 0.325)])
    return [np.concatenate([shifted(dome_outline(g, -0.005), 0, 0.0), low]), ellipse(0.5, -0.01, 0.05, 0.05)]


def _band(w: float, top: float, bottom: float, sag: float) -> Points:
    x = np.linspace(-1, 1, 25)
    upper = np.stack([0.5 + w * x, top + sag * (1 - x**2)], 1)
    lower = np.stack([0.5 + w * x, bottom + sag * (1 - x**2)], 1)
    return np.concatenate([upper, lower[::-1]])


def draw_hat(canvas: Canvas, seed: int, g: Geometry, light: Floats, attributes: Attributes) -> None:
    """A beanie or a cap; its colours belong to the person."""
    if attributes.hat == "none":
        return
    rng = stream(seed, WORN + 100)
    color = np.array(random_color(rng, (0.45, 0.9), (0.35, 0.9)), np.float32)
    trim = np.array(random_color(rng, (0.3, 0.9), (0.35, 0.95)), np.float32)
    face = canvas.polygon(g.outline)
    w = g.temple + 0.052
    u, _ = canvas.grid
    if attributes.hat == "beanie":
        canvas.shade(canvas.polygon(_band(w, 0.26, 0.318, 0.018), blur=0.010).within(face), (0.70, 0.60, 0.57))
        dome = canvas.polygon(np.concatenate([dome_outline(g, 0.032), [(0.5 + w, 0.29), (0.5 - w, 0.29)]]))
        ribs = 0.90 + 0.10 * np.cos(np.arcsin(np.clip((u[dome.window] - 0.5) / w, -1, 1)) * 30)
        canvas.paint(dome, color * ribs[..., None].astype(np.float32) * (0.40 + 0.60 * light[dome.window]))
        pom = canvas.polygon(ellipse(0.5, 0.022, 0.046, 0.040), blur=0.004)
        canvas.paint(pom, trim * (0.4 + 0.6 * light[pom.window]))
        cuff = canvas.polygon(_band(w + 0.004, 0.215, 0.292, 0.016))
        ribs = 0.90 + 0.10 * np.cos(np.arcsin(np.clip((u[cuff.window] - 0.5) / (w + 0.004), -1, 1)) * 44)
        canvas.paint(cuff, trim * ribs[..., None].astype(np.float32) * (0.45 + 0.55 * light[cuff.window]))
        canvas.shade(canvas.lines([_band(w, 0.212, 0.212, 0.016)[:25]], 0.010, blur=0.004), 0.72)
        return
    canvas.shade(canvas.polygon(_band(w * 0.95, 0.26, 0.335, 0.018), blur=0.012).within(face), (0.62, 0.54, 0.52))
    dome = canvas.polygon(np.concatenate([dome_outline(g, 0.045), [(0.5 + w, 0.29), (0.5 - w, 0.29)]]))
    canvas.paint(dome, color * (0.40 + 0.60 * light[dome.window]))
    seams = [spline([(0.5, 0.045), (0.5 + 0.62 * w * s, 0.12), (0.5 + 0.80 * w * s, 0.26)]) for s in SIDES]
    canvas.shade(canvas.lines(seams, 0.006, blur=0.002), 0.76)
    canvas.paint(canvas.blob(0.5 + 0.2 * g.light[0], 0.12, 0.09, 0.05).within(dome), (1, 1, 1), 0.16)
    canvas.paint(canvas.polygon(ellipse(0.5, 0.150, 0.058, 0.042)), (float(trim[0]), float(trim[1]), float(trim[2])))
    upper = spline(
        [
            (0.5 - w * 0.98, 0.292),
            (0.5 - 0.55 * w, 0.228),
            (0.5, 0.212),
            (0.5 + 0.55 * w, 0.228),
            (0.5 + w * 0.98, 0.292),
        ]
    )
    lower = spline(
        [
            (0.5 + w * 0.98, 0.292),
            (0.5 + 0.72 * w, 0.318),
            (0.5, 0.314),
            (0.5 - 0.72 * w, 0.318),
            (0.5 - w * 0.98, 0.292),
        ]
    )
    brim = canvas.polygon(np.concatenate([upper, lower]))
    canvas.paint(brim, trim * 0.88 * (0.45 + 0.55 * light[brim.window]))
    canvas.shade(canvas.lines([upper], 0.008, blur=0.003), 0.66)
    canvas.paint(canvas.lines([shifted(lower, 0, -0.008)], 0.006, blur=0.003), (1, 1, 1), 0.22)


def earring_area(g: Geometry, side: int) -> Points:
    """Everything that an earring covers on one side."""
    x, y = g.lobe(side)
    return ellipse(x, y + 0.036, 0.046, 0.058)


def draw_earrings(canvas: Canvas, g: Geometry, attributes: Attributes) -> None:
    """Hoops or pearls at both ears."""
    for side in SIDES:
        x, y = g.lobe(side)
        if attributes.earring == "hoops":
            ring = ellipse(x, y + 0.036, 0.032, 0.040)
            canvas.paint(canvas.lines([ring], 0.0135, closed=True), (0.62, 0.42, 0.08))
            canvas.paint(canvas.lines([shifted(ring, -0.0015, -0.0015)], 0.0085, closed=True), GOLD)
            canvas.paint(canvas.lines([ring[18:26]], 0.005, blur=0.001), (1, 0.97, 0.8), 0.9)
        if attributes.earring == "pearls":
            canvas.paint(canvas.polygon(ellipse(x, y + 0.020, 0.0245, 0.0245)), (0.66, 0.61, 0.60))
            canvas.paint(canvas.polygon(ellipse(x - 0.002, y + 0.018, 0.0205, 0.0205), blur=0.002), PEARL)
            canvas.paint(canvas.blob(x - 0.007, y + 0.012, 0.008, 0.008), (1, 1, 1), 0.9)


def necklace_curve(g: Geometry) -> Points:
    """The line along which a necklace hangs, from left to right."""
    w = g.neck_w
    return spline(
        [
            (0.5 - w * 1.02, 0.848),
            (0.5 - w * 0.72, 0.890),
            (0.5 - w * 0.36, 0.912),
            (0.5, 0.919),
            (0.5 + w * 0.36, 0.912),
            (0.5 + w * 0.72, 0.890),
            (0.5 + w * 1.02, 0.848),
        ]
    )


def draw_necklace(canvas: Canvas, g: Geometry, attributes: Attributes) -> None:
    """A gold chain with a pendant, or a string of pearls."""
    curve = necklace_curve(g)
    if attributes.necklace == "gold":
        canvas.shade(canvas.lines([shifted(curve, 0, 0.008)], 0.012, blur=0.004), (0.68, 0.60, 0.56))
        canvas.paint(canvas.lines([curve], 0.0155), (0.62, 0.42, 0.08))
        canvas.paint(canvas.lines([shifted(curve, 0, -0.002)], 0.0095), GOLD)
        canvas.paint(canvas.polygon(ellipse(0.5, 0.939, 0.020, 0.022)), (0.70, 0.48, 0.10))
        canvas.paint(canvas.polygon(ellipse(0.499, 0.937, 0.0155, 0.0175)), GOLD)
        canvas.paint(canvas.blob(0.494, 0.931, 0.006, 0.006), (1, 1, 0.9), 0.9)
    if attributes.necklace == "pearls":
        canvas.shade(canvas.lines([shifted(curve, 0, 0.010)], 0.020, blur=0.005), (0.68, 0.60, 0.56))
        lengths = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(curve, axis=0).T))])
        at = np.linspace(0, lengths[-1], 15)
        beads = np.stack([np.interp(at, lengths, curve[:, 0]), np.interp(at, lengths, curve[:, 1])], 1)
        canvas.paint(canvas.polygon(*(ellipse(x, y, 0.0135, 0.0135) for x, y in beads)), (0.70, 0.65, 0.63))
        canvas.paint(
            canvas.polygon(*(ellipse(x - 0.001, y - 0.002, 0.0110, 0.0110) for x, y in beads), blur=0.001), PEARL
        )
        canvas.paint(
            canvas.polygon(*(ellipse(x - 0.003, y - 0.005, 0.0035, 0.0035) for x, y in beads), blur=0.001),
            (1, 1, 1),
            0.9,
        )


def necklace_area(g: Geometry) -> list[Points]:
    """Everything that a necklace covers."""
    curve, hem = necklace_curve(g), neckline(g)
    band = np.concatenate([shifted(curve, 0, -0.022), (shifted(curve, 0, 0.026))[::-1]])
    return [band, ellipse(0.5, 0.938, 0.032, 0.034), hem[len(hem) // 3 : -len(hem) // 3]]
