"""Nose and mouth: lips, teeth, the lines that an expression draws."""

from __future__ import annotations

import numpy as np

from faceedit.portraits.attributes import Attributes
from faceedit.portraits.canvas import Canvas, Color
from faceedit.portraits.curves import Points, ellipse, spline
from faceedit.portraits.geometry import Geometry

LIPSTICK: dict[str, Color] = {"red": (0.80, 0.05, 0.10), "pink": (0.96, 0.36, 0.60), "purple": (0.48, 0.13, 0.58)}
SIDES = (-1, 1)


def draw_nose(canvas: Canvas, g: Geometry, attributes: Attributes) -> None:
    """Bridge, tip, wings and nostrils, shaded away from the light."""
    y, w = g.nose_y, g.nose_w
    k = {"normal": 1.0, "small": 0.72, "big": 1.3}[attributes.nose]
    away = -1 if g.light[0] > 0 else 1
    for side in SIDES:
        strength = 0.80 if side == away else 0.92
        flank = spline(
            [
                (0.5 + side * 0.034, 0.40),
                (0.5 + side * (0.018 + 0.10 * w), 0.47),
                (0.5 + side * w * 0.62, y - 0.045 * k),
                (0.5 + side * w * 0.98, y - 0.012),
            ]
        )
        canvas.shade(canvas.lines([flank], 0.017 * k, blur=0.008), (strength, strength - 0.07, strength - 0.09))
        wing = spline(
            [
                (0.5 + side * w * 0.78, y - 0.030 * k),
                (0.5 + side * w * 1.06, y - 0.010 * k),
                (0.5 + side * w * 0.92, y + 0.008 * k),
                (0.5 + side * w * 0.55, y + 0.008 * k),
            ]
        )
        canvas.shade(canvas.lines([wing], 0.009, blur=0.0035), (0.68, 0.55, 0.51))
        canvas.shade(
            canvas.polygon(
                ellipse(0.5 + side * w * 0.46, y + 0.006 * k, 0.24 * w, 0.0085 * k, -side * 0.25), blur=0.0022
            ),
            (0.36, 0.24, 0.22),
        )
    canvas.shade(canvas.blob(0.5 - 0.02 * g.light[0], y + 0.024 * k, w * 0.85, 0.018), (0.80, 0.70, 0.66))
    base = spline([(0.5 - w * 0.34, y + 0.010 * k), (0.5, y + 0.017 * k), (0.5 + w * 0.34, y + 0.010 * k)])
    canvas.shade(canvas.lines([base], 0.008, blur=0.003), (0.66, 0.54, 0.50))
    canvas.paint(canvas.blob(0.5 + 0.016 * g.light[0], 0.50, 0.013 * k, 0.065), (1, 0.96, 0.90), 0.20)
    canvas.paint(canvas.blob(0.5 + 0.022 * g.light[0], y - 0.024 * k, 0.42 * w, 0.019 * k), (1, 0.96, 0.90), 0.30)


def mouth_curves(g: Geometry, attributes: Attributes) -> tuple[Points, Points, Points, Points]:
    """Upper edge of the upper lip, its lower edge, upper edge of the lower lip, its lower edge; left to right."""
    bend, wide, gap, drop = {
        "neutral": (0.006, 1.0, 0.0, 0.0),
        "smile": (0.038, 1.20, 0.007, 0.001),
        "laugh": (0.030, 1.24, 0.064, -0.012),
        "frown": (-0.030, 1.0, 0.0, 0.012),
        "surprised": (0.0, 0.66, 0.074, -0.012),
    }[attributes.expression]
    t = np.linspace(-1, 1, 25)
    w, y = g.mouth_w * wide, g.mouth_y + drop
    line = y + bend * (0.55 - t**2)
    side = np.sqrt(np.clip(1 - t**2, 0, 1))
    round_open = attributes.expression == "surprised"
    upper_line = line - (0.30 * gap * side if round_open else 0.10 * gap * side)
    lower_line = line + (0.70 * gap * side if round_open else 0.90 * gap * side**1.3)
    bow = 1 - 0.30 * np.exp(-((t / 0.16) ** 2)) - 0.12 * np.abs(t)
    x = 0.5 + w * t
    top = upper_line - g.upper_lip * side**0.9 * bow * (0.85 if gap > 0.01 else 1.0)
    low = lower_line + g.lower_lip * side**1.1 * (0.80 if gap > 0.01 else 1.0)
    top_line, up, down, bottom = (np.stack([x, edge], 1) for edge in (top, upper_line, lower_line, low))
    return top_line, up, down, bottom


def lip_color(tone: Color, attributes: Attributes) -> Color:
    """The colour of the lips: lipstick, or the skin's own red."""
    if attributes.lip_color != "natural":
        return LIPSTICK[attributes.lip_color]
    return tone[0] * 0.85 + 0.02, tone[1] * 0.53 + 0.01, tone[2] * 0.56 + 0.02


def draw_mouth(canvas: Canvas, g: Geometry, tone: Color, attributes: Attributes) -> None:
    """Lips, teeth and the folds around them."""
    a = attributes
    top, up, down, bottom = mouth_curves(g, a)
    color = lip_color(tone, a)
    dark = (color[0] * 0.80, color[1] * 0.72, color[2] * 0.74)
    bare = a.beard != "full" and a.mustache == "no"
    if bare:
        canvas.shade(canvas.blob(0.5, 0.5 * (g.nose_y + g.mouth_y) + 0.010, 0.011, 0.018), (0.88, 0.82, 0.80))
    if a.expression in ("smile", "laugh"):
        for side in SIDES:
            corner = 0.5 + side * g.mouth_w * 1.32
            fold = spline([(0.5 + side * 0.066, 0.590), (0.5 + side * 0.118, 0.622), (corner + side * 0.010, 0.668)])
            canvas.shade(canvas.lines([fold], 0.010, blur=0.005), (0.76, 0.66, 0.62))
            canvas.paint(canvas.blob(0.5 + side * 0.150, 0.562, 0.045, 0.028), (1, 0.95, 0.9), 0.13)
    if a.expression == "frown":
        for side in SIDES:
            x = 0.5 + side * g.mouth_w * 1.06
            canvas.shade(
                canvas.lines([spline([(x, 0.700), (x + side * 0.012, 0.722)])], 0.012, blur=0.005), (0.72, 0.62, 0.58)
            )
            crease = np.array([(0.5 + side * 0.016, 0.372), (0.5 + side * 0.013, 0.402)])
            canvas.shade(canvas.lines([crease], 0.008, blur=0.003), (0.62, 0.50, 0.46))
    canvas.paint(canvas.polygon(np.concatenate([top, up[::-1]])), dark)
    canvas.paint(canvas.polygon(np.concatenate([down, bottom[::-1]])), color)
    if a.expression in ("laugh", "surprised", "smile"):
        inside = canvas.polygon(np.concatenate([up, down[::-1]]))
        canvas.paint(inside, (0.28, 0.05, 0.06))
        if a.expression == "laugh":
            canvas.paint(canvas.blob(0.5, g.mouth_y + 0.044, 0.055, 0.018).within(inside), (0.80, 0.36, 0.36), 0.9)
        teeth = up * (1, 0) + 0.38 * down * (0, 1) + 0.62 * up * (0, 1)
        if a.expression != "surprised":
            row = canvas.polygon(np.concatenate([up, (teeth if a.expression == "laugh" else down)[::-1]])).within(
                inside
            )
            canvas.paint(row, (0.97, 0.96, 0.92))
        else:
            canvas.paint(
                canvas.blob(0.5, float(down[12, 1]) - 0.004, 0.040, 0.020).within(inside), (0.72, 0.32, 0.33), 0.9
            )
    else:
        canvas.paint(canvas.lines([up], 0.0075, blur=0.001), (color[0] * 0.42, color[1] * 0.32, color[2] * 0.34), 0.9)
    mid = bottom[12]
    canvas.paint(
        canvas.blob(0.5 + 0.02 * g.light[0], float(mid[1]) - 0.55 * g.lower_lip, 0.030, 0.32 * g.lower_lip + 0.001),
        (1, 0.97, 0.96),
        0.34,
    )
    for side, end in ((-1, up[0]), (1, up[-1])):
        canvas.shade(canvas.blob(float(end[0]) + side * 0.004, float(end[1]), 0.013, 0.011), (0.70, 0.58, 0.55))
    if a.beard != "full":
        canvas.shade(canvas.blob(0.5, float(mid[1]) + 0.012, 0.05, 0.008), (0.84, 0.75, 0.72))
