"""Cumulative amplitude difference over the frequency radius (CA-Edit figure 7)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from faceedit.request import Bytes3, Float2

Curve = NDArray[np.float64]

# Rec. 601, as OpenCV turns RGB into grey.
LUMA = np.array([0.299, 0.587, 0.114])


def cumulative_amplitude_difference(original: Bytes3, edited: Bytes3, mask: Float2) -> Curve:
    """How much amplitude an edit has gained (above 0) or lost up to each frequency radius, as a share of all of it.

    CAD(r) = Σ_{|k| ≤ r} (|F(edited)(k)| - |F(original)(k)|) / Σ_k |F(original)(k)|, F being the Fourier transform of
    the luma inside the mask, 0 elsewhere. The paper gives no formula; this is the plainest reading of its caption.

    Args:
        original: uint8 [S, S, 3].
        edited: the same shape.
        mask: float32 [S, S]; inside is where it is above 0, and somewhere it is.

    Returns:
        float64 [S // 2 + 1]; entry r is in cycles per picture. Corners beyond S / 2 are left out.
    """
    before, after = (_amplitude(picture, mask) for picture in (original, edited))
    side = len(before)
    k = np.fft.fftfreq(side, 1 / side)
    radius = np.ceil(np.hypot(k[:, None], k[None, :])).astype(int)
    gained = np.bincount(radius.ravel(), (after - before).ravel())
    curve: Curve = np.cumsum(gained)[: side // 2 + 1] / before.sum()
    return curve


def _amplitude(picture: Bytes3, mask: Float2) -> NDArray[np.float64]:
    luma = picture.astype(np.float64) @ LUMA / 255
    amplitude: NDArray[np.float64] = np.abs(np.fft.fft2(np.where(mask > 0, luma, 0)))
    return amplitude
