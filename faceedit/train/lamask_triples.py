"""Triples from a folder in the LAMask-Caption form; the original is its own target, as in the paper."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faceedit import masks
from faceedit.errors import UsageError
from faceedit.lamask.form import LamaskFolder, LocalCaption, read_form
from faceedit.lamask.parts import region_mask
from faceedit.train.edit_masks import roughened
from faceedit.train.frozen import FrozenEncoders
from faceedit.train.settings import Ca2Settings
from faceedit.train.tensors import to_tensor
from faceedit.train.triples import Triples

VALIDATION_SHARE = 20
_SIDED = re.compile(r"\b(left|right)\b")


def lamask_examples(settings: Ca2Settings, encoders: FrozenEncoders) -> tuple[LamaskExamples, LamaskExamples]:
    """Training and validation examples of `settings.data.folder`: every 20th picture, by name, is kept for validation.

    Raises:
        UsageError: the folder is not in the form, or holds fewer than two pictures.
    """
    folder = read_form(Path(settings.data.folder))
    if len(folder.images) < 2:
        raise UsageError(f"{folder.path} holds one picture", "training and validation need at least one each")
    kept = folder.images[::VALIDATION_SHARE]
    others = [image for image in folder.images if image not in set(kept)]
    return (
        LamaskExamples(folder, others, settings, encoders, augment=True),
        LamaskExamples(folder, kept, settings, encoders, augment=False),
    )


class LamaskExamples:
    """Triples that are read and encoded when they are asked for, so that a folder of any size can be trained on.

    Args:
        folder: in the LAMask-Caption form.
        images: its pictures to take.
        settings: of the training; `data.size` is the side of the pictures, which are squeezed to squares.
        encoders: the frozen ones.
        augment: rough masks and mirrored pictures, any caption; else masks as they are and each picture's first one.
    """

    def __init__(
        self,
        folder: LamaskFolder,
        images: Sequence[str],
        settings: Ca2Settings,
        encoders: FrozenEncoders,
        augment: bool,
    ) -> None:
        self.folder, self.images, self.settings = folder, tuple(images), settings
        self.encoders, self.augment = encoders, augment

    def __len__(self) -> int:
        return len(self.images)

    def edits(self, count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Pictures as their own targets, spread over the folder; there are no counterfactuals of photographs."""
        rows = np.linspace(0, len(self) - 1, min(count, len(self))).astype(np.int64)
        return rows, rows

    def draw(self, rows: NDArray[np.int64], rng: np.random.Generator) -> Triples:
        """Each picture with one of its captions."""
        return self.triples(rows, rows, rng)

    def triples(self, originals: NDArray[np.int64], rows: NDArray[np.int64], rng: np.random.Generator) -> Triples:  # noqa: ARG002
        """Triples of pictures; the originals are the targets."""
        found = [self._example(self.images[int(row)], rng) for row in originals]
        pixels = torch.cat([pixels for _, pixels, _ in found])
        latents = self.encoders.latents(pixels)
        return Triples(
            [caption for caption, _, _ in found],
            torch.stack([mask for _, _, mask in found]),
            pixels,
            latents,
            latents,
            self.encoders.visual(pixels),
        )

    def _example(self, image: str, rng: np.random.Generator) -> tuple[str, Tensor, Tensor]:
        """Caption, pixels [1, 3, S, S] in [-1, 1] and mask [1, S, S] of a picture.

        Raises:
            UsageError: no caption of the picture speaks of something that its mask shows, or the two differ in size.
        """
        size, parts, picture = self.settings.data.size, self.folder.parts(image), self.folder.picture(image)
        if picture.shape[:2] != parts.shape:
            raise UsageError(f"{image}: picture and mask differ in size", "see docs/data.md")
        usable = [c for c in self.folder.captions[image] if region_mask(parts, c.region).any()]
        if not usable:
            raise UsageError(f"{image}: its mask shows nothing that its captions speak of", "see docs/data.md")
        chosen: LocalCaption = usable[int(rng.integers(len(usable))) if self.augment else 0]
        soft = masks.resize_area(region_mask(parts, chosen.region), (size, size))
        mask = np.asarray(soft >= min(0.5, float(soft.max())), dtype=np.float32)
        if self.augment:
            mask = roughened(mask, rng, self.settings.masks)
        pixels = to_tensor(_resized(picture, size)[None])
        mirrored = self.augment and self.settings.flip and rng.random() < 0.5 and not _SIDED.search(chosen.text.lower())
        here = torch.from_numpy(np.ascontiguousarray(mask))[None]
        return chosen.text, pixels.flip(-1) if mirrored else pixels, here.flip(-1) if mirrored else here


def _resized(rgb: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    import cv2

    shrinks = max(rgb.shape[:2]) > size
    return np.asarray(cv2.resize(rgb, (size, size), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC))
