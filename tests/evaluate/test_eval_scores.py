"""The scores on arrays small enough to work out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceedit.evaluate import scores


def flat(value: int, side: int = 16) -> np.ndarray:
    return np.full((side, side, 3), value, dtype=np.uint8)


def half_mask(side: int = 16) -> np.ndarray:
    mask = np.zeros((side, side), dtype=np.float32)
    mask[:, : side // 2] = 1
    return mask


def test_masked_mse_averages_over_masked_pixels_only() -> None:
    """Breaks when the error outside leaks in, or when the mean is taken over the whole frame."""
    a, b = flat(0), flat(0)
    b[:, :8] = 51
    b[:, 8:] = 255
    assert scores.inside_mse(a, b, half_mask()) == pytest.approx(0.2**2)
    assert scores.psnr_db(0.2**2) == pytest.approx(13.9794, abs=1e-4)


def test_whole_frame_averaging_would_give_another_figure() -> None:
    """Breaks when masked PSNR becomes PnPInversion's: half the frame masked makes that one 3.01 dB higher."""
    a, b, mask = flat(0), flat(51), half_mask()
    masked = np.stack([mask] * 3, axis=2)
    whole = scores.psnr_db(float(np.mean(((a * masked - b * masked) / 255) ** 2)))
    assert whole - scores.psnr_db(scores.inside_mse(a, b, mask)) == pytest.approx(10 * math.log10(2), abs=1e-6)


def test_psnr_agrees_with_scikit_image() -> None:
    """Breaks when the data range or the logarithm is wrong."""
    from skimage.metrics import peak_signal_noise_ratio

    rng = np.random.default_rng(0)
    a, b = (rng.integers(0, 256, (16, 16, 3), dtype=np.uint8) for _ in range(2))
    ours = scores.psnr_db(scores.inside_mse(a, b, np.ones((16, 16), dtype=np.float32)))
    assert ours == pytest.approx(peak_signal_noise_ratio(a, b, data_range=255), abs=1e-6)


def test_identical_pictures_score_the_cap_and_stay_finite() -> None:
    """Breaks when a perfect edit turns means and JSON infinite."""
    assert scores.psnr_db(0.0) == scores.PSNR_CAP_DB


@given(st.floats(1e-9, 1.0), st.floats(1e-9, 1.0))
def test_psnr_falls_as_the_error_grows(a: float, b: float) -> None:
    """Breaks when a larger error could score better."""
    assert (scores.psnr_db(a) >= scores.psnr_db(b)) == (a <= b) or math.isclose(a, b, rel_tol=1e-9)


def test_a_single_changed_pixel_outside_is_found() -> None:
    """Breaks when the outside is averaged, taken modulo 256, or read where the mask is soft."""
    before, after, mask = flat(250), flat(250), half_mask()
    mask[:, 8] = 0.01
    after[:, :9] = 0
    assert scores.outside_max_abs_diff(before, after, mask) == 0
    after[3, 15, 2] = 253
    assert scores.outside_max_abs_diff(before, after, mask) == 3
    assert scores.outside_max_abs_diff(before, after, np.ones((16, 16), dtype=np.float32)) == 0


def test_ssim_outside() -> None:
    """Breaks when an untouched outside far from the seam scores below 1, or a full mask does not give None."""
    rng = np.random.default_rng(1)
    before = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    mask = half_mask(32)
    assert scores.outside_ssim(before, before, mask) == pytest.approx(1.0)
    noisy = rng.integers(0, 256, (32, 32, 3), dtype=np.uint8)
    assert scores.outside_ssim(before, noisy, mask) < 0.2
    assert scores.outside_ssim(before, before, np.ones((32, 32), dtype=np.float32)) is None


def test_change_inside_and_visible_change() -> None:
    """Breaks when a mask that misses half of the change goes unnoticed."""
    before, truth = flat(0), flat(0)
    truth[:4] = 100
    assert scores.change_inside(before, truth, half_mask()) == pytest.approx(0.5)
    assert scores.change_inside(before, before, half_mask()) == 1.0
    truth[8:, :, 1] = scores.VISIBLE_LEVELS - 1
    assert scores.visible_change(before, truth) == pytest.approx(0.25)


BEFORE = {"beard": "none", "mustache": "yes", "glasses": "none", "cheeks": "plain"}
TRUTH = {"beard": "full", "mustache": "no", "glasses": "none", "cheeks": "plain"}


def test_fields_that_the_truth_changes_need_not_be_kept() -> None:
    """Breaks when an edit is blamed for a moustache that the wanted beard hides, or praised for the edited field."""
    assert scores.fields_to_keep(BEFORE, TRUTH, "beard") == ("glasses", "cheeks")


def test_kept_and_reached() -> None:
    """Breaks when a lost attribute does not lower the share."""
    edited = {"beard": "full", "mustache": "no", "glasses": "sunglasses", "cheeks": "plain"}
    assert scores.reached(edited, "beard", "full")
    assert not scores.reached(edited, "beard", "goatee")
    assert scores.kept(edited, BEFORE, ("glasses", "cheeks")) == 0.5
    assert scores.kept(edited, BEFORE, ()) is None


def unit(*values: float) -> np.ndarray:
    vector = np.array(values, dtype=np.float32)
    return vector / np.linalg.norm(vector)


def test_clip_scores() -> None:
    """Breaks when the scale is not 100 x cosine, the direction turns, or an undefined one becomes a number."""
    x, y, z = unit(1, 0, 0), unit(0, 1, 0), unit(0, 0, 1)
    assert scores.clip_score(x, unit(1, 1, 0)) == pytest.approx(70.7107, abs=1e-3)
    assert scores.directional_clip(x, y, x, y) == pytest.approx(1.0)
    assert scores.directional_clip(y, x, x, y) == pytest.approx(-1.0)
    assert scores.directional_clip(x, y, x, z) == pytest.approx(0.5)
    assert scores.directional_clip(x, x, x, y) is None
    assert scores.directional_clip(x, y, z, z) is None


def test_mean_leaves_out_what_is_undefined() -> None:
    """Breaks when an undefined score counts as 0."""
    assert scores.mean([1.0, None, 3.0]) == 2.0
    assert scores.mean([None]) is None
