"""Region templates placed on a face: the locator that needs no model."""

from __future__ import annotations

import numpy as np

from faceedit.errors import NothingToEditError, UsageError
from faceedit.locate.frame import frame_to_picture
from faceedit.locate.shapes import HALF_SPAN, RASTER, SHAPES, region_raster
from faceedit.request import EditText, Face, Float2, Mask, Portrait


class TemplateLocator:
    """Puts the outlines of the edit's regions onto the face, by its landmarks or by its box alone."""

    def locate(self, portrait: Portrait, edit: EditText) -> Mask:
        """The union of the templates of `edit.regions`.

        Returns:
            Mask float32 [H, W] in [0, 1]; origin "template: cheeks, lips".

        Raises:
            UsageError: the edit names no region.
            NothingToEditError: the regions lie outside the picture.
        """
        if not edit.regions:
            raise UsageError("the edit names no place on the face", "give --region NAME or --mask FILE")
        values = place(edit.regions, portrait.face, portrait.picture.size)
        if not values.any():
            raise NothingToEditError(
                f"{', '.join(edit.regions)}: outside the picture", "choose another face or give --mask FILE"
            )
        return Mask(values, f"template: {', '.join(edit.regions)}")


def place(regions: tuple[str, ...], face: Face, size: tuple[int, int]) -> Float2:
    """The union of region templates on a face.

    Args:
        regions: names out of `faceedit.regions.REGIONS`.
        face: where the face is.
        size: (height, width) of the picture.

    Returns:
        float32 [H, W] in [0, 1].

    Raises:
        UsageError: there is no template of that name.
    """
    import cv2

    unknown = [region for region in regions if region not in SHAPES]
    if unknown:
        raise UsageError(f"no template of {unknown[0]!r}", f"the regions are: {', '.join(SHAPES)}")
    raster = np.maximum.reduce([region_raster(region) for region in regions])
    step = 2 * HALF_SPAN / RASTER
    raster_to_frame = np.array([[step, 0, step / 2 - HALF_SPAN], [0, step, step / 2 - HALF_SPAN], [0, 0, 1]])
    matrix = frame_to_picture(face) @ raster_to_frame - np.array([[0, 0, 0.5], [0, 0, 0.5]])
    height, width = size
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    if scale < 1:  # warping samples points, so a raster finer than the picture is averaged first
        raster = cv2.GaussianBlur(raster, (0, 0), 0.5 / scale)
    placed = cv2.warpAffine(raster, matrix, (width, height), flags=cv2.INTER_LINEAR)
    return np.asarray(np.clip(placed, 0.0, 1.0), dtype=np.float32)
