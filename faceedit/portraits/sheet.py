"""Contact sheets of portraits."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from faceedit.portraits.render import render


def contact_sheet(seeds: Iterable[int], columns: int = 8, size: int = 256) -> NDArray[np.uint8]:
    """Portraits of `seeds` row by row, uint8 [rows * size, columns * size, 3]; gaps at the end stay white."""
    pictures = [render(seed, size, regions=False).image for seed in seeds]
    rows = -(-len(pictures) // columns)
    sheet = np.full((rows * size, columns * size, 3), 255, np.uint8)
    for index, picture in enumerate(pictures):
        y, x = divmod(index, columns)
        sheet[y * size : (y + 1) * size, x * size : (x + 1) * size] = picture
    return sheet
