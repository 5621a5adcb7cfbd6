"""Sheets, overlays, difference maps and scores."""

from __future__ import annotations

import math

import numpy as np
import pytest

from faceedit import compare
from faceedit.errors import UsageError
from faceedit.request import Face


def noise(height: int = 40, width: int = 50, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_a_sheet_shows_every_picture_under_a_label() -> None:
    """Breaks when pictures overlap, are cut, or labels are not drawn."""
    red, blue = np.zeros((80, 40, 3), np.uint8), np.zeros((40, 40, 3), np.uint8)
    red[:, :, 0] = blue[:, :, 2] = 255
    page = compare.sheet([red, blue], ["one", "two"], height=100)
    assert (page == (255, 0, 0)).all(axis=2).sum() == 100 * 50
    assert (page == (0, 0, 255)).all(axis=2).sum() == 100 * 100
    unlabelled = compare.sheet([red, blue], ["", ""], height=100)
    assert unlabelled.shape == page.shape
    assert not np.array_equal(unlabelled, page)


def test_a_sheet_breaks_into_rows_and_refuses_odd_counts() -> None:
    """Breaks when the last row is lost."""
    pictures = [noise(seed=index) for index in range(3)]
    one, two = (compare.sheet(pictures, ["a", "b", "c"], 60, columns) for columns in (3, 2))
    assert two.shape[0] > one.shape[0]
    assert two.shape[1] < one.shape[1]
    for bad in ([], pictures[:1]):
        with pytest.raises(UsageError):
            compare.sheet(bad, ["a", "b"])


def test_an_overlay_changes_only_where_the_mask_is() -> None:
    """Breaks when the whole picture is tinted."""
    rgb = noise()
    mask = np.zeros((40, 50), np.float32)
    mask[10:20, 10:30] = 1
    drawn = compare.overlay(rgb, mask)
    assert np.array_equal(drawn[25:], rgb[25:])
    assert (drawn[12:18, 12:28] != rgb[12:18, 12:28]).any(axis=2).all()


def test_a_difference_map_is_black_exactly_where_two_pictures_agree() -> None:
    """Breaks when a change of one level is not seen, or equality is coloured."""
    a = noise()
    b = a.copy()
    b[3, 4, 1] ^= 1
    shown = compare.difference_map(a, b).any(axis=2)
    assert shown[3, 4]
    assert shown.sum() == 1
    with pytest.raises(UsageError, match="sizes"):
        compare.difference_map(a, noise(41, 50))


def test_faces_are_drawn_inside_the_picture() -> None:
    """Breaks when a box over the border fails or nothing is drawn."""
    rgb = noise(100, 100)
    drawn = compare.draw_faces(rgb, [Face((-5.0, 10.0, 60.0, 90.0), landmarks={"left_eye": (20.0, 30.0)})])
    assert drawn.shape == rgb.shape
    assert not np.array_equal(drawn, rgb)


def test_input_mask_result_has_four_pictures() -> None:
    """Breaks when one of the four is left out."""
    rgb = np.full((50, 50, 3), 90, np.uint8)
    page = compare.input_mask_result(rgb, np.zeros((50, 50), np.float32), rgb, 100)
    assert page.shape[1] > 4 * 100


def test_psnr_by_hand() -> None:
    """Breaks when the mask's zeros count in the mean, as in the reference code of PIE-Bench."""
    a = np.full((10, 10, 3), 100, np.uint8)
    b = a.copy()
    b[:5] += 10
    mask = np.zeros((10, 10), np.float32)
    mask[:5] = 1
    assert compare.psnr(a, a) == math.inf
    assert compare.psnr(a, b) == pytest.approx(10 * math.log10(255**2 / 50))
    assert compare.psnr(a, b, mask) == pytest.approx(10 * math.log10(255**2 / 100))
    assert compare.psnr(a, b, 1 - mask) == math.inf
    assert math.isnan(compare.psnr(a, b, np.zeros((10, 10), np.float32)))


def test_ssim_is_one_for_equal_pictures_and_falls_with_noise() -> None:
    """Breaks when the data range is guessed from the pictures."""
    a = np.tile(np.linspace(0, 200, 50).astype(np.uint8)[None, :, None], (40, 1, 3))
    assert compare.ssim(a, a) == pytest.approx(1)
    assert 0 < compare.ssim(a, np.clip(a + noise() // 16, 0, 255).astype(np.uint8)) < 0.95
    with pytest.raises(UsageError):
        compare.ssim(a[:10], a[:10])


def test_outside_max_abs_diff_sees_one_level_and_ignores_the_inside() -> None:
    """Breaks when uint8 subtraction wraps round, or the soft border counts as outside."""
    a = noise()
    b = a.copy()
    mask = np.zeros((40, 50), np.float32)
    mask[10:20] = 0.01
    b[12] = 255 - b[12]
    assert compare.outside_max_abs_diff(a, b, mask) == 0
    b[30, 30, 2] ^= 1
    assert compare.outside_max_abs_diff(a, b, mask) == 1
    with pytest.raises(UsageError):
        compare.outside_max_abs_diff(a, b, mask[:5])


def test_a_heat_map_dims_where_nothing_is_and_glows_where_all_is() -> None:
    """Breaks when the map covers the picture, or sure and unsure look alike."""
    rgb = np.full((8, 8, 3), 120, np.uint8)
    heat = np.zeros((8, 8), np.float32)
    heat[:, 4:] = 1
    drawn = compare.heat_map(rgb, heat).astype(int)
    assert (drawn[:, :4] > 0).all() and (drawn[:, :4] < 120).all()
    assert (drawn[:, 4:, 0] > 200).all() and drawn.shape == rgb.shape
