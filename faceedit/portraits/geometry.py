"""The shape of a head: what the seed fixes for a person, and what the attributes change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceedit.portraits.attributes import Attributes, stream
from faceedit.portraits.curves import Points, mirrored, shifted

POSE, FACE, HAIR, BACKGROUND, CLOTHES, LIGHT, WORN, FRECKLES, NOISE, SKIN, BEARD = range(1, 12)

# Half widths of the face in portrait units: temple, cheekbone, jaw; and the height of the chin.
_SHAPES = {
    "oval": (0.252, 0.262, 0.196, 0.095, 0.785),
    "round": (0.262, 0.282, 0.232, 0.118, 0.775),
    "square": (0.262, 0.268, 0.245, 0.135, 0.782),
    "narrow": (0.236, 0.243, 0.178, 0.088, 0.798),
}


@dataclass(frozen=True)
class Geometry:
    """Places and sizes in portrait coordinates; `side` in function arguments is -1 (picture's left) or +1.

    Attributes:
        outline: the face's outline, points [n, 2].
        cheek: half width of the face at the height of the eyes.
        light: direction towards the light (x right, y down, z to the viewer), unit length.
    """

    outline: Points
    temple: float
    cheek: float
    jaw: float
    chin_y: float
    eye_x: float
    eye_y: float
    eye_w: float
    eye_h: float
    eye_tilt: float
    gaze: float
    brow_y: float
    brow_arch: float
    nose_y: float
    nose_w: float
    mouth_y: float
    mouth_w: float
    upper_lip: float
    lower_lip: float
    neck_w: float
    ear_scale: float
    light: tuple[float, float, float]

    def eye(self, side: int) -> tuple[float, float]:
        """Centre of an eye."""
        return 0.5 + side * self.eye_x, self.eye_y

    def ear(self, side: int) -> tuple[float, float]:
        """Centre of an ear."""
        return 0.5 + side * (self.cheek + 0.006 + 0.026 * (self.ear_scale - 1)), 0.475

    def lobe(self, side: int) -> tuple[float, float]:
        """Where an earring hangs."""
        x, y = self.ear(side)
        return x - side * 0.004, y + 0.058 * self.ear_scale


def geometry(seed: int, attributes: Attributes) -> Geometry:
    """The head of portrait `seed` with these attributes."""
    a, jitter = attributes, stream(seed, FACE).uniform(-1, 1, 16)
    temple, cheek, jaw, chin_w, chin_y = _SHAPES[a.face_shape]
    wide = 1 + 0.035 * jitter[0]
    jaw *= wide * (1 + 0.04 * jitter[1]) * {"feminine": 0.93, "masculine": 1.07, "androgynous": 1.0}[a.gender]
    temple, cheek, chin_w = temple * wide, cheek * wide, chin_w * (1 + 0.08 * jitter[2])
    chin_y += 0.01 * jitter[3]
    chin_w *= {"feminine": 0.94, "masculine": 1.1, "androgynous": 1.0}[a.gender]
    if a.chin == "pointed":
        chin_w, chin_y = chin_w * 0.52, chin_y + 0.020
    if a.chin == "double":
        chin_w *= 1.12
    half = [
        (0.0, 0.122), (temple * 0.46, 0.140), (temple * 0.80, 0.200), (temple * 0.965, 0.290), (temple * 1.005, 0.375),
        (cheek, 0.465), (cheek * 0.965, 0.560), (jaw, 0.660), (chin_w, chin_y - 0.026), (0.0, chin_y),
    ]  # fmt: skip
    lx, ly = stream(seed, LIGHT).uniform((-0.75, -0.75), (0.75, -0.25))
    light = np.array([lx, ly, 0.95])
    light /= np.linalg.norm(light)
    fem = a.gender == "feminine"
    lip = {"normal": 1.0, "full": 1.55, "thin": 0.58}[a.lips] * (1 + 0.1 * jitter[4])
    return Geometry(
        outline=mirrored(half),
        temple=temple,
        cheek=cheek,
        jaw=jaw,
        chin_y=chin_y,
        eye_x=0.117 + 0.007 * jitter[5],
        eye_y=0.447,
        eye_w=0.067 * (1 + 0.07 * jitter[6]) * (1.05 if fem else 1.0),
        eye_h=0.036
        * (1 + 0.12 * jitter[7])
        * {"young": 1.10, "middle-aged": 1.0, "old": 0.92}[a.age]
        * {"feminine": 1.08, "masculine": 0.92, "androgynous": 1.0}[a.gender],
        eye_tilt=0.10 * jitter[8] + 0.05,
        gaze=0.007 * jitter[15],
        brow_y=0.369 + 0.006 * jitter[9] + {"feminine": -0.005, "masculine": 0.008, "androgynous": 0.0}[a.gender],
        brow_arch=0.020 * (1 + 0.5 * jitter[10]),
        nose_y=0.588 + 0.008 * jitter[11],
        nose_w=0.054 * (1 + 0.12 * jitter[12]) * {"normal": 1.0, "small": 0.68, "big": 1.42}[a.nose],
        mouth_y=0.678 + 0.006 * jitter[13],
        mouth_w=0.094 * (1 + 0.09 * jitter[14]),
        upper_lip=0.017 * lip,
        lower_lip=0.024 * lip,
        neck_w=0.138 * {"feminine": 0.88, "masculine": 1.16, "androgynous": 1.0}[a.gender],
        ear_scale={"normal": 0.92, "big": 1.55}[a.ears],
        light=(float(light[0]), float(light[1]), float(light[2])),
    )


def camera_matrix(seed: int) -> NDArray[np.float64]:
    """Affine [2, 3] from portrait coordinates to the unit picture: scale +-8 %, shift +-3 %, turn +-6 degrees."""
    scale, dx, dy, turn = stream(seed, POSE).uniform((0.92, -0.03, -0.03, -6.0), (1.08, 0.03, 0.03, 6.0))
    c, s = scale * np.cos(np.deg2rad(turn)), scale * np.sin(np.deg2rad(turn))
    linear = np.array([[c, -s], [s, c]])
    middle = np.array([0.5, 0.5])
    return np.concatenate([linear, (shifted(middle, dx, dy) - linear @ middle)[:, None]], 1)
