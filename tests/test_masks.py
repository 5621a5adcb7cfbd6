"""Masks: properties that hold for every mask, and how mask files are read."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from faceedit import masks
from faceedit.errors import ImageError, NothingToEditError, UsageError
from faceedit.request import Float2

SHAPES = st.tuples(st.integers(16, 40), st.integers(16, 40))
LEVELS = st.sampled_from([0.0, 0.0, 0.0, 0.0, 0.0, 0.25, 0.5, 1.0])
MASKS = SHAPES.flatmap(lambda shape: arrays(np.float32, shape, elements=LEVELS, fill=st.just(0.0)))
PAIRS = SHAPES.flatmap(lambda shape: st.tuples(*[arrays(np.float32, shape, elements=LEVELS, fill=st.just(0.0))] * 2))
RADII = st.floats(0, 12)
quick = settings(max_examples=40, deadline=None)


def disc(size: int = 60, radius: float = 10) -> Float2:
    rows, columns = np.mgrid[0:size, 0:size] - (size - 1) / 2
    return (rows**2 + columns**2 <= radius**2).astype(np.float32)


def png(values: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    return buffer.getvalue()


@quick
@given(MASKS, RADII)
def test_dilation_grows_and_erosion_shrinks(mask: Float2, radius: float) -> None:
    """Breaks when the two are mixed up, or when a step of a large radius loses pixels."""
    grown, shrunk = masks.dilate(mask, radius), masks.erode(mask, radius)
    assert grown.dtype == shrunk.dtype == np.float32
    assert (grown >= mask).all()
    assert (shrunk <= mask).all()


@pytest.mark.parametrize("radius", [3, 8, 13, 20])
def test_a_dilated_disc_is_a_disc_of_the_summed_radius(radius: int) -> None:
    """Breaks when large radii, made of small discs, come out square or too short."""
    grown = masks.dilate(disc(100, 10), radius)
    wanted = disc(100, 10 + radius)
    assert abs(float(grown.sum()) / float(wanted.sum()) - 1) < 0.12


def test_a_radius_reaches_that_many_pixels() -> None:
    """Breaks when dilation by r moves the border by another amount."""
    mask = np.zeros((41, 41), np.float32)
    mask[20, 20] = 1
    assert masks.bounding_box(masks.dilate(mask, 11)) == (9, 9, 32, 32)


@quick
@given(MASKS)
def test_the_hull_contains_the_mask_and_is_idempotent(mask: Float2) -> None:
    """Breaks when the hull cuts corners off, or grows when applied again."""
    hull = masks.convex_hull(mask)
    assert (hull >= mask).all()
    assert np.array_equal(masks.convex_hull(hull), hull)


def test_the_hull_of_two_places_fills_what_lies_between() -> None:
    """Breaks when each place gets a hull of its own."""
    mask = np.zeros((20, 40), np.float32)
    mask[9:11, 2:4] = mask[9:11, 36:38] = 1
    assert masks.convex_hull(mask)[10, 20] == 1


@quick
@given(PAIRS)
def test_union_is_commutative_and_contains_both(pair: tuple[Float2, Float2]) -> None:
    """Breaks when the order of regions changes the mask."""
    a, b = pair
    assert np.array_equal(masks.union(a, b), masks.union(b, a))
    assert (masks.union(a, b) >= a).all()
    assert np.array_equal(masks.union(a), a)


@quick
@given(MASKS, RADII)
def test_a_feathered_mask_stays_in_range_and_near_its_shape(mask: Float2, radius: float) -> None:
    """Breaks when the ramp thins the shape, leaves [0, 1], or reaches farther than the radius."""
    soft = masks.feather(mask, radius)
    assert soft.dtype == np.float32
    assert soft.min() >= 0
    assert soft.max() <= 1
    assert (soft >= mask).all()
    far = masks.dilate((mask > 0).astype(np.float32), 2 * radius + 2) == 0
    assert (soft[far] == 0).all()


@pytest.mark.parametrize("radius", [2, 5, 16, 33])
def test_feathering_reaches_no_farther_than_its_radius_and_is_zero_beyond(radius: int) -> None:
    """Breaks when blur dust outside the ramp keeps pixels from being bit-equal."""
    mask = np.zeros((120, 120), np.float32)
    mask[50:70, 50:70] = 1
    box = masks.bounding_box(masks.feather(mask, radius))
    assert box is not None
    assert 50 - radius <= box[0] < 50
    assert 70 < box[2] <= 70 + radius


def test_the_feathered_ramp_falls_without_steps() -> None:
    """Breaks when the ramp jumps: an edge would show in the picture."""
    mask = np.zeros((100, 100), np.float32)
    mask[:, :50] = 1
    ramp = masks.feather(mask, 24)[50]
    assert (np.diff(ramp) <= 1e-6).all()
    assert np.abs(np.diff(ramp)).max() < 0.15


@quick
@given(MASKS, st.integers(1, 50), st.integers(1, 50))
def test_resizing_by_area_keeps_the_mean(mask: Float2, height: int, width: int) -> None:
    """Breaks when rows at the edge count twice, or when interpolation invents mask."""
    resized = masks.resize_area(mask, (height, width))
    assert resized.shape == (height, width)
    assert abs(float(resized.mean()) - float(mask.mean())) < 1e-5
    assert resized.min() >= mask.min() - 1e-6
    assert resized.max() <= mask.max() + 1e-6


def test_resizing_to_the_same_size_changes_nothing() -> None:
    """Breaks when the running sums leave dust."""
    mask = disc()
    assert np.array_equal(masks.resize_area(mask, mask.shape), mask)
    assert (masks.resize_area(mask, (30, 30)) == 0).any()


def test_functions_leave_their_argument_alone() -> None:
    """Breaks when a mask is changed in place."""
    mask = disc()
    before = mask.copy()
    for result in (masks.dilate(mask, 0), masks.erode(mask, 3), masks.feather(mask, 0), masks.convex_hull(mask)):
        result[:] = 7
    assert np.array_equal(mask, before)


def test_white_means_edit_and_grey_means_partly() -> None:
    """Breaks when the polarity turns round or a soft mask is made hard."""
    levels = np.tile(np.linspace(0, 255, 20).astype(np.uint8), (20, 1))
    assert np.abs(masks.load_mask(png(levels), (20, 20)) - levels / 255).max() < 1e-3


@pytest.mark.parametrize("colour", [0, 255])
def test_a_shape_that_lives_in_alpha_is_read_from_alpha(colour: int) -> None:
    """Breaks when such a file gives an empty (or full) mask silently."""
    shape = (disc(40, 9) * 255).astype(np.uint8)
    rgba = np.dstack([np.full((40, 40, 3), colour, np.uint8), shape])
    assert np.array_equal(masks.load_mask(png(rgba), (40, 40)), disc(40, 9))


def test_visible_shapes_win_over_alpha_and_transparency_is_not_edited() -> None:
    """Breaks when an opaque alpha channel hides the drawn shape, or hidden white counts."""
    shape = (disc(40, 9) * 255).astype(np.uint8)
    alpha = np.full((40, 40), 255, np.uint8)
    alpha[:20] = 0
    values = masks.load_mask(png(np.dstack([shape, shape, shape, alpha])), (40, 40))
    assert (values[:20] == 0).all()
    assert np.array_equal(values[20:], disc(40, 9)[20:])


def test_another_size_is_an_error_unless_resizing_is_asked_for() -> None:
    """Breaks when a mask is stretched silently."""
    data = png((disc(40, 9) * 255).astype(np.uint8))
    with pytest.raises(UsageError, match=r"40x40.*80x80") as caught:
        masks.load_mask(data, (80, 80))
    assert "--resize-mask" in caught.value.hint
    assert masks.load_mask(data, (80, 80), resize=True).shape == (80, 80)


def test_another_aspect_is_always_an_error() -> None:
    """Breaks when a mask of another picture is squeezed onto this one."""
    data = png((disc(40, 9) * 255).astype(np.uint8))
    with pytest.raises(UsageError, match="aspect"):
        masks.load_mask(data, (80, 84), resize=True)
    assert masks.fit(disc(400, 90), (400, 402), resize=True).shape == (400, 402)


def test_a_mask_that_cannot_be_read_says_so() -> None:
    """Breaks when the message does not tell the mask from the picture."""
    with pytest.raises(ImageError, match="mask"):
        masks.load_mask(b"rubbish", (40, 40))


def test_an_empty_mask_is_nothing_to_edit_and_a_full_one_warns() -> None:
    """Breaks when an empty mask runs through, or an inverted one goes unnoticed."""
    with pytest.raises(NothingToEditError, match="empty") as caught:
        masks.require_nonempty(np.zeros((20, 20), np.float32))
    assert caught.value.exit_code == 5
    masks.require_nonempty(disc())
    assert masks.coverage_warning(disc()) is None
    warning = masks.coverage_warning(np.ones((20, 20), np.float32))
    assert warning is not None
    assert "100%" in warning


def test_the_bounding_box_is_tight_and_none_for_an_empty_mask() -> None:
    """Breaks when the box is off by one."""
    mask = np.zeros((20, 30), np.float32)
    mask[4:9, 11:12] = 0.2
    assert masks.bounding_box(mask) == (11, 4, 12, 9)
    assert masks.bounding_box(mask, 0.5) is None
