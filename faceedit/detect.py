"""Face detectors: embedded ones that are always there, and YuNet for when its weights are.

A detector takes an upright uint8 [H, W, 3] sRGB picture and gives the upright faces in it; turning, ordering and
choosing are the business of `faceedit.faces`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from faceedit.errors import WeightsError
from faceedit.request import Box, Bytes3, Face
from faceedit.template import template_detector

Boxes = NDArray[np.float64]

MIN_VOTES = 12
MIN_TEMPLATE_SCORE = 0.2
_MIN_WINDOW = 30
_COARSE, _FINE = 512, 1024
_WORTH_A_FINE_SEARCH = 0.7
_TIGHT_PADDING = 0.25
_OVERLAP = 0.4
# The cascade's window holds brows to mouth. In shares of its side: the face's box, and the mean face's landmarks.
_BOX = (-0.02, -0.12, 1.02, 1.07)
_MEAN_FACE = {
    "left_eye": (0.29, 0.37),
    "right_eye": (0.73, 0.37),
    "nose_tip": (0.50, 0.62),
    "mouth_left": (0.32, 0.80),
    "mouth_right": (0.69, 0.80),
}


class Detector(Protocol):
    """Anything that finds upright faces."""

    def __call__(self, rgb: Bytes3) -> list[Face]:
        """Faces in an uint8 [H, W, 3] sRGB picture, boxes in its pixels, no order promised."""
        ...


def portrait_detector(rgb: Bytes3) -> list[Face]:
    """The one face of a picture that is a (drawn) portrait, where the template is sure; see `faceedit.template`."""
    return [face for face in template_detector(rgb) if face.score >= MIN_TEMPLATE_SCORE]


def lbp_detector(rgb: Bytes3) -> list[Face]:
    """Faces by the multi-block LBP cascade that ships inside scikit-image (Zhang et al. 2007).

    Every window of a fine scale pyramid votes; windows that overlap are one face, and its votes are its score. A
    face collects 20 and more, a chance likeness under 10, so `MIN_VOTES` stands between. Pictures are searched at 512
    pixels; when nothing is found, once more with padding (for a face that fills the frame), and for small faces at
    1024 pixels. Landmarks are the mean face's, placed by the box.
    """
    grey = _grey(rgb, _COARSE)
    found = _lbp_faces(grey, 0, (_MIN_WINDOW, max(grey.shape)))
    if not found:
        padding = round(_TIGHT_PADDING * min(grey.shape))
        found = _lbp_faces(np.pad(grey, padding, mode="edge"), padding, (min(grey.shape) // 2, max(grey.shape)))
    scale = max(grey.shape) / max(rgb.shape[:2])
    if not found and scale < _WORTH_A_FINE_SEARCH:
        fine = _grey(rgb, _FINE)
        found = _lbp_faces(fine, 0, (_MIN_WINDOW, round(1.3 * _MIN_WINDOW * _FINE / _COARSE)))
        scale = max(fine.shape) / max(rgb.shape[:2])
    return [scaled(face, 1 / scale) for face in found]


EMBEDDED: tuple[Detector, ...] = (portrait_detector, lbp_detector)
"""What is there without any download, in the order in which it is asked."""


def installed_detectors() -> tuple[Detector, ...]:
    """The embedded detectors, with YuNet before the cascade where `face_detection_yunet*.onnx` lies in the user's
    data folder for faceedit (`faceedit doctor` prints it)."""
    found = sorted(yunet_folder().glob("face_detection_yunet*.onnx"))
    return (portrait_detector, yunet_detector(found[-1]), lbp_detector) if found else EMBEDDED


def yunet_folder() -> Path:
    """Where YuNet's ONNX file is looked for; OpenCV 5 wants the file of 2026may, OpenCV 4 that of 2023mar."""
    from platformdirs import user_data_path

    return user_data_path("faceedit", appauthor=False)


def yunet_detector(weights: Path, min_score: float = 0.6) -> Detector:
    """YuNet (Wu et al. 2023) through OpenCV, with five landmarks per face.

    Args:
        weights: `face_detection_yunet_2026may.onnx` for OpenCV 5, `face_detection_yunet_2023mar.onnx` for OpenCV 4.
        min_score: confidence from which a face counts.

    Raises:
        WeightsError: the file is missing, or OpenCV does not take it.
    """
    import cv2

    if not weights.is_file():
        raise WeightsError(f"YuNet weights are missing: {weights.name}", "faceedit weights list says where they belong")

    def detect(rgb: Bytes3) -> list[Face]:
        scale = min(1.0, _FINE / max(rgb.shape[:2]))
        size = (round(rgb.shape[1] * scale), round(rgb.shape[0] * scale))
        small = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA) if scale < 1 else rgb
        try:
            network = cv2.FaceDetectorYN.create(str(weights), "", size, min_score, 0.3, 100)
            _, rows = network.detect(np.ascontiguousarray(small[:, :, ::-1]))
        except cv2.error as error:
            raise WeightsError(
                f"OpenCV {cv2.__version__} does not take {weights.name}",
                "OpenCV 5 wants the 2026may file, OpenCV 4 the 2023mar file",
            ) from error
        return [_yunet_face(row / scale, float(row[14])) for row in (rows if rows is not None else ())]

    return detect


def merge(boxes: Boxes, overlap: float) -> list[tuple[Boxes, int]]:
    """Group boxes that overlap, greedily from the one with most neighbours.

    Args:
        boxes: float [N, 4] as (x0, y0, x1, y1).
        overlap: intersection over union from which two boxes are one.

    Returns:
        (mean box, number of members) for every group.
    """
    groups = []
    while len(boxes):
        near = _overlaps(boxes) > overlap
        chosen = near[int(near.sum(axis=1).argmax())]
        groups.append((boxes[chosen].mean(axis=0), int(chosen.sum())))
        boxes = boxes[~chosen]
    return groups


def drop_nested(faces: Sequence[Face]) -> list[Face]:
    """Keep the stronger of two faces of which one lies (mostly) within the other."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.score):
        if all(_share_within(face.box, other.box) < 0.5 for other in kept):
            kept.append(face)
    return kept


def scaled(face: Face, factor: float) -> Face:
    """The same face in a picture `factor` times as large."""
    x0, y0, x1, y1 = (value * factor for value in face.box)
    points = {name: (x * factor, y * factor) for name, (x, y) in face.landmarks.items()}
    return Face((x0, y0, x1, y1), face.score, face.quarter_turns, points)


@lru_cache(maxsize=1)
def _cascade() -> Any:
    from skimage.data import lbp_frontal_face_cascade_filename
    from skimage.feature import Cascade

    return Cascade(lbp_frontal_face_cascade_filename())


def _grey(rgb: Bytes3, limit: int) -> NDArray[np.uint8]:
    from PIL import Image

    grey = Image.fromarray(rgb).convert("L")
    scale = min(1.0, limit / max(grey.size))
    if scale < 1:
        grey = grey.resize((round(grey.width * scale), round(grey.height * scale)), Image.Resampling.BOX)
    return np.asarray(grey)


def _lbp_faces(grey: NDArray[np.uint8], padding: int, sides: tuple[int, int]) -> list[Face]:
    """Faces with windows of these sides in a padded grey picture, in coordinates of the picture without padding."""
    if min(grey.shape) <= sides[0]:
        return []
    # A merging threshold above 1 is never met, so that every single window comes back.
    found = _cascade().detect_multi_scale(
        grey,
        scale_factor=1.1,
        step_ratio=1,
        min_size=(sides[0], sides[0]),
        max_size=(sides[1], sides[1]),
        min_neighbor_number=0,
        intersection_score_threshold=2.0,
    )
    corners = [(w["c"], w["r"], w["c"] + w["width"], w["r"] + w["height"]) for w in found]
    windows = np.array(corners, dtype=np.float64).reshape(-1, 4) - padding
    return [_lbp_face(box, votes) for box, votes in merge(windows, _OVERLAP) if votes >= MIN_VOTES]


def _lbp_face(window: Boxes, votes: int) -> Face:
    x, y, side = float(window[0]), float(window[1]), float(window[2] - window[0])
    left, top, right, bottom = _BOX
    points = {name: (x + across * side, y + down * side) for name, (across, down) in _MEAN_FACE.items()}
    return Face((x + left * side, y + top * side, x + right * side, y + bottom * side), float(votes), 0, points)


def _overlaps(boxes: Boxes) -> Boxes:
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=2)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return np.asarray(shared / (area[:, None] + area[None] - shared))


def _share_within(box: Box, other: Box) -> float:
    width = min(box[2], other[2]) - max(box[0], other[0])
    height = min(box[3], other[3]) - max(box[1], other[1])
    area = min((box[2] - box[0]) * (box[3] - box[1]), (other[2] - other[0]) * (other[3] - other[1]))
    return max(width, 0.0) * max(height, 0.0) / area


def _yunet_face(row: NDArray[np.float32], score: float) -> Face:
    # YuNet counts the eyes and mouth corners from the person's right, which is the picture's left.
    names = ("left_eye", "right_eye", "nose_tip", "mouth_left", "mouth_right")
    points = {name: (float(row[4 + 2 * i]), float(row[5 + 2 * i])) for i, name in enumerate(names)}
    x, y, width, height = (float(value) for value in row[:4])
    return Face((x, y, x + width, y + height), score, 0, points)
