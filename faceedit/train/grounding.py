"""Token-level grounding: cross-attention is taught to lie where its words lie (TokenCompose, Wang et al. 2024)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faceedit.attention.capture import Captured
from faceedit.evaluate.cells import INSIDE, SMALLEST_SHARE, cell_shares
from faceedit.portraits.attributes import Attributes
from faceedit.portraits.vocabulary import attribute_value
from faceedit.regions import REGIONS
from faceedit.train.phrases import Caption

FUNCTION_WORDS = frozenset(
    ("a", "an", "the", "of", "on", "with", "without", "no", "and", "in", "to", "at", "like", "is")
)


def phrase_tokens(
    caption: Caption, attributes: Attributes, offsets: Sequence[tuple[int, int]]
) -> list[tuple[int, tuple[str, ...]]]:
    """Which tokens of a caption name which regions.

    Args:
        caption: the sentence and the fields that it speaks of.
        attributes: of the portrait that it was drawn from.
        offsets: first and last character of every token, as a fast tokenizer's `offset_mapping`.

    Returns:
        (token position, regions) for every content word of every attribute phrase found in the sentence.
    """
    found = []
    text = caption.text.lower()
    for field in caption.fields:
        item = attribute_value(field, getattr(attributes, field))
        phrases = [p for p in (w.removeprefix("no ") for w in item.phrases) if p in text]
        if not phrases:
            continue
        phrase = max(phrases, key=len)
        start = text.index(phrase)
        stop = start + len(phrase)
        for position, (first, last) in enumerate(offsets):
            if start <= first < last <= stop and text[first:last] not in FUNCTION_WORDS:
                found.append((position, item.regions))
    return found


def token_masks(
    found: Sequence[Sequence[tuple[int, tuple[str, ...]]]], masks: NDArray[np.uint8]
) -> tuple[Tensor, Tensor, Tensor]:
    """Masks of every grounded token of a batch; tokens whose regions are hardly in the picture are left out.

    Args:
        found: `phrase_tokens` per caption.
        masks: uint8 [B, R, G, G], the cache's region masks.

    Returns:
        Row int64 [K], token position int64 [K] and mask float32 [K, G, G] in [0, 1].
    """
    rows, positions, chosen = [], [], []
    for row, tokens in enumerate(found):
        for position, regions in tokens:
            mask = masks[row, [REGIONS.index(name) for name in regions]].max(0).astype(np.float32) / 255
            if mask.mean() > SMALLEST_SHARE:
                rows.append(row)
                positions.append(position)
                chosen.append(mask)
    stacked = np.stack(chosen) if chosen else np.zeros((0, *masks.shape[2:]), np.float32)
    return torch.tensor(rows, dtype=torch.long), torch.tensor(positions, dtype=torch.long), torch.from_numpy(stacked)


def grounding_loss(captured: Captured, rows: Tensor, positions: Tensor, masks: Tensor, sides: Sequence[int]) -> Tensor:
    """Mean of (1 - share of a token's attention that lies in its mask)^2, TokenCompose eq. 4, over layers and heads.

    Args:
        captured: maps of one forward pass.
        rows, positions, masks: from `token_masks`.
        sides: sizes of the maps to supervise; masks are reduced by area.

    Returns:
        A scalar; 0 where no token is grounded.
    """
    losses = []
    for side in sides:
        inside = (cell_shares(masks, side) > INSIDE).to(masks.dtype)
        for layer in captured.at(side):
            attention = layer.weights[rows, :, :, positions]
            share = (attention * inside[:, None]).sum(-1) / attention.sum(-1).clamp(min=1e-8)
            losses.append(((1 - share).square() * inside.any(-1)[:, None]).mean())
    if not len(rows):
        return masks.new_zeros(())
    return torch.stack(losses).mean()


def pointing_hits(attention: Tensor, masks: Tensor) -> Tensor:
    """Pointing game (Zhang et al. 2018): does the largest value of a map lie in its mask?

    Args:
        attention: [K, side * side], one map per grounded token.
        masks: float [K, G, G] in [0, 1]; a cell counts as inside from `INSIDE` on.

    Returns:
        bool [K].
    """
    side = round(attention.shape[-1] ** 0.5)
    inside = cell_shares(masks, side) > INSIDE
    return inside.gather(1, attention.argmax(-1, keepdim=True))[:, 0]


def tokenised(tokenizer: Any, sentences: list[str]) -> tuple[Tensor, list[list[tuple[int, int]]]]:
    """Token ids [B, max length], padded as the pipelines do, and the characters that each token covers."""
    batch = tokenizer(sentences, padding="max_length", truncation=True, return_offsets_mapping=True)
    return torch.tensor(batch["input_ids"]), batch["offset_mapping"]
