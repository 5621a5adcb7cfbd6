"""Small pictures in every container, for the tests of reading and writing."""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
from PIL import Image

from faceedit.colour import srgb_profile

LOSSLESS = ("PNG", "WEBP", "TIFF")
FORMATS = (*LOSSLESS, "JPEG")


def pixels(height: int = 40, width: int = 56, seed: int = 0) -> np.ndarray:
    """Smooth, asymmetric colours, so that a turn, a flip and a channel swap all show."""
    rows, columns = np.mgrid[0:height, 0:width]
    red = rows * 255 // height
    green = columns * 255 // width
    blue = (rows + 2 * columns + seed) % 200
    return np.stack([red, green, blue], axis=-1).astype(np.uint8)


def encoded(image: Image.Image, container: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, container, **({"lossless": True} if container == "WEBP" else {}) | options)
    return buffer.getvalue()


def wide_gamut() -> bytes:
    """An RGB profile whose red and green primaries are exchanged: every colour moves visibly."""
    raw = bytearray(srgb_profile())
    count = struct.unpack(">I", raw[128:132])[0]
    entries = {bytes(raw[132 + 12 * i : 136 + 12 * i]): 132 + 12 * i for i in range(count)}
    red, green = entries[b"rXYZ"], entries[b"gXYZ"]
    raw[red + 4 : red + 12], raw[green + 4 : green + 12] = raw[green + 4 : green + 12], raw[red + 4 : red + 12]
    return bytes(raw)
