"""The two mask-based constraints of MAG-Edit on cross-attention maps, and their sum over words and layers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from faceedit.errors import NothingToEditError

BALANCE = 3.0


@dataclass(frozen=True)
class Word:
    """A word of a sentence: the columns of its pieces, and its share of the whole loss (λ_i in eq. 9)."""

    tokens: tuple[int, ...]
    share: float


def token_ratio(weights: Tensor, tokens: Sequence[int], mask: Tensor) -> Tensor:
    """Eq. 5, L_TR = (1 - mean over the mask of the word's share among all tokens)², per head, then their mean.

    As in the released code the share is taken among all columns, start, end and padding included, and a word of
    several pieces counts by their mean.

    Args:
        weights: float32 [heads, side * side, tokens], after injection; rows need not sum to 1.
        tokens: columns of the word.
        mask: float32 [side * side] of zeros and ones.

    Raises:
        NothingToEditError: the mask is empty.
    """
    _require(mask)
    share = weights[..., list(tokens)].mean(-1) / weights.sum(-1)
    a = (share * mask).sum(-1) / mask.sum()
    return ((1 - a) ** 2).mean()


def spatial_ratio(weights: Tensor, tokens: Sequence[int], mask: Tensor, balance: float = BALANCE) -> Tensor:
    """Eq. 6, L_SR = λ (1 - a) - a with a the share of the word's attention inside the mask, per head, then their mean.

    A word of several pieces counts by their sum.

    Args:
        weights, tokens, mask: as for `token_ratio`.
        balance: λ.

    Raises:
        NothingToEditError: the mask is empty.
    """
    _require(mask)
    column = weights[..., list(tokens)].sum(-1)
    a = (column * mask).sum(-1) / column.sum(-1)
    return (balance * (1 - a) - a).mean()


def constraint_loss(
    maps: Mapping[str, Tensor],
    words: Sequence[Word],
    mask_at: Mapping[int, Tensor],
    constraint: Callable[[Tensor, Sequence[int], Tensor], Tensor],
) -> Tensor:
    """The inner sum of eq. 9: over the words by their shares, each the mean over the layers.

    Args:
        maps: layer -> weights [heads, queries, tokens].
        words: at least one.
        mask_at: number of queries -> mask float32 [queries].
        constraint: `token_ratio` or `spatial_ratio`.
    """
    losses = [
        torch.stack([constraint(weights, word.tokens, mask_at[weights.shape[1]]) for weights in maps.values()]).mean()
        * word.share
        for word in words
    ]
    return torch.stack(losses).sum()


def _require(mask: Tensor) -> None:
    if not mask.any():
        raise NothingToEditError("the mask is empty on the attention's grid", "choose a larger region")
