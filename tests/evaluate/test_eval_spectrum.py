"""Cumulative amplitude difference: what it is on pictures whose spectrum is known."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from faceedit.evaluate.spectrum import cumulative_amplitude_difference

WHOLE = np.ones((64, 64), dtype=np.float32)


def wave(cycles: int, height: float, mean: float = 128.0) -> np.ndarray:
    x = mean + height * np.cos(2 * np.pi * cycles * np.arange(64) / 64)
    return np.repeat(np.tile(np.rint(x), (64, 1))[..., None], 3, axis=2).astype(np.uint8)


@given(st.integers(0, 100))
def test_no_edit_no_difference(seed: int) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    assert not cumulative_amplitude_difference(picture, picture, WHOLE).any()


def test_a_wave_counts_from_its_own_radius_on() -> None:
    """Breaks when the radius is off by one, or the curve is not cumulative."""
    flat = np.full((64, 64, 3), 128, dtype=np.uint8)
    curve = cumulative_amplitude_difference(flat, wave(10, 60), WHOLE)
    assert curve.shape == (33,)
    assert np.abs(curve[:10]).max() < 0.01
    # A cosine of height h has two lines of h / 2, against the mean's one of 128.
    assert np.abs(curve[10:20] - 60 / 128).max() < 0.02


def test_light_is_radius_zero_and_the_sign_tells_gain_from_loss() -> None:
    """Breaks when the difference loses its sign: a seam that is too bright and one too dark must differ."""
    darker, lighter = (np.full((64, 64, 3), level, dtype=np.uint8) for level in (100, 150))
    assert np.allclose(cumulative_amplitude_difference(darker, lighter, WHOLE), 0.5)
    assert np.allclose(cumulative_amplitude_difference(lighter, darker, WHOLE), -1 / 3)


def test_what_lies_outside_the_mask_does_not_count() -> None:
    mask = np.zeros((64, 64), dtype=np.float32)
    mask[20:40, 20:40] = 1
    draw = np.random.default_rng(0)
    first, other = (draw.integers(0, 256, (64, 64, 3), dtype=np.uint8) for _ in range(2))
    edited = np.where(mask[..., None] > 0, first, other)
    assert not cumulative_amplitude_difference(first, edited, mask).any()
    assert cumulative_amplitude_difference(first, other, mask).any()
