"""Draw a portrait: picture, regions, landmarks and attributes from one seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from faceedit.errors import UsageError
from faceedit.portraits import worn
from faceedit.portraits.attributes import Attributes, sample_attributes, stream
from faceedit.portraits.backdrop import draw_background, draw_clothes, draw_collar
from faceedit.portraits.beard import draw_beard
from faceedit.portraits.canvas import Canvas, Floats
from faceedit.portraits.eyes import draw_brows, draw_eyes
from faceedit.portraits.geometry import NOISE, Geometry, camera_matrix, geometry
from faceedit.portraits.hair import Tress, draw_back_hair, draw_front_hair, hair_color, tress
from faceedit.portraits.mouth import draw_mouth, draw_nose
from faceedit.portraits.places import Places, landmarks
from faceedit.portraits.skin import draw_ears, draw_face, draw_marks, draw_neck, light_field, skin_color
from faceedit.regions import REGIONS

SMALLEST, LARGEST = 32, 2048


@dataclass(frozen=True)
class Rendered:
    """One portrait and the truth about it.

    Attributes:
        seed: the seed that it was drawn from.
        size: its width and height in pixels.
        image: uint8 [size, size, 3], sRGB.
        regions: region name -> soft mask float32 [size, size] in [0, 1].
        landmarks: name -> (x, y) in pixels; left is the picture's left.
        face_box: (x0, y0, x1, y1) in pixels, hairline to chin and ear to ear.
        attributes: what can be said about the person.
    """

    seed: int
    size: int
    image: NDArray[np.uint8]
    regions: dict[str, Floats]
    landmarks: dict[str, tuple[float, float]]
    face_box: tuple[float, float, float, float]
    attributes: Attributes


def render(
    seed: int, size: int = 256, attributes: Attributes | None = None, regions: bool | Sequence[str] = True
) -> Rendered:
    """Draw portrait `seed`. The same seed is the same person, light, pose and place at every size.

    Args:
        seed: at least 0.
        size: width and height in pixels, 32 to 2048.
        attributes: what to draw instead of the seed's own attributes.
        regions: all masks, none, or those named.

    Raises:
        UsageError: the seed or the size is out of range.
    """
    if not SMALLEST <= size <= LARGEST or seed < 0:
        raise UsageError(
            f"cannot draw portrait {seed} at {size} px", f"seeds start at 0, sizes are {SMALLEST} to {LARGEST}"
        )
    chosen = attributes or sample_attributes(seed)
    matrix, shape, hair = camera_matrix(seed), geometry(seed, chosen), tress(seed)
    canvas = Canvas(_working_size(size), matrix)
    _draw(canvas, seed, shape, hair, chosen)
    names = REGIONS if regions is True else () if regions is False else tuple(regions)
    places = Places(size, matrix, shape, hair, chosen)
    points, box = landmarks(Canvas(size, matrix), shape)
    return Rendered(seed, size, _develop(canvas, seed, size), places.masks(names), points, box, chosen)


def counterfactual(
    seed: int,
    size: int,
    field: str,
    value: str,
    attributes: Attributes | None = None,
    regions: bool | Sequence[str] = True,
) -> Rendered:
    """Portrait `seed` (or `attributes` drawn with it) with one attribute changed and all else equal.

    Raises:
        UsageError: there is no such field or value.
    """
    return render(seed, size, (attributes or sample_attributes(seed)).with_value(field, value), regions)


def _working_size(size: int) -> int:
    if size >= 512:
        return size
    return max(128, 3 * size // 2)


def _draw(canvas: Canvas, seed: int, g: Geometry, hair: Tress, a: Attributes) -> None:
    light = light_field(canvas, g)
    tone, color = skin_color(seed, a), hair_color(hair, a)
    clip: Floats | float = 1.0
    if a.hat != "none":
        u, v = canvas.grid
        room = g.temple + 0.034 + 0.34 * np.sqrt(np.maximum(v - 0.290, 0))
        clip = np.clip((room - np.abs(u - 0.5)) * 50, 0, 1) * np.clip((v - 0.13) * 40, 0, 1)
    draw_background(canvas, seed)
    draw_clothes(canvas, seed, light)
    draw_back_hair(canvas, g, hair, a, light, clip)
    draw_neck(canvas, g, tone, light, a.chin == "double")
    draw_collar(canvas, seed, g)
    worn.draw_necklace(canvas, g, a)
    draw_ears(canvas, g, tone, light)
    face = draw_face(canvas, g, tone, light, a)
    draw_marks(canvas, seed, g, face, a)
    draw_nose(canvas, g, a)
    draw_eyes(canvas, g, tone, a)
    draw_beard(canvas, seed, g, color, light, face, a)
    draw_mouth(canvas, g, tone, a)
    draw_brows(canvas, g, color, a)
    draw_front_hair(canvas, g, hair, a, light, clip)
    worn.draw_glasses(canvas, seed, g, a)
    worn.draw_hat(canvas, seed, g, light, a)
    worn.draw_earrings(canvas, g, a)


def _develop(canvas: Canvas, seed: int, size: int) -> NDArray[np.uint8]:
    rgb = canvas.rgb
    if canvas.size != size:
        rgb = cv2.resize(rgb, (size, size), interpolation=cv2.INTER_AREA)
    rng = stream(seed, NOISE)
    exposure = rng.uniform(0.96, 1.03)
    grain = rng.standard_normal((size, size, 1), dtype=np.float32) * np.float32(rng.uniform(0.002, 0.006))
    picture: NDArray[np.uint8] = (np.clip(rgb * np.float32(exposure) + grain, 0, 1) * 255 + 0.5).astype(np.uint8)
    return picture
