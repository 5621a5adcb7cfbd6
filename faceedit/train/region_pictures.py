"""Portraits with the masks of their regions, as PASL's training reads them, from whichever folder holds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from faceedit.regions import REGIONS
from faceedit.train.data import PortraitCache

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Examples:
    """Some pictures and where their regions are.

    Attributes:
        images: uint8 [B, S, S, 3] sRGB.
        masks: uint8 [B, R, G, G], 255 = wholly inside.
        present: bool [B, R]; what is not there has no mask to learn from.
    """

    images: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    present: NDArray[np.bool_]


class RegionPictures(Protocol):
    """A set of portraits; `regions` names the R masks in order."""

    @property
    def regions(self) -> tuple[str, ...]:
        """Names out of `faceedit.regions.REGIONS`."""

    def __len__(self) -> int: ...

    def read(self, rows: Rows) -> Examples:
        """The portraits of these rows, int64 [B]."""


@dataclass(frozen=True)
class RenderedRegions:
    """A cache of rendered portraits: all 22 regions, and where a thing would be that a portrait does not wear."""

    cache: PortraitCache
    regions: tuple[str, ...] = REGIONS

    def __len__(self) -> int:
        return len(self.cache)

    def read(self, rows: Rows) -> Examples:
        """The portraits of these rows, int64 [B]."""
        present = np.ones((len(rows), len(self.regions)), dtype=np.bool_)
        return Examples(np.asarray(self.cache.images[rows]), np.asarray(self.cache.masks[rows]), present)
