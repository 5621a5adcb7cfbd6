"""A cache of plain drawn discs: what the loop and the objectives see, without rendering a portrait."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from faceedit.models.random import random_components
from faceedit.models.save import save_components
from faceedit.portraits.vocabulary import FIELDS
from faceedit.regions import REGIONS
from faceedit.train.data import PortraitCache

SIZE, GRID = 32, 16


def drawn_cache(count: int, seed: int = 0) -> PortraitCache:
    """`count` discs with two eyes on plain backgrounds; half of the rows are twins of the other half."""
    rng = np.random.default_rng(seed)
    images = np.empty((count, SIZE, SIZE, 3), np.uint8)
    masks = np.zeros((count, len(REGIONS), GRID, GRID), np.uint8)
    attributes = np.stack([rng.integers(0, len(values), count) for values in FIELDS.values()], 1).astype(np.int8)
    for i in range(count):
        image = np.full((SIZE, SIZE, 3), rng.integers(0, 255, 3), np.uint8)
        centre = tuple(int(c) for c in rng.integers(13, 19, 2))
        cv2.circle(image, centre, 10, tuple(int(c) for c in rng.integers(0, 255, 3)), -1, cv2.LINE_AA)
        eyes = np.zeros((SIZE, SIZE), np.uint8)
        for side in (-4, 4):
            cv2.circle(image, (centre[0] + side, centre[1] - 3), 2, (20, 20, 20), -1, cv2.LINE_AA)
            cv2.circle(eyes, (centre[0] + side, centre[1] - 3), 2, 255, -1, cv2.LINE_AA)
        images[i] = image
        masks[i, REGIONS.index("eyes")] = cv2.resize(eyes, (GRID, GRID), interpolation=cv2.INTER_AREA)
        face = cv2.circle(np.zeros((SIZE, SIZE), np.uint8), centre, 10, 255, -1, cv2.LINE_AA)
        masks[i, REGIONS.index("face_shape")] = cv2.resize(face, (GRID, GRID), interpolation=cv2.INTER_AREA)
    half = count // 2
    twin = np.concatenate([np.arange(half) + half, np.arange(half), np.full(count - 2 * half, -1)]).astype(np.int32)
    changed = np.where(twin >= 0, 0, -1).astype(np.int8)
    return PortraitCache(
        images, attributes, np.ones_like(attributes, bool), masks, np.arange(count, dtype=np.int64), twin, changed
    )


@pytest.fixture(scope="session")
def portraits() -> PortraitCache:
    return drawn_cache(64)


@pytest.fixture(scope="session")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tiny random SD 1.x parts in the layout of the published repositories."""
    folder = tmp_path_factory.mktemp("backbone")
    save_components(random_components(), folder)
    return folder
