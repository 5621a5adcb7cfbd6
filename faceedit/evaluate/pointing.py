"""The pointing game on held-out portraits: does a word's cross-attention peak where its thing is?"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from einops import repeat
from torch import Tensor

from faceedit.attention.capture import capture_cross_attention
from faceedit.errors import UsageError
from faceedit.evaluate.cells import INSIDE, SMALLEST_SHARE, cell_shares
from faceedit.evaluate.tasks import portrait_seed
from faceedit.models.loader import load_components
from faceedit.models.plan import device_plan
from faceedit.models.stable_diffusion import StableDiffusion, to_model_range
from faceedit.portraits.attribute_value import AttributeValue
from faceedit.portraits.attributes import visible_values
from faceedit.portraits.render import Rendered, render
from faceedit.portraits.vocabulary import is_plain
from faceedit.recipe import load_recipe
from faceedit.samplers.ddim import add_noise, alphas_cumprod

BACKBONE_PARTS = ("vae", "unet", "text_encoder", "tokenizer", "scheduler")
SIDE = 16
SUBJECT = "a person with "
NOISE_LEVELS = (0.2, 0.4, 0.6)
"""Shares of the training timesteps at which the maps are read, and averaged."""

FUNCTION_WORDS = frozenset(
    ("a", "an", "the", "of", "on", "over", "with", "without", "no", "and", "in", "to", "at", "under")
)


@dataclass(frozen=True)
class Pointed:
    """One content word on one portrait.

    Attributes:
        key: attribute that the sentence names, `field=value`.
        word: the word.
        noun: the word is the last content word of its phrase, the one that names the thing or its place.
        hit: the map's largest value lies inside the attribute's regions.
        chance: share of the map's cells inside the regions: what a blind guess hits.
    """

    key: str
    word: str
    noun: bool
    hit: bool
    chance: float


@dataclass(frozen=True)
class PointingReport:
    """Pointing game (Zhang et al. 2018) over portraits.

    Attributes:
        count: portraits; words: content words pointed with.
        pointing: share of hits of the nouns ("cheeks" of "rosy cheeks"); `pointing_words` of all content words.
        chance: what blind guesses would hit, over the nouns.
        by_word: noun -> share of hits.
    """

    recipe: str
    count: int
    seed: int
    side: int
    words: int
    pointing: float
    pointing_words: float
    chance: float
    by_word: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {"schema": "faceedit.eval.pointing/1", **asdict(self)}


def evaluate_pointing(
    recipe: str = "mini/inpaint",
    count: int = 50,
    seed: int = 0,
    split: str = "held-out",
    device: str = "auto",
    progress: Callable[[int, int], None] | None = None,
) -> PointingReport:
    """`pointing_game` with a recipe's backbone.

    Raises:
        UsageError: no such recipe, or a UNet without cross-attention of 16 x 16.
        WeightsError: weights are missing or damaged.
    """
    resolved = load_recipe(recipe)
    components = load_components(resolved.weights, device_plan(resolved.device, device), BACKBONE_PARTS)
    return pointing_game(components, resolved.size, count, seed, split, resolved.name, progress)


def pointing_game(
    components: Any,
    size: int,
    count: int = 50,
    seed: int = 0,
    split: str = "held-out",
    recipe: str = "",
    progress: Callable[[int, int], None] | None = None,
) -> PointingReport:
    """Ask a UNet where the words of every visible attribute lie.

    Each portrait is encoded and noised to `NOISE_LEVELS` of the schedule; for each visible editable attribute that is
    not plain the UNet reads "a person with <canonical phrase>". The maps of all cross-attention layers of 16 x 16 and
    their heads and noise levels are averaged, and the peak of every content word is held against the exact regions.

    Args:
        components: an SD 1.x backbone.
        size: side of the picture that it works on, in pixels.
        count: number of portraits.
        seed: run number; the same portraits as those of `eval portraits`, first attempts only.
        split: "held-out" or "validation".
        recipe: name for the report.
        progress: called with (portraits done, count).

    Raises:
        UsageError: the UNet has no cross-attention layer of 16 x 16.
    """
    backbone = StableDiffusion(components)
    found: list[Pointed] = []
    for i in range(count):
        portrait = render(portrait_seed(i, 0, seed, split), size)
        found += point(backbone, portrait, torch.Generator().manual_seed(i))
        if progress is not None:
            progress(i + 1, count)
    if not found:
        raise UsageError("no attribute can be seen on these portraits", "take more portraits")
    nouns = [one for one in found if one.noun]
    words = sorted({one.word for one in nouns})
    return PointingReport(
        recipe=recipe,
        count=count,
        seed=seed,
        side=SIDE,
        words=len(found),
        pointing=float(np.mean([one.hit for one in nouns])),
        pointing_words=float(np.mean([one.hit for one in found])),
        chance=float(np.mean([one.chance for one in nouns])),
        by_word={word: float(np.mean([one.hit for one in nouns if one.word == word])) for word in words},
    )


def point(backbone: StableDiffusion, portrait: Rendered, generator: torch.Generator) -> list[Pointed]:
    """Every content word of every visible attribute that is not plain, on one portrait."""
    items = [
        item for item in visible_values(portrait.attributes) if item.editable and not is_plain(item.field, item.value)
    ]
    sentences = [f"{SUBJECT}{item.phrases[0]}" for item in items]
    if not items:
        return []
    attention = mean_maps(backbone, portrait, sentences, generator)
    found = []
    for item, sentence, maps in zip(items, sentences, attention, strict=True):
        inside = region_cells(portrait, item)
        if inside is None:
            continue
        words = word_tokens(backbone.tokenizer, sentence)
        for k, (word, tokens) in enumerate(words):
            peak = int(maps[:, tokens].mean(-1).argmax())
            found.append(Pointed(item.key, word, k == len(words) - 1, bool(inside[peak]), float(inside.float().mean())))
    return found


def mean_maps(
    backbone: StableDiffusion, portrait: Rendered, sentences: Sequence[str], generator: torch.Generator
) -> Tensor:
    """Cross-attention under each sentence, averaged over layers, heads and noise levels.

    Returns:
        float32 [B, SIDE * SIDE, tokens].

    Raises:
        UsageError: the UNet has no cross-attention layer of that size.
    """
    z0 = backbone.encode_image(to_model_range(portrait.image.astype(np.float32) / np.float32(255)))
    noise = torch.randn(z0.shape, generator=generator).to(z0.device)
    alpha_bar = alphas_cumprod(backbone.scheduler_config).to(z0.device)
    text = backbone.encode_text(sentences)
    maps = []
    with torch.no_grad(), capture_cross_attention(backbone.unet, {SIDE}) as captured:
        for level in NOISE_LEVELS:
            t = torch.tensor(int(level * len(alpha_bar)), device=z0.device)
            captured.clear()
            z = add_noise(z0, noise, alpha_bar[t])
            backbone.predict_noise(repeat(z, "1 c h w -> b c h w", b=len(sentences)), t, text)
            maps.append(captured.mean(SIDE).float().cpu())
    return torch.stack(maps).mean(0)


def region_cells(portrait: Rendered, item: AttributeValue) -> Tensor | None:
    """Cells of the map inside the attribute's regions, bool [SIDE * SIDE], or None where hardly any of them shows."""
    region = torch.from_numpy(np.maximum.reduce([portrait.regions[name] for name in item.regions]))
    if float(region.mean()) < SMALLEST_SHARE:
        return None
    share = cell_shares(region[None], SIDE)[0]
    # A thing smaller than a cell (an earring) still has a place: the cells that hold most of it.
    return share > min(INSIDE, 0.5 * float(share.max()))


def word_tokens(tokenizer: Any, sentence: str) -> list[tuple[str, list[int]]]:
    """Content words of the phrase after `SUBJECT`, each with the positions of its tokens."""
    batch = tokenizer([sentence], padding="max_length", truncation=True, return_offsets_mapping=True)
    offsets = batch["offset_mapping"][0]
    words = []
    for match in re.finditer(r"[\w'-]+", sentence):
        word = match.group()
        if match.start() < len(SUBJECT) or word in FUNCTION_WORDS:
            continue
        tokens = [i for i, (a, b) in enumerate(offsets) if match.start() <= a < b <= match.end()]
        words.append((word, tokens))
    return words
