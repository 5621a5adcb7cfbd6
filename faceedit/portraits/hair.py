"""Hair on the head: its colour and strands, the part behind the head, the cap in front, bangs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceedit.portraits.attributes import Attributes, stream
from faceedit.portraits.canvas import Canvas, Color, Floats, Patch
from faceedit.portraits.curves import Points, ellipse, shifted, smooth_noise, spline
from faceedit.portraits.geometry import HAIR, Geometry

COLORS: dict[str, Color] = {
    "black": (0.125, 0.11, 0.12),
    "brown": (0.385, 0.235, 0.145),
    "blond": (0.90, 0.72, 0.40),
    "red": (0.76, 0.32, 0.12),
    "gray": (0.57, 0.57, 0.585),
    "white": (0.93, 0.92, 0.90),
}
SIDES = (-1, 1)


@dataclass(frozen=True)
class Tress:
    """What the seed fixes about a person's hair: volume, parting, shade, strands, the ponytail's side."""

    volume: float
    part: float
    tint: NDArray[np.float64]
    strands: NDArray[np.float32]
    wave: float
    side: int
    phase: float


def tress(seed: int) -> Tress:
    """The hair of portrait `seed`, whatever its style and colour."""
    rng = stream(seed, HAIR)
    volume, part, wave, phase = rng.uniform(-1, 1, 4)
    side = 1 if rng.random() < 0.5 else -1
    tint = 1 + rng.uniform(-0.05, 0.05, 3)
    strands = 0.13 * smooth_noise(rng, 14, 512) + 0.09 * smooth_noise(rng, 34, 512) + 0.06 * smooth_noise(rng, 80, 512)
    return Tress(float(volume), float(part) * 0.07, tint, strands, float(wave), side, float(phase) * 3)


def hair_color(hair: Tress, attributes: Attributes) -> Color:
    """The person's own shade of the hair colour."""
    color = np.array(COLORS[attributes.hair_color]) * hair.tint
    return float(color[0]), float(color[1]), float(color[2])


def hair_tint(canvas: Canvas, patch: Patch, hair: Tress, attributes: Attributes, light: Floats, depth: float) -> Floats:
    """Hair colours float32 [h, w, 3] for a patch: strands from the crown, a band of sheen, `depth` of shadow."""
    u, v = (field[patch.window] for field in canvas.grid)
    if attributes.hair_style == "curly":
        bend = np.float32(2.2)
        first = np.sin(62 * u + bend * np.sin(27 * v + hair.phase)) * np.sin(62 * v + bend * np.sin(31 * u))
        second = np.sin(104 * u + bend * np.sin(45 * v)) * np.sin(104 * v + bend * np.sin(51 * u + hair.phase))
        texture = 0.17 * first + 0.07 * second
    else:
        turn = (u - np.float32(0.5 + hair.part)) / (np.maximum(v, 0.02) + np.float32(0.10))
        turn += np.float32(0.05 * hair.wave) * np.sin(22 * v + np.float32(hair.phase))
        at = np.clip((turn + 1.6) * (511 / 3.2), 0, 510.99)
        low = at.astype(np.int32)
        rest = at - low.astype(np.float32)
        texture = hair.strands[low] * (1 - rest) + hair.strands[low + 1] * rest
    ring = np.sqrt(((u - np.float32(0.5 + 0.10 * hair.part)) * np.float32(0.92)) ** 2 + (v - np.float32(0.42)) ** 2)
    sheen = np.exp(-(((ring - 0.285) / 0.035) ** 2)) * (1 + 2 * texture) * np.clip((0.40 - v) * 6, 0, 1)
    base = np.asarray(hair_color(hair, attributes), np.float32)
    level = (0.88 + texture)[..., None] * (0.30 + 0.70 * light[patch.window]) * np.float32(depth)
    bright = (0.10 + 0.16 * float(base.mean())) * depth
    result: Floats = (base * level + sheen[..., None] * np.float32(bright) * (0.4 + 0.6 * base / base.max())).astype(
        np.float32
    )
    return result


def scalloped(x: float, y: float, rx: float, ry: float, bumps: float, phase: float) -> Points:
    """An ellipse with a bumpy edge, as the outline of curls."""
    angle = np.linspace(0, 2 * np.pi, 144, endpoint=False)
    radius = 1 + 0.055 * np.abs(np.sin(0.5 * bumps * angle + phase)) + 0.02 * np.sin(5 * angle + phase)
    return np.stack([x + rx * radius * np.cos(angle), y + ry * radius * np.sin(angle)], 1)


def back_outlines(g: Geometry, hair: Tress, style: str) -> list[Points]:
    """Outlines of the hair behind the head; none for bald and short."""
    w = g.cheek + 0.052 + 0.012 * hair.volume
    if style == "medium":
        half = [
            (0.0, 0.06),
            (w * 0.72, 0.12),
            (w * 1.02, 0.30),
            (w * 1.10, 0.50),
            (w * 1.16, 0.665),
            (w * 0.95, 0.735),
            (0.5 * w, 0.72),
            (0.0, 0.70),
        ]
    elif style == "long":
        half = [
            (0.0, 0.06),
            (w * 0.72, 0.12),
            (w * 1.03, 0.30),
            (w * 1.08, 0.50),
            (w * 1.14, 0.72),
            (w * 1.20, 0.92),
            (w * 1.10, 1.15),
            (0.4 * w, 1.15),
            (0.0, 1.1),
        ]
    elif style == "curly":
        return [scalloped(0.5, 0.395, w * 1.24, 0.375, 26, hair.phase)]
    elif style == "ponytail":
        s = hair.side
        x = 0.5 + s * (w + 0.015)
        tail = [
            (x - s * 0.13, 0.27),
            (x - s * 0.02, 0.265),
            (x + s * 0.075, 0.335),
            (x + s * 0.115, 0.50),
            (x + s * 0.10, 0.70),
            (x + s * 0.030, 0.93),
            (x - s * 0.015, 0.80),
            (x - s * 0.005, 0.58),
            (x - s * 0.05, 0.44),
            (x - s * 0.13, 0.40),
        ]
        return [spline(tail, closed=True)]
    else:
        return []
    right = [(0.5 + x, y) for x, y in half]
    left = [(0.5 - x, y) for x, y in reversed(half[1:-1])]
    return [spline([*right, *left], closed=True)]


def hairline_curve(g: Geometry, hair: Tress, receding: bool) -> Points:
    """The edge of the hair on the forehead, from the picture's right sideburn to the left one."""
    t = g.temple
    if receding:
        half = [
            (t * 0.985, 0.455),
            (t * 0.93, 0.37),
            (t * 0.90, 0.30),
            (t * 0.78, 0.205),
            (t * 0.52, 0.158),
            (t * 0.26, 0.195),
        ]
        middle = (0.5, 0.212)
    else:
        half = [
            (t * 0.985, 0.455),
            (t * 0.925, 0.38),
            (t * 0.885, 0.325),
            (t * 0.75, 0.270),
            (t * 0.45, 0.240),
            (t * 0.2, 0.232),
        ]
        middle = (0.5 + hair.part, 0.226)
    return spline([*((0.5 + x, y) for x, y in half), middle, *((0.5 - x, y) for x, y in reversed(half))])


def cap_outline(g: Geometry, hair: Tress, style: str, receding: bool) -> Points:
    """The outline of the hair that lies on the skull."""
    rise = {"short": 0.052, "medium": 0.066, "long": 0.062, "curly": 0.075, "ponytail": 0.040}.get(style, 0.052)
    rise += 0.010 * hair.volume
    w = g.temple + {"short": 0.020, "medium": 0.048, "long": 0.044, "curly": 0.055, "ponytail": 0.012}.get(style, 0.020)
    angle = np.linspace(np.pi, 0, 33)
    top = 0.130 - rise
    arc = np.stack([0.5 + w * np.cos(angle), 0.365 - (0.365 - top) * np.sin(angle) ** 0.92], 1)
    side_end = 0.470
    ends = [np.array([(0.5 - g.cheek - 0.004, side_end)]), arc, np.array([(0.5 + g.cheek + 0.004, side_end)])]
    return np.concatenate([*ends, hairline_curve(g, hair, receding)])


def bangs_outline(g: Geometry, hair: Tress) -> Points:
    """The outline of bangs: from the crown's front down to just above the brows, with a ragged lower edge."""
    t = g.temple * 0.955
    x = np.linspace(-1, 1, 41)
    drop = 0.352 + 0.012 * x**2 - 0.010 * np.abs(np.sin(11 * x + hair.phase)) + 0.10 * hair.part * x
    upper = spline([(0.5 + t, 0.31), (0.5 + 0.72 * t, 0.205), (0.5, 0.165), (0.5 - 0.72 * t, 0.205), (0.5 - t, 0.31)])
    return np.concatenate([upper, np.stack([0.5 + t * x, drop], 1)])


def draw_back_hair(
    canvas: Canvas, g: Geometry, hair: Tress, attributes: Attributes, light: Floats, clip: Floats | float
) -> None:
    """The hair behind head and shoulders, darker towards the neck; `clip` cuts away what a hat presses down."""
    outlines = back_outlines(g, hair, attributes.hair_style)
    if not outlines:
        return
    patch = canvas.polygon(*outlines, blur=0.002)
    patch = patch if attributes.hair_style == "ponytail" else patch.times(clip)
    canvas.paint(patch, hair_tint(canvas, patch, hair, attributes, light, 0.92))
    if attributes.hair_style != "ponytail":
        canvas.shade(canvas.blob(0.5, 0.74, 0.24, 0.24).within(patch), (0.45, 0.42, 0.42))
    else:
        s = hair.side
        knot = canvas.polygon(ellipse(0.5 + s * (g.cheek + 0.040), 0.330, 0.019, 0.050, s * 0.25))
        canvas.paint(knot, (0.75, 0.22, 0.30))


def draw_front_hair(
    canvas: Canvas, g: Geometry, hair: Tress, attributes: Attributes, light: Floats, clip: Floats | float
) -> None:
    """The hair on the skull and forehead with its shadow on the skin."""
    a = attributes
    if a.hair_style == "bald":
        return
    outlines = [cap_outline(g, hair, a.hair_style, a.hairline == "receding")]
    face = canvas.polygon(g.outline)
    if a.bangs == "yes":
        outlines.append(bangs_outline(g, hair))
    shadow = canvas.polygon(*(shifted(line, -0.012 * g.light[0], 0.016) for line in outlines), blur=0.008).within(face)
    canvas.shade(shadow, (0.76, 0.66, 0.62))
    cap = canvas.polygon(*outlines, blur=0.0028).times(clip)
    canvas.paint(cap, hair_tint(canvas, cap, hair, a, light, 1.0))
    if a.hair_style == "curly":
        rim = canvas.polygon(scalloped(0.5, 0.225, g.temple + 0.055, 0.165, 18, hair.phase), blur=0.003).times(clip)
        forehead = canvas.polygon(ellipse(0.5, 0.46, g.temple * 0.93, 0.215 if a.bangs == "no" else 0.115), blur=0.003)
        keep = 1 - canvas_full(canvas, forehead)
        crown = rim.times(keep)
        if a.hairline == "receding":
            return
        canvas.paint(crown, hair_tint(canvas, crown, hair, a, light, 1.0))
    if a.hair_style in ("medium", "long", "ponytail") and a.bangs == "no" and a.hairline == "normal":
        x = 0.5 + hair.part
        parting = spline([(x, 0.232), (x + 0.2 * hair.part, 0.165), (x + 0.3 * hair.part, 0.115)])
        canvas.shade(canvas.lines([parting], 0.009, blur=0.006).times(clip), 0.66)


def canvas_full(canvas: Canvas, patch: Patch) -> Floats:
    """A patch as a canvas-sized field."""
    field = np.zeros((canvas.size, canvas.size), np.float32)
    field[patch.window] = patch.alpha
    return field
