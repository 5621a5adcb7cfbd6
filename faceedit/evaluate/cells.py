"""Which cells of an attention map lie in a region: one rule for those who train on it and those who measure it."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

INSIDE = 0.3
"""A cell counts as inside a region from this share of its area on."""

SMALLEST_SHARE = 1 / 512
"""A region that covers less of the picture has no place to point at."""


def cell_shares(regions: Tensor, side: int) -> Tensor:
    """How much of each cell's area lies in a region.

    Args:
        regions: float [K, G, G] in [0, 1].
        side: of the map.

    Returns:
        [K, side * side] in [0, 1].
    """
    return F.adaptive_avg_pool2d(regions[:, None], side).flatten(1)
