"""Objective: PASL, from portraits, sentences and the regions that the sentences mean (Flux-Sculptor, eqs 5 to 9)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange, reduce
from numpy.typing import NDArray
from torch import Tensor, nn

from faceedit.compare import overlay, sheet
from faceedit.models.pasl import CELL, Pasl, PaslConfig, load_pasl, save_pasl
from faceedit.models.sentence_features import SentenceFeatures
from faceedit.train.augment import LIGHT, augment
from faceedit.train.data import batch_rng, batches, shuffled
from faceedit.train.loop import Batch, Evaluation, Modules
from faceedit.train.place_wordings import Wording, region_wordings, unions
from faceedit.train.region_pictures import RegionPictures
from faceedit.train.settings import PaslSettings
from faceedit.train.tensors import to_tensor

EPSILON = 1e-6
"""In the Dice loss, which the paper writes without one: an empty mask met by an empty answer costs nothing."""
SHOWN, SHOWN_HEIGHT = 4, 96


def mask_loss(logits: Tensor, truth: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Binary cross-entropy and Dice loss (eqs 7 and 8) of every pair of picture and sentence, averaged over the pairs.

    Args:
        logits: float32 [B, K, G, G].
        truth: float32 [B, K, G, G] in [0, 1], soft at the rim.
        weight: float32 [B, K], 0 leaves a pair out.

    Returns:
        Two scalars; eq. 9 is their sum.
    """
    cross_entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none").mean((-2, -1))
    answer = logits.sigmoid()
    both, either = (answer * truth).sum((-2, -1)), answer.sum((-2, -1)) + truth.sum((-2, -1))
    dice = 1 - (2 * both + EPSILON) / (either + EPSILON)
    total = weight.sum().clamp(min=1)
    return (cross_entropy * weight).sum() / total, (dice * weight).sum() / total


class PaslObjective:
    """One pass of the image encoder serves all sentences of a picture, and every sentence is encoded once for the run.

    Both are exact: the feature of a picture does not depend on the sentence, and the text encoder is frozen.

    Args:
        settings: sizes and weights.
        pictures, validation: portraits with their regions.
        prompts: region -> sentences, one of which is drawn for each region of each picture.
        unseen: region -> sentences for the evaluation only.
        more: groups of further sentences with regions of their own; `settings.phrases` of each are drawn for each
            picture.
        encode: the frozen text encoder.
    """

    name = "pasl"

    def __init__(
        self,
        settings: PaslSettings,
        pictures: RegionPictures,
        validation: RegionPictures,
        prompts: Mapping[str, Sequence[str]],
        unseen: Mapping[str, Sequence[str]],
        more: Sequence[Sequence[Wording]],
        encode: SentenceFeatures,
    ) -> None:
        self.settings, self.pictures, self.validation = settings, pictures, validation
        self.seed = settings.loop.seed
        self.width = encode.width
        known = {text for texts in prompts.values() for text in texts}
        own = region_wordings(prompts)
        groups = [[wording for wording in group if wording.text not in known] for group in more]
        self.wordings = (*own, *(wording for group in groups for wording in group))
        self.by_region = [
            np.array([i for i, wording in enumerate(own) if wording.regions == (region,)]) for region in prompts
        ]
        ends = len(own) + np.cumsum([len(group) for group in groups], dtype=np.int64)
        self.more = [np.arange(end - len(group), end) for end, group in zip(ends, groups, strict=True)]
        self.vectors = encode([wording.text for wording in self.wordings]).cpu()
        asked = {"seen": region_wordings(prompts), "unseen": region_wordings(unseen)}
        self.asked = {name: (said, encode([w.text for w in said]).cpu()) for name, said in asked.items() if said}

    def build(self) -> dict[str, nn.Module]:
        settings = self.settings
        if settings.start_from:
            return {"pasl": load_pasl(Path(settings.start_from)).requires_grad_(True)}
        config = PaslConfig(
            size=settings.data.size,
            channels=settings.channels,
            text_width=self.width,
            hidden=settings.hidden,
            coordinates=settings.coordinates,
            dilations=(settings.dilations[0], settings.dilations[1]),
            similarity=settings.similarity,
            text=settings.text,
        )
        return {"pasl": Pasl(config)}

    def batch(self, index: int) -> Batch:
        """`image` [B, 3, S, S] in [-1, 1]; `text` [B, K, D]; `truth` [B, K, S/8, S/8]; `weight` [B, K], 0 = absent.

        K is one sentence for each region, and `phrases` of each further group.
        """
        rng = batch_rng(self.seed, index)
        drawn = self.pictures.read(shuffled(len(self.pictures), self.settings.loop.batch, index, self.seed))
        images, masks = drawn.images, drawn.masks
        if self.settings.augment:
            images, warped = augment(images, rng, LIGHT, masks)
            masks = masks if warped is None else warped
        if self.settings.flip:
            flipped = rng.random(len(images)) < 0.5
            images = np.where(flipped[:, None, None, None], images[:, :, ::-1], images)
            masks = np.where(flipped[:, None, None, None], masks[..., ::-1], masks)
        chosen = [self._draw(rng) for _ in images]
        asked = [[self.wordings[i] for i in row] for row in chosen]
        return {
            "image": to_tensor(images),
            "text": self.vectors[torch.from_numpy(np.stack(chosen))],
            "truth": torch.stack([self._truth(mask, said) for mask, said in zip(masks, asked, strict=True)]),
            "weight": torch.stack([self._there(row, said) for row, said in zip(drawn.present, asked, strict=True)]),
        }

    def loss(self, modules: Modules, batch: Batch, _step: int) -> tuple[Tensor, dict[str, Tensor]]:
        logits = modules["pasl"](batch["image"], batch["text"])
        cross_entropy, dice = mask_loss(logits, batch["truth"], batch["weight"])
        return cross_entropy + dice, {"bce": cross_entropy.detach(), "dice": dice.detach()}

    def evaluate(self, modules: Modules) -> Evaluation:
        """Mean IoU over the regions at 0.5 on the map's own grid, by trained and by other sentences."""
        pasl: Any = modules["pasl"]
        device = next(pasl.parameters()).device
        sums = {name: torch.zeros(2, len(said)) for name, (said, _) in self.asked.items()}
        for rows in batches(len(self.validation), 32):
            examples = self.validation.read(rows)
            features = pasl.image_features(to_tensor(examples.images).to(device))
            for name, (said, vectors) in self.asked.items():
                logits = pasl.similarity(features, pasl.text_features(vectors.to(device))).cpu()
                truth = torch.stack([self._truth(masks, said) for masks in examples.masks])
                overlap = intersection_over_union(logits > 0, truth >= 0.5)
                there = torch.stack([self._there(row, said) for row in examples.present]) * ~overlap.isnan()
                sums[name] += torch.stack([(overlap.nan_to_num() * there).sum(0), there.sum(0)])
        figures: dict[str, float] = {}
        for name, (overlap, count) in sums.items():
            per_region: dict[str, list[float]] = {}
            for wording, mean in zip(self.asked[name][0], overlap / count.clamp(min=1), strict=True):
                per_region.setdefault(wording.regions[0], []).append(float(mean))
            means = {f"{name}_{region}": float(np.mean(values)) for region, values in per_region.items()}
            figures |= {name: float(np.mean(list(means.values()))), **means}
        return Evaluation(figures, self._sheet(pasl, device))

    def export(self, modules: Modules, folder: Path) -> None:
        """`config.json` and `model.safetensors`, read back by `faceedit.models.pasl.load_pasl`."""
        pasl: Any = modules["pasl"]
        save_pasl(pasl, folder)

    def _draw(self, rng: np.random.Generator) -> NDArray[np.int64]:
        """One sentence for each region, and some of each further group: int64 [K], places in `wordings`."""
        regions = [int(rng.choice(own)) for own in self.by_region]
        return np.concatenate([regions, *(rng.permutation(group)[: self.settings.phrases] for group in self.more)])

    def _there(self, present: NDArray[np.bool_], wordings: Sequence[Wording]) -> Tensor:
        """float32 [K]: 1 where all regions of a sentence are there; present is bool [R]."""
        named = self.pictures.regions
        return torch.tensor([float(all(present[named.index(r)] for r in wording.regions)) for wording in wordings])

    def _truth(self, masks: NDArray[np.uint8], wordings: Sequence[Wording]) -> Tensor:
        """Masks of the sentences, averaged onto the cells: float32 [K, S/8, S/8] in [0, 1]."""
        found = torch.from_numpy(unions(masks, self.pictures.regions, wordings).astype(np.float32) / 255)
        share = found.shape[-1] * CELL // self.settings.data.size
        return reduce(found, "k (h i) (w j) -> k h w", "mean", i=share, j=share)

    def _sheet(self, pasl: Any, device: torch.device) -> NDArray[np.uint8]:
        """The first portraits, each with one sentence of every region laid over it."""
        examples = self.validation.read(np.arange(min(SHOWN, len(self.validation))))
        said, vectors = self.asked["seen"]
        first = list({wording.regions: i for i, wording in reversed(list(enumerate(said)))}.values())[::-1]
        masks = pasl(to_tensor(examples.images).to(device), vectors[first].to(device)).sigmoid().cpu()
        side = examples.images.shape[1]
        tiles = [
            overlay(image, mask.numpy())
            for image, row in zip(examples.images, F.interpolate(masks, (side, side), mode="bilinear"), strict=True)
            for mask in row
        ]
        return sheet(tiles, [said[k].text for _ in examples.images for k in first], SHOWN_HEIGHT, len(first))


def intersection_over_union(answer: Tensor, truth: Tensor) -> Tensor:
    """IoU over the last two axes of two masks, bool [..., H, W]; NaN where both are empty."""
    both, either = (rearrange(mask, "... h w -> ... (h w)").sum(-1) for mask in (answer & truth, answer | truth))
    return both / either
