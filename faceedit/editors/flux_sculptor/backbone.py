"""FLUX.1 with the values of its last blocks in reach, for pictures of one size."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor

from faceedit.attention.value_bank import HostBank, Key, ValueBank
from faceedit.attention.value_fusion import Act, ValueFusion
from faceedit.editors.flux_sculptor.memory import (
    DUAL,
    STORE_HOST,
    activation_bytes,
    bank_bytes,
    choose_bank,
    decoder_bytes,
)
from faceedit.models.flux import Flux, FluxText
from faceedit.models.free_memory import free_device_bytes, free_host_bytes


class SculptBackbone:
    """Holds no state of any request.

    Args:
        flux: the backbone.
        side: S of the square crop, in pixels.
        blocks: m.

    Raises:
        UsageError: S is no whole number of tokens, or what `ValueFusion` refuses.
    """

    def __init__(self, flux: Flux, side: int, blocks: int) -> None:
        self.flux, self.side = flux, side
        self.size = flux.grid(side)
        self.tokens = self.size[0] * self.size[1]
        self.blocks = blocks
        self.fusion = ValueFusion(flux.transformer, blocks, self.tokens)

    def velocity(
        self,
        z: Tensor,
        t: float | Sequence[float],
        text: FluxText,
        guidance: float | Sequence[float],
        act: Act | None = None,
    ) -> Tensor:
        """As `Flux.velocity`, with `act` on the image tokens' values of the last m blocks."""
        with nullcontext() if act is None else self.fusion.acting(act):
            return self.flux.velocity(z, t, text, guidance, self.size)

    def new_bank(self, keys: Sequence[Key], asked: str) -> ValueBank | None:
        """An empty bank for these evaluations where memory holds it; `None` where there is none to be.

        Args:
            keys: in an edit's order.
            asked: `flux_sculptor.bank`.

        Raises:
            UsageError: "store" was asked for and no memory holds it.
        """
        if not keys:
            return None
        transformer, device = self.flux.transformer, self.flux.device
        width, itemsize = transformer.inner_dim, self.flux.dtype.itemsize
        needed = bank_bytes(len(keys), self.blocks, self.tokens, width, itemsize)
        # The bank is still there when the picture is decoded.
        decoding = decoder_bytes(self.side, self.flux.vae.config.block_out_channels[0])
        working = max(activation_bytes(self.tokens, self.flux.text_tokens, width, itemsize), decoding)
        free = free_device_bytes(device) - working - _bytes_to_come(transformer, device)
        place = choose_bank(asked, needed, max(0, free), free_host_bytes() if device.type == "cuda" else 0)
        if place == DUAL:
            return None
        return HostBank(keys, self.blocks) if place == STORE_HOST else ValueBank(keys, self.blocks)


def _bytes_to_come(transformer: Any, device: torch.device) -> int:
    """Weights that rest elsewhere and will visit the device."""
    return sum(p.nbytes for p in transformer.parameters() if p.device.type != device.type)
