"""Augmentation: seeded, masks move with their pictures, nothing happens at probability 0."""

from __future__ import annotations

import dataclasses

import numpy as np

from faceedit.train.augment import AugmentSettings, augment

STEPS = ("warp", "brightness", "contrast", "hue", "blur", "motion", "resample", "noise", "jpeg")
NEVER = dataclasses.replace(AugmentSettings(), **dict.fromkeys(STEPS, 0.0))
ALWAYS = dataclasses.replace(AugmentSettings(), **dict.fromkeys(STEPS, 1.0))


def pictures() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)


def test_same_random_numbers_give_the_same_pictures() -> None:
    """Breaks when a step draws from a global generator."""
    first, _ = augment(pictures(), np.random.default_rng(3), ALWAYS)
    second, _ = augment(pictures(), np.random.default_rng(3), ALWAYS)
    assert np.array_equal(first, second)
    assert not np.array_equal(first, pictures())


def test_nothing_happens_at_probability_zero() -> None:
    """Breaks when a step ignores its probability."""
    out, _ = augment(pictures(), np.random.default_rng(3), NEVER)
    assert np.array_equal(out, pictures())


def test_every_step_alone_changes_the_picture_and_keeps_its_shape() -> None:
    """Breaks when a step is without effect or changes size or type."""
    for step in STEPS:
        out, _ = augment(pictures(), np.random.default_rng(5), dataclasses.replace(NEVER, **{step: 1.0}))
        assert out.shape == pictures().shape and out.dtype == np.uint8, step
        assert not np.array_equal(out, pictures()), step


def test_masks_of_another_size_move_with_the_picture() -> None:
    """Breaks when pixel centres are mapped differently for picture and mask."""
    images = np.zeros((8, 64, 64, 3), np.uint8)
    images[:, 20:36, 12:44] = 255
    masks = np.zeros((8, 2, 16, 16), np.uint8)
    masks[:, 1, 5:9, 3:11] = 255
    moved, warped = augment(images, np.random.default_rng(1), dataclasses.replace(NEVER, warp=1.0), masks)
    assert warped is not None and warped[:, 0].max() == 0
    reduced = moved[..., 0].reshape(8, 16, 4, 16, 4).mean((2, 4))
    assert np.abs(reduced - warped[:, 1]).mean() < 6
    assert not np.array_equal(warped, masks)
