"""Which seeds are for training and which are held out."""

from __future__ import annotations

HELD_OUT_FROM = 1_000_000_000


def is_held_out(seed: int) -> bool:
    """Whether a portrait seed belongs to the held-out set, which no training may see."""
    return seed >= HELD_OUT_FROM


def held_out_seed(index: int) -> int:
    """The seed of held-out portrait number `index` (counted from 0)."""
    return HELD_OUT_FROM + index
