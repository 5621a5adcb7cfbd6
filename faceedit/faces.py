"""From a picture to the face that is edited: find, choose, and the square crop that the models see.

Faces are counted from 0 from left to right, and from top to bottom where two stand above each other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PIL import Image

from faceedit.crop import crop_mask, crop_pixels, paste_back, uncrop_mask
from faceedit.detect import Detector, drop_nested, installed_detectors, scaled
from faceedit.errors import NothingToEditError
from faceedit.request import Box, Bytes3, Face, Picture, Portrait

__all__ = [
    "choose_face",
    "crop_mask",
    "crop_pixels",
    "find_faces",
    "paste_back",
    "portrait_of",
    "uncrop_mask",
    "whole_portrait",
]

FACE_SHARE = 0.53
EYE_LINE = 0.45
MIN_FACE = 16
_EYES_IN_BOX = 0.48
_TURNED_SIZE = 320
_WHOLE_ASPECT = 1.25
_WHOLE_SHARE = 0.8


def find_faces(picture: Picture, *detectors: Detector) -> tuple[Face, ...]:
    """All faces, in the stable order in which `--face` counts them.

    Each detector is tried upright first, then, when it finds nothing, after one, three and two quarter turns, and
    there for faces that take at least a tenth of the picture. The first that finds something has the say.

    Args:
        picture: the whole picture.
        detectors: in order of preference; those on this machine by default.

    Returns:
        Faces in picture coordinates, possibly none.
    """
    for detector in detectors or installed_detectors():
        for turns in (0, 1, 3, 2):
            shrink = max(1.0, max(picture.size) / _TURNED_SIZE) if turns else 1.0
            turned = np.ascontiguousarray(np.rot90(_shrunk(picture.rgb, shrink), turns))
            upright = [scaled(face, shrink) for face in drop_nested(detector(turned))]
            faces = [_turned_back(face, turns, picture.size) for face in upright]
            faces = [face for face in faces if min(_size(face.box)) >= MIN_FACE]
            if faces:
                return tuple(sorted(faces, key=lambda face: (_centre(face.box)[0], _centre(face.box)[1])))
    return ()


def choose_face(faces: Sequence[Face], index: int | None = None) -> Face:
    """The face asked for, or the largest.

    Raises:
        NothingToEditError: no face at all, or none of that number.
    """
    if not faces:
        raise NothingToEditError(
            "no face was found in the picture", "crop it closer to a face that looks at the camera"
        )
    if index is None:
        return max(faces, key=lambda face: _size(face.box)[0] * _size(face.box)[1])
    if not 0 <= index < len(faces):
        numbers = "only face 0" if len(faces) == 1 else f"faces 0 to {len(faces) - 1}"
        raise NothingToEditError(f"there is no face {index}: {numbers} was found", "see `faceedit faces`")
    return faces[index]


def portrait_of(picture: Picture, face: Face, margin: float = 1.0) -> Portrait:
    """The square crop around a face, framed as the rendered portraits are: the face takes 53 % of the width, the eyes
    lie at 45 % of the height. A near-square picture that this crop would (nearly) fill is used whole.

    Args:
        picture: the whole picture.
        face: one of its faces.
        margin: factor on the crop's side; above 1 shows more around the face.
    """
    width, height = _upright_size(face)
    side = max(width, 0.8 * height) / FACE_SHARE * margin
    rows, columns = picture.size
    if max(rows, columns) <= _WHOLE_ASPECT * min(rows, columns) and side >= _WHOLE_SHARE * max(rows, columns):
        return whole_portrait(picture, face)
    side_px = max(round(side), MIN_FACE)
    centre_x, centre_y = _crop_centre(face, side)
    x0, y0 = round(centre_x - side_px / 2), round(centre_y - side_px / 2)
    return Portrait(picture, face, (x0, y0, x0 + side_px, y0 + side_px))


def whole_portrait(picture: Picture, face: Face | None = None) -> Portrait:
    """The whole picture as the crop, made square by repeating its edges.

    Args:
        picture: a picture that is one portrait already.
        face: where the face is; `None` places it as the rendered portraits do.
    """
    height, width = picture.size
    side = max(height, width)
    x0, y0 = (width - side) // 2, (height - side) // 2
    if face is None:
        left = x0 + side * (1 - FACE_SHARE) / 2
        face = Face((left, y0 + 0.2 * side, left + FACE_SHARE * side, y0 + 0.8 * side))
    return Portrait(picture, face, (x0, y0, x0 + side, y0 + side))


def _shrunk(rgb: Bytes3, factor: float) -> Bytes3:
    if factor == 1:
        return rgb
    size = (max(round(rgb.shape[1] / factor), 1), max(round(rgb.shape[0] / factor), 1))
    return np.array(Image.fromarray(rgb).resize(size, Image.Resampling.BOX), dtype=np.uint8)


def _crop_centre(face: Face, side: float) -> tuple[float, float]:
    """Centre of the crop, so that the eyes come to lie at `EYE_LINE` once the face is upright."""
    centre_x, centre_y = _centre(face.box)
    # "Down" on the face, after its quarter turns, points here in the picture.
    step_x, step_y = ((0, 1), (-1, 0), (0, -1), (1, 0))[face.quarter_turns % 4]
    eyes = [face.landmarks[name] for name in ("left_eye", "right_eye") if name in face.landmarks]
    if len(eyes) == 2:
        eye_x, eye_y = (eyes[0][0] + eyes[1][0]) / 2, (eyes[0][1] + eyes[1][1]) / 2
        down = step_x * (eye_x - centre_x) + step_y * (eye_y - centre_y)
    else:
        down = (_EYES_IN_BOX - 0.5) * _upright_size(face)[1]
    down += (0.5 - EYE_LINE) * side
    return centre_x + step_x * down, centre_y + step_y * down


def _turned_back(face: Face, turns: int, size: tuple[int, int]) -> Face:
    corners = [
        _point_back((face.box[0], face.box[1]), turns, size),
        _point_back((face.box[2], face.box[3]), turns, size),
    ]
    (ax, ay), (bx, by) = corners
    landmarks = {name: _point_back(point, turns, size) for name, point in face.landmarks.items()}
    return Face((min(ax, bx), min(ay, by), max(ax, bx), max(ay, by)), face.score, turns, landmarks)


def _point_back(point: tuple[float, float], turns: int, size: tuple[int, int]) -> tuple[float, float]:
    """A point of the picture turned counter-clockwise by `turns` quarters, in the picture's own coordinates."""
    height, width = size
    x, y = point
    return ((x, y), (width - y, x), (width - x, height - y), (y, height - x))[turns % 4]


def _centre(box: Box) -> tuple[float, float]:
    return (box[0] + box[2]) / 2, (box[1] + box[3]) / 2


def _size(box: Box) -> tuple[float, float]:
    return box[2] - box[0], box[3] - box[1]


def _upright_size(face: Face) -> tuple[float, float]:
    width, height = _size(face.box)
    return (height, width) if face.quarter_turns % 2 else (width, height)
