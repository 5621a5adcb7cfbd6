"""The masks of a Text2Mask folder laid over its pictures, to be looked at."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from faceedit.compare import overlay, sheet
from faceedit.request import Bytes3
from faceedit.text2mask.form import Text2Mask

_HEIGHT = 176


def region_sheet(data: Text2Mask, indices: Sequence[int]) -> Bytes3:
    """Every mask of some pictures, two rows for each, labelled with its region, "-" before those that are not good.

    Returns:
        uint8 [h, w, 3].

    Raises:
        ImageError: a picture or its masks cannot be read.
        UsageError: no index is given.
    """
    tiles, labels = [], []
    for index in indices:
        picture, present = data.picture(index), data.present(index)
        for region, mask, good in zip(data.regions, data.masks(index), present, strict=True):
            large = cv2.resize(mask, (data.size, data.size), interpolation=cv2.INTER_LINEAR)
            tiles.append(overlay(picture, (large / 255).astype(np.float32)))
            labels.append(region if good else f"- {region}")
    return sheet(tiles, labels, _HEIGHT, -(-len(data.regions) // 2))
