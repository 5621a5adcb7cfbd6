"""Cached arrays as the tensors that networks take."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from faceedit.regions import REGIONS


def to_tensor(images: NDArray[np.uint8]) -> Tensor:
    """uint8 [B, H, W, 3] to float32 [B, 3, H, W] in [-1, 1]."""
    values = rearrange(torch.from_numpy(np.ascontiguousarray(images)), "b h w c -> b c h w").float()
    return values.div_(127.5).sub_(1)


def to_pixels(images: Tensor) -> NDArray[np.uint8]:
    """float [B, 3, H, W] in [-1, 1] to uint8 [B, H, W, 3]."""
    pixels = ((images.float().cpu() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    return rearrange(pixels, "b c h w -> b h w c").numpy()


def region_union(masks: NDArray[np.uint8], names: Sequence[str]) -> Tensor:
    """uint8 [B, R, G, G] to the union of the named regions, float32 [B, 1, G, G] in [0, 1]."""
    chosen = masks[:, [REGIONS.index(name) for name in names]].max(1)
    return torch.from_numpy(chosen.astype(np.float32) / 255)[:, None]
