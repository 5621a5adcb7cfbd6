"""Rough masks: never empty, in [0, 1], still over their region, and the same from the same random numbers."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from faceedit.train.edit_masks import bezier_blob, enlarged, eroded, roughened
from faceedit.train.settings import MaskSettings

WAYS = ("exact", "eroded", "dilated", "hull", "bezier")
ONLY = {way: dataclasses.replace(MaskSettings(), **{other: float(other == way) for other in WAYS}) for way in WAYS}

regions = hnp.arrays(np.bool_, st.tuples(st.integers(12, 40), st.integers(12, 40))).filter(np.any)
seeds = st.integers(0, 2**32 - 1)


@given(regions, seeds, st.sampled_from(WAYS))
def test_rough_mask_is_a_mask_over_its_region(region: np.ndarray, seed: int, way: str) -> None:
    """Breaks when a way empties the mask, leaves [0, 1], leaves the region, or draws from other random numbers."""
    mask = region.astype(np.float32)
    rough = roughened(mask, np.random.default_rng(seed), ONLY[way])
    assert rough.shape == mask.shape
    assert rough.dtype == np.float32
    assert rough.min() >= 0
    assert rough.max() == 1
    assert bool((rough[region] > 0).any())
    if way == "eroded":
        assert bool((rough <= mask).all())
    else:
        assert bool((rough >= mask).all())
    assert np.array_equal(rough, roughened(mask, np.random.default_rng(seed), ONLY[way]))


@given(regions, st.floats(0, 30))
def test_erosion_leaves_something(region: np.ndarray, radius: float) -> None:
    """Breaks when eyes or earrings of a few pixels vanish, and nothing is trained."""
    left = eroded(region.astype(np.float32), radius)
    assert left.max() == 1
    assert bool((left <= region).all())


@given(seeds, st.floats(0, 1))
def test_blob_stands_around_the_box(seed: int, bulge: float) -> None:
    """Breaks when a curve cuts into the box, or runs farther off it than the bulge allows."""
    mask = np.zeros((64, 64), np.float32)
    mask[24:36, 20:44] = 1
    mask[28:32, 26:38] = 0
    blob = bezier_blob(mask, np.random.default_rng(seed), bulge)
    assert bool((blob[24:36, 20:44] == 1).all())
    ys, xs = np.nonzero(blob)
    # A quadratic curve comes at most half as far as its control point.
    reach = bulge * 24 / 2 + 1
    assert ys.min() >= 24 - reach
    assert ys.max() <= 35 + reach
    assert xs.min() >= 20 - reach
    assert xs.max() <= 43 + reach


@given(hnp.arrays(np.uint8, (16, 16)).filter(lambda a: a.any()))
def test_enlarged_region_is_hard_and_not_empty(shares: np.ndarray) -> None:
    """Breaks when a thin region that fills no cell half, as an earring, is lost on its way to the picture's size."""
    mask = enlarged(shares.astype(np.float32) / 255, 64)
    assert set(np.unique(mask)) <= {0.0, 1.0}
    assert mask.any()


def test_ways_come_as_often_as_said() -> None:
    """Breaks when a share in the settings belongs to another way."""
    mask = np.zeros((64, 64), np.float32)
    mask[20:30, 20:30] = mask[30:40, 30:40] = 1
    settings = MaskSettings(exact=0.5, eroded=0, dilated=0, hull=0.5, bezier=0)
    found = [float(roughened(mask, np.random.default_rng(i), settings).sum()) for i in range(300)]
    assert len(set(found)) == 2
    assert np.mean([area == mask.sum() for area in found]) == pytest.approx(0.5, abs=0.1)
