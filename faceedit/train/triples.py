"""What CA-Edit is trained on: an original picture, a region mask and a local caption that the target answers to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faceedit.regions import REGIONS
from faceedit.train.commands import attribute_of, draw_command, draw_fields
from faceedit.train.data import PortraitCache
from faceedit.train.edit_masks import enlarged, roughened
from faceedit.train.frozen import FrozenEncoders
from faceedit.train.latents import cache_latents, cache_rows, files_hash
from faceedit.train.phrases import NAMES
from faceedit.train.settings import Ca2Settings
from faceedit.train.tensors import to_tensor

CAPTION_SIZES = (1, 1, 1, 2)


@dataclass(frozen=True)
class Triples:
    """A batch of examples on the CPU.

    Attributes:
        captions: B sentences, true of the targets inside the masks.
        masks: float32 [B, 1, S, S] in [0, 1], 1 = edit; rough, never empty.
        original: float32 [B, 3, S, S] in [-1, 1], the picture that is edited.
        original_latents, target_latents: float32 [B, C, h, w]; the same where the original is the target.
        visual: float32 [B, E], the vision encoder's embedding of the original.
    """

    captions: Sequence[str]
    masks: Tensor
    original: Tensor
    original_latents: Tensor
    target_latents: Tensor
    visual: Tensor


class Examples(Protocol):
    """Where triples come from."""

    def __len__(self) -> int:
        """How many pictures there are."""

    def draw(self, rows: NDArray[np.int64], rng: np.random.Generator) -> Triples:
        """Triples of the pictures `rows` [B]; everything random comes from `rng`."""

    def triples(self, originals: NDArray[np.int64], rows: NDArray[np.int64], rng: np.random.Generator) -> Triples:
        """Triples of pairs of rows (original, target)."""

    def edits(self, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Rows of at most `count` originals, and of the pictures that they are to become (or themselves)."""


def portrait_examples(
    settings: Ca2Settings, encoders: FrozenEncoders, portraits: PortraitCache, validation: PortraitCache
) -> tuple[PortraitExamples, PortraitExamples]:
    """Training and validation examples of two caches."""
    latents = Path(settings.latents)
    return (
        PortraitExamples(portraits, settings, encoders, latents, augment=True),
        PortraitExamples(
            validation, settings, encoders, latents.with_name(f"{latents.name}-validation"), augment=False
        ),
    )


class PortraitExamples:
    """Triples of rendered portraits, whose latents and embeddings are computed once.

    Args:
        portraits: the cache.
        settings: of the training.
        encoders: the frozen ones.
        latents: where the latents are kept; the embeddings lie beside them.
        augment: rough masks, mirrored pictures and drawn captions; else masks as they are and the commands themselves.
    """

    def __init__(
        self, portraits: PortraitCache, settings: Ca2Settings, encoders: FrozenEncoders, latents: Path, augment: bool
    ) -> None:
        self.portraits, self.settings, self.augment = portraits, settings, augment
        self.latents = cache_latents(portraits, Path(settings.vae), latents.with_name(f"{latents.name}.npy"))
        vision = Path(settings.vision or Path(settings.clip) / "image_encoder")
        self.visual = cache_rows(
            portraits,
            {"vision": files_hash(vision)},
            latents.with_name(f"{latents.name}-visual.npy"),
            (encoders.vision.config.projection_dim,),
            encoders.visual,
        )

    def __len__(self) -> int:
        return len(self.portraits)

    def edits(self, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Counterfactual pairs whose change can be seen in both pictures, spread over the cache."""
        rows = np.array([row for row in range(len(self)) if self._twin(row) >= 0], np.int64)
        chosen = rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]
        return np.array([self._twin(int(row)) for row in chosen], np.int64), chosen

    def draw(self, rows: NDArray[np.int64], rng: np.random.Generator) -> Triples:
        """Each row is the target; in a share of cases its twin is the original, else it is so itself."""
        twins = [self._twin(int(row)) if rng.random() < self.settings.twin_visual else -1 for row in rows]
        return self.triples(np.where(np.array(twins) < 0, rows, twins), rows, rng)

    def triples(self, originals: NDArray[np.int64], rows: NDArray[np.int64], rng: np.random.Generator) -> Triples:
        """Triples of the pairs (original, target); where the two differ the caption tells what was changed."""
        portraits, settings = self.portraits, self.settings
        mirrored = rng.random(len(rows)) < 0.5 if settings.flip and self.augment else np.zeros(len(rows), bool)
        captions, masks = [], []
        for original, row, flip in zip(originals, rows, mirrored, strict=True):
            indices, before = portraits.attributes[row], portraits.attributes[original]
            fields = draw_fields(indices, portraits.visible[row], rng, CAPTION_SIZES if self.augment else (1,))
            if original != row:
                changed = NAMES[int(portraits.changed[row])]
                fields = (changed, *(name for name in fields[1:] if name != changed))
            share = settings.command_share if self.augment else 1.0
            captions.append(draw_command(indices, fields, rng, share, before if original != row else None).text)
            mask = self._mask(int(original), int(row), fields, rng)
            masks.append(mask[:, ::-1] if flip else mask)
        pixels, side = portraits.images[originals], mirrored.astype(int)
        pixels[mirrored] = pixels[mirrored][:, :, ::-1]
        return Triples(
            captions,
            torch.from_numpy(np.stack(masks))[:, None],
            to_tensor(pixels),
            torch.from_numpy(self.latents[originals, side].astype(np.float32)),
            torch.from_numpy(self.latents[rows, side].astype(np.float32)),
            torch.from_numpy(self.visual[originals, side].astype(np.float32)),
        )

    def _twin(self, row: int) -> int:
        """The counterpart of a row, or -1 where there is none or where the change cannot be seen in both."""
        twin, changed = int(self.portraits.twin[row]), int(self.portraits.changed[row])
        seen = twin >= 0 and self.portraits.visible[row, changed] and self.portraits.visible[twin, changed]
        return twin if seen else -1

    def _mask(self, original: int, row: int, fields: Sequence[str], rng: np.random.Generator) -> NDArray[np.float32]:
        """Where the fields' values lie in either picture (a cache knows where glasses would be), roughened."""
        attributes, coarse = self.portraits.attributes, self.portraits.masks
        pair = (original, row)
        regions = {region for name in fields for one in pair for region in attribute_of(attributes[one], name).regions}
        found = [coarse[one, REGIONS.index(name)] for one in pair for name in sorted(regions)]
        region = np.maximum.reduce(found).astype(np.float32) / 255
        if not region.any():
            region = np.ones_like(region)  # the place lies outside the picture: anywhere may be drawn anew
        mask = enlarged(region, self.portraits.images.shape[1])
        return roughened(mask, rng, self.settings.masks) if self.augment else mask
