"""The upright face frame that region templates live in, and where it lies in a picture.

In the frame the eyes are at (-0.5, 0) and (0.5, 0) and the middle of the mouth is at (0, 1): x counts eye distances
from the midline, y counts eye-to-mouth distances down from the eye line.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceedit.request import Face

# Where the eyes lie in a face box, and how large the frame's units are in it.
EYE_LINE_IN_BOX = 0.395
EYE_DISTANCE_IN_BOX = 0.404
EYE_TO_MOUTH_IN_BOX = 0.411

Matrix = NDArray[np.float64]

_DOWN = ((0.0, 1.0), (-1.0, 0.0), (0.0, -1.0), (1.0, 0.0))
_RIGHT = ((1.0, 0.0), (0.0, 1.0), (-1.0, 0.0), (0.0, -1.0))


def frame_to_picture(face: Face) -> Matrix:
    """Affine map from frame coordinates to picture pixels, by eyes and mouth where they are known, else by the box.

    Returns:
        float64 [2, 3]; columns are the pixel steps of one frame unit right, one down, and the point between the eyes.
    """
    right = np.array(_RIGHT[face.quarter_turns % 4])
    down = np.array(_DOWN[face.quarter_turns % 4])
    points = {name: np.array(point, dtype=np.float64) for name, point in face.landmarks.items()}
    if "left_eye" in points and "right_eye" in points:
        eyes = sorted((points["left_eye"], points["right_eye"]), key=lambda point: float(point @ right))
        middle, across = (eyes[0] + eyes[1]) / 2, eyes[1] - eyes[0]
        if "mouth_left" in points and "mouth_right" in points:
            along = (points["mouth_left"] + points["mouth_right"]) / 2 - middle
        else:
            along = np.array([-across[1], across[0]])
        area = across[0] * along[1] - across[1] * along[0]
        if area > 0.25 * float(across @ across):
            return np.stack([across, along, middle], axis=1)
    x0, y0, x1, y1 = face.box
    width, height = (y1 - y0, x1 - x0) if face.quarter_turns % 2 else (x1 - x0, y1 - y0)
    centre = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
    eye_middle = centre + down * (EYE_LINE_IN_BOX - 0.5) * height
    return np.stack([right * width * EYE_DISTANCE_IN_BOX, down * height * EYE_TO_MOUTH_IN_BOX, eye_middle], axis=1)
