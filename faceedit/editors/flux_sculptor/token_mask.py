"""A pixel mask on the grid of image tokens: M of Flux-Sculptor eqs 13 and 15."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange, repeat
from torch import Tensor
from torch.nn import functional

from faceedit.models.flux import pack
from faceedit.samplers.blended import latent_mask


@dataclass(frozen=True)
class TokenMask:
    """1 = edit.

    Attributes:
        values: float32 [1, L, 1], for attention values.
        latents: float32 [1, L, 1] or, finer than a token, [1, L, 4C], for packed latents.
        grid: float32 [rows, columns], `values` as a picture.
    """

    values: Tensor
    latents: Tensor
    grid: Tensor


def token_mask(mask: Tensor, size: tuple[int, int], channels: int, options: Any) -> TokenMask:
    """The mask as the recipe's `flux_sculptor` section wants it; tokens are in the order of the packed latents.

    Args:
        mask: float32 [1, 1, S, S] in [0, 1], not empty; S a multiple of the rows and of the columns.
        size: rows and columns of tokens.
        channels: C of the latents.
        options: uses `mask`, `mask_threshold`, `mask_dilate` and `mask_grid`.
    """
    grid = _on_grid(mask, size, options, cells=1)
    values = rearrange(grid, "1 1 h w -> 1 (h w) 1")
    if options.mask_grid == "token":
        return TokenMask(values, values, grid[0, 0])
    fine = _on_grid(mask, (2 * size[0], 2 * size[1]), options, cells=2)
    return TokenMask(values, pack(repeat(fine, "1 1 h w -> 1 c h w", c=channels)), grid[0, 0])


def _on_grid(mask: Tensor, size: tuple[int, int], options: Any, cells: int) -> Tensor:
    """Mean over each cell, or a yes or no, grown by tokens of so many cells."""
    if options.mask == "whole":
        return torch.zeros((1, 1, *size), device=mask.device)
    hard = options.mask == "hard"
    found = latent_mask(mask, size, options.mask_threshold) if hard else functional.adaptive_avg_pool2d(mask, size)
    reach = options.mask_dilate * cells
    return functional.max_pool2d(found, 2 * reach + 1, stride=1, padding=reach) if reach else found
