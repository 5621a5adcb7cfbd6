"""Keeping the low frequencies of latents: the filter of CA-Edit eqs 9 and 15."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Band:
    """Frequencies that a filter lets through.

    Attributes:
        keep: bool [h, w], in the order of an unshifted FFT.
        real: whether filtered latents are real: with every frequency the band holds its conjugate.
    """

    keep: Tensor
    real: bool


def centred_band(size: tuple[int, int], radius: float = 0.25) -> Band:
    """Frequencies below `radius` cycles per cell on either axis, the mean among them.

    At 0.25 these are H/4 < h < 3H/4 and W/4 < w < 3W/4 of the shifted FFT: 31 x 31 of 64 x 64.

    Args:
        size: (h, w) of the latents, odd or even.
        radius: in (0, 0.5].
    """
    rows, columns = (_distance(n) < radius * n for n in size)
    return Band(rows[:, None] & columns[None, :], real=True)


def quadrant_band(size: tuple[int, int]) -> Band:
    """The band as the paper prints it, H/2 < h < 3H/4 and W/2 < w < 3W/4 of the shifted FFT; kept for audit only.

    One quadrant, without the mean and without conjugates: what it lets through is complex.
    """
    rows, columns = ((n / 2 < torch.arange(n)) & (torch.arange(n) < 3 * n / 4) for n in size)
    return Band(torch.fft.ifftshift(rows[:, None] & columns[None, :]), real=False)


def low_pass(x: Tensor, band: Band) -> Tensor:
    """x' = IFFT(FFT(x) ⊙ band): an orthogonal projection, hence idempotent and its own adjoint.

    Args:
        x: float32 or complex64 [..., h, w].
        band: of the same size.

    Returns:
        float32 [..., h, w] for real `x` and a real band, else complex64.
    """
    filtered: Tensor = torch.fft.ifft2(torch.fft.fft2(x) * band.keep.to(x.device))
    return filtered.real if band.real and not x.is_complex() else filtered


def _distance(n: int) -> Tensor:
    """|k| of the n frequencies of an unshifted FFT, int64 [n]."""
    k = torch.arange(n)
    return torch.minimum(k, n - k)
