"""Portraits with the masks of their regions, as PASL's training reads them, from whichever folder holds them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from faceedit.errors import UsageError
from faceedit.models.pasl import CELL
from faceedit.regions import REGIONS
from faceedit.text2mask.form import Text2Mask
from faceedit.train.data import PortraitCache
from faceedit.train.settings import DataSettings

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


@dataclass(frozen=True)
class FolderRegions:
    """Some samples of a Text2Mask folder; masks that it does not vouch for count as absent."""

    folder: Text2Mask
    samples: Rows

    @property
    def regions(self) -> tuple[str, ...]:
        """The folder's regions, in the order of its masks."""
        return self.folder.regions

    def __len__(self) -> int:
        return len(self.samples)

    def read(self, rows: Rows) -> Examples:
        """The portraits of these rows, int64 [B]."""
        chosen = [int(self.samples[row]) for row in rows]
        return Examples(
            np.stack([self.folder.picture(i) for i in chosen]),
            np.stack([self.folder.masks(i) for i in chosen]),
            np.stack([self.folder.present(i) for i in chosen]),
        )


def split_folder(folder: Text2Mask, data: DataSettings) -> tuple[FolderRegions, FolderRegions]:
    """The first samples of a folder for training, the last (`data.validation_count`, a tenth at most) for validation.

    Raises:
        UsageError: its pictures have another size than the recipe says, its masks another than an eighth of that or a
            multiple of it, or it holds fewer than two samples.
    """
    if folder.size != data.size or folder.grid % (folder.size // CELL):
        raise UsageError(
            f"{folder.path} holds pictures of {folder.size} px with masks of {folder.grid}",
            f"set data.size={folder.size}; the masks' side must be a multiple of an eighth of it",
        )
    if len(folder) < 2:
        raise UsageError(f"{folder.path} holds too few samples", "at least two, see docs/data.md")
    last = max(1, min(data.validation_count, len(folder) // 10))
    rows = np.arange(len(folder))
    return FolderRegions(folder, rows[:-last]), FolderRegions(folder, rows[-last:])
