"""Eyes with lids, lashes, iris and highlight; eyeshadow; eyebrows."""

from __future__ import annotations

import numpy as np

from faceedit.portraits.attributes import Attributes
from faceedit.portraits.canvas import Canvas, Color
from faceedit.portraits.curves import Points, ellipse, shifted, spline
from faceedit.portraits.geometry import Geometry

IRIS: dict[str, tuple[Color, Color]] = {
    "brown": ((0.42, 0.23, 0.10), (0.18, 0.09, 0.04)),
    "blue": ((0.30, 0.62, 0.95), (0.08, 0.24, 0.52)),
    "green": ((0.36, 0.72, 0.36), (0.09, 0.30, 0.14)),
    "gray": ((0.66, 0.70, 0.74), (0.29, 0.32, 0.36)),
}
SHADOWS: dict[str, Color] = {"blue": (0.15, 0.42, 0.92), "purple": (0.58, 0.20, 0.74), "green": (0.12, 0.64, 0.38)}
SIDES = (-1, 1)


def _turn(points: Points, x: float, y: float, angle: float) -> Points:
    c, s = np.cos(angle), np.sin(angle)
    turned: Points = (points - (x, y)) @ np.array([[c, s], [-s, c]]) + (x, y)
    return turned


def lids(g: Geometry, side: int, attributes: Attributes) -> tuple[Points, Points]:
    """Upper and lower lid curves of one eye, from left to right; equal when the eye is closed."""
    x, y = g.eye(side)
    w, h = g.eye_w, g.eye_h
    wide = {"surprised": 1.28, "laugh": 0.84, "smile": 0.94, "frown": 0.92}.get(attributes.expression, 1.0)
    top, bottom = h * wide, 0.72 * h * (wide if wide > 1 else 1.0)
    if attributes.expression in ("laugh", "smile"):
        bottom *= 0.82
    if attributes.eyes == "closed":
        top, bottom = -0.62 * h, 0.62 * h
    inner, outer = -side * 0.35, side * 0.35
    angle = -side * g.eye_tilt
    upper = spline(
        [
            (x - w, y),
            (x - 0.62 * w, y - 0.78 * top),
            (x + 0.25 * w * outer, y - top),
            (x + 0.62 * w, y - 0.78 * top),
            (x + w, y),
        ]
    )
    lower = spline(
        [
            (x - w, y),
            (x - 0.55 * w, y + 0.8 * bottom),
            (x + 0.2 * w * inner, y + bottom),
            (x + 0.55 * w, y + 0.8 * bottom),
            (x + w, y),
        ]
    )
    return _turn(upper, x, y, angle), _turn(lower, x, y, angle)


def lid_area(g: Geometry, side: int) -> Points:
    """The upper lid and what lies between it and the brow: where eyeshadow goes."""
    x, y = g.eye(side)
    w = g.eye_w * 1.06
    area = spline(
        [(x - w, y + 0.006), (x - 0.98 * w, y - 0.044), (x - 0.38 * w, y - 0.072),
         (x + 0.38 * w, y - 0.072), (x + 0.98 * w, y - 0.044), (x + w, y + 0.006), (x, y - 0.012)],
        closed=True,
    )  # fmt: skip
    return _turn(area, x, y, -side * g.eye_tilt)


def draw_eyes(canvas: Canvas, g: Geometry, tone: Color, attributes: Attributes) -> None:
    """Both eyes."""
    a = attributes
    lash = {"feminine": 0.0145, "masculine": 0.0070, "androgynous": 0.0100}[a.gender]
    for side in SIDES:
        x, y = g.eye(side)
        upper, lower = lids(g, side, a)
        closed = a.eyes == "closed"
        if a.eyeshadow != "none":
            canvas.paint(canvas.polygon(lid_area(g, side), blur=0.005), SHADOWS[a.eyeshadow], 0.90)
        if closed:
            lid = canvas.polygon(np.concatenate([upper, _lid_top(g, side)[::-1]]), blur=0.004)
            bulge = SHADOWS[a.eyeshadow] if a.eyeshadow != "none" else (tone[0] * 0.93, tone[1] * 0.87, tone[2] * 0.85)
            canvas.paint(lid, bulge, 0.8)
            canvas.paint(canvas.blob(x + 0.01 * np.sign(g.light[0]), y - 0.006, 0.03, 0.012), (1, 0.95, 0.9), 0.16)
        else:
            _draw_ball(canvas, g, side, upper, lower, a)
        crease = _lid_top(g, side)
        canvas.shade(canvas.lines([crease], 0.007, blur=0.002), (0.84, 0.76, 0.73) if closed else (0.62, 0.50, 0.46))
        canvas.shade(canvas.lines([lower[2:-2]], 0.006, blur=0.002), (0.66, 0.52, 0.50))
        line = lower if closed else upper
        canvas.paint(canvas.lines([line], lash), (0.09, 0.06, 0.06), 0.92)
        _draw_lashes(canvas, side, line, closed, a)


def _lid_top(g: Geometry, side: int) -> Points:
    x, y = g.eye(side)
    w, h = g.eye_w * 0.96, g.eye_h
    return _turn(
        spline(
            [
                (x - w, y - 0.3 * h),
                (x - 0.55 * w, y - 1.2 * h),
                (x, y - 1.45 * h),
                (x + 0.55 * w, y - 1.2 * h),
                (x + w, y - 0.3 * h),
            ]
        ),
        x,
        y,
        -side * g.eye_tilt,
    )


def _draw_ball(canvas: Canvas, g: Geometry, side: int, upper: Points, lower: Points, a: Attributes) -> None:
    x, y = g.eye(side)
    opening = canvas.polygon(np.concatenate([upper, lower[::-1]]))
    canvas.paint(opening, (0.95, 0.94, 0.93))
    canvas.shade(canvas.blob(x - g.eye_w, y, 0.028, 0.05).within(opening), (0.82, 0.76, 0.76))
    canvas.shade(canvas.blob(x + g.eye_w, y, 0.028, 0.05).within(opening), (0.82, 0.76, 0.76))
    light, rim = IRIS[a.eye_color]
    r = 0.0335
    x, iy = x + g.gaze, y - 0.004
    canvas.paint(canvas.polygon(ellipse(x, iy, r, r)).within(opening), rim)
    canvas.paint(canvas.polygon(ellipse(x, iy, 0.80 * r, 0.80 * r), blur=0.002).within(opening), light)
    canvas.paint(
        canvas.blob(x, iy + 0.5 * r, 0.6 * r, 0.4 * r).within(
            canvas.polygon(ellipse(x, iy, 0.75 * r, 0.75 * r)).within(opening)
        ),
        (1, 1, 1),
        0.22,
    )
    canvas.paint(canvas.polygon(ellipse(x, iy, 0.40 * r, 0.40 * r)).within(opening), (0.03, 0.02, 0.03))
    canvas.shade(canvas.lines([shifted(upper, 0, 0.006)], 0.016, blur=0.004).within(opening), (0.62, 0.60, 0.64))
    hx = x + 0.012 * (1 if g.light[0] > 0 else -1)
    canvas.paint(canvas.polygon(ellipse(hx, iy - 0.012, 0.0085, 0.0085)), (1, 1, 1), 0.95)
    canvas.paint(canvas.polygon(ellipse(2 * x - hx, iy + 0.012, 0.004, 0.004)), (1, 1, 1), 0.6)


def _draw_lashes(canvas: Canvas, side: int, line: Points, closed: bool, a: Attributes) -> None:
    length = {"feminine": 0.030, "masculine": 0.006, "androgynous": 0.016}[a.gender]
    ends = line if side > 0 else line[::-1]
    strokes = []
    for at, lean in ((0.60, 0.35), (0.78, 0.6), (0.93, 0.9), (1.0, 1.0)):
        root = ends[round(at * (len(ends) - 1))]
        rise = 0.75 if closed else -1.0
        strokes.append(np.array([root, shifted(root, side * lean * length, rise * length * (1.1 - 0.5 * lean))]))
    canvas.paint(canvas.lines(strokes, 0.006), (0.09, 0.06, 0.06), 0.9)


def brow_outline(g: Geometry, side: int, attributes: Attributes, grow: float = 0.0) -> Points:
    """The outline of one eyebrow, grown by `grow` portrait units."""
    a = attributes
    thick = {"normal": 0.0120, "thin": 0.0058, "bushy": 0.0220}[a.eyebrows] * (
        1.08 if a.gender == "masculine" else 0.95
    )
    lift = {"surprised": -0.034, "laugh": -0.008}.get(a.expression, 0.0)
    inner = {"frown": 0.022, "surprised": -0.008}.get(a.expression, 0.0)
    x, y = g.eye(side)[0], g.brow_y + lift
    s = side
    spine = spline(
        [
            (x - s * 0.070, y + 0.008 + inner), (x - s * 0.030, y - g.brow_arch * 0.35 + 0.5 * inner),
            (x + s * 0.025, y - g.brow_arch), (x + s * 0.085, y + 0.012),
        ]
    )  # fmt: skip
    t = np.linspace(0, 1, len(spine))
    half = thick * np.clip(np.minimum(0.75 + 1.2 * t, 2.6 * (1.04 - t)), 0, 1)[:, None] + grow
    return np.concatenate([spine - half * (0, 1), (spine + half * (0, 1))[::-1]])


def draw_brows(canvas: Canvas, g: Geometry, hair: Color, attributes: Attributes) -> None:
    """Both eyebrows, in a shade between the hair's colour and dark brown."""
    dark = np.array(hair) * 0.62 + np.array([0.14, 0.09, 0.06]) * 0.30
    color = (float(dark[0]), float(dark[1]), float(dark[2]))
    for side in SIDES:
        brow = brow_outline(g, side, attributes)
        canvas.paint(canvas.polygon(brow, blur=0.0035), color, 0.88)
        half = len(brow) // 2
        top, bottom = brow[:half], brow[half:][::-1]
        count = 13 if attributes.eyebrows == "bushy" else 8
        reach = 0.18 if attributes.eyebrows == "bushy" else 0.0
        strokes = []
        for i in range(count):
            k = 1 + i * (half - 5) // count
            strokes.append(np.stack([bottom[k], top[k + 3] + (bottom[k] - top[k]) * (-reach)]))
        canvas.paint(canvas.lines(strokes, 0.0045), (color[0] * 0.6, color[1] * 0.6, color[2] * 0.6), 0.45)
