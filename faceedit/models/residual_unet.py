"""A frozen UNet's noise prediction with residuals added to the output of every layer, as BrushNet adds them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn


@dataclass(frozen=True)
class Residuals:
    """What a reference net adds to a UNet: one tensor per layer, in the order in which the layers run.

    Attributes:
        down: conv_in's first, then each down block's layers and downsampler, [B, C_l, h_l, w_l].
        mid: the mid block's.
        up: each up block's layers and upsampler.

    At Stable Diffusion 1.x's size these are 12 + 1 + 15.
    """

    down: tuple[Tensor, ...]
    mid: Tensor
    up: tuple[Tensor, ...]


def predict_with_residuals(unet: Any, z: Tensor, t: Tensor | int, text: Tensor, residuals: Residuals) -> Tensor:
    """ε [B, 4, h, w] of a UNet whose layers' outputs have `residuals` added.

    A down layer's sum also goes into its skip connection. The exception is conv_in: its skip is stored before the sum,
    so that residual reaches the first down block only (both as in the published BrushNet). Gradients flow into the
    residuals; with a frozen UNet and a plain `z` nothing before the first sum is recorded.

    Args:
        unet: `UNet2DConditionModel` of SD topology, without gradient checkpointing of its own.
        z: noisy latents [B, C, h, w] with as many channels as the UNet takes.
        t: timestep, a scalar or [B].
        text: token features [B, L, D].
        residuals: as many as the UNet has layers, in its dtype.

    Raises:
        ValueError: another number of residuals than layers.
    """
    with _added(unet, residuals):
        eps: Tensor = unet(z, t, encoder_hidden_states=text).sample
    return eps


@contextmanager
def _added(unet: Any, residuals: Residuals) -> Iterator[None]:
    """Hooks that add the residuals while the block runs; the UNet is as before when it is left."""
    first, *down = residuals.down
    sites = (*layers_of(unet.down_blocks), unet.mid_block, *layers_of(unet.up_blocks))
    pairs = zip(sites, (*down, residuals.mid, *residuals.up), strict=True)
    hooks = [unet.down_blocks[0].register_forward_pre_hook(_add_to_input(first), with_kwargs=True)]
    try:
        for site, residual in pairs:
            hooks.append(site.register_forward_hook(_add_to_output(residual)))
        yield
    finally:
        for hook in hooks:
            hook.remove()


def layers_of(blocks: Any) -> list[nn.Module]:
    """The modules whose outputs are a UNet's features, in running order: each layer's last one and each resampler."""
    found: list[nn.Module] = []
    for block in blocks:
        found += getattr(block, "attentions", None) or block.resnets
        found += getattr(block, "downsamplers", None) or getattr(block, "upsamplers", None) or ()
    return found


def _add_to_input(residual: Tensor) -> Any:
    def hook(_module: nn.Module, args: Any, kwargs: dict[str, Any]) -> Any:
        return args, kwargs | {"hidden_states": kwargs["hidden_states"] + residual}

    return hook


def _add_to_output(residual: Tensor) -> Any:
    def hook(_module: nn.Module, _args: Any, output: Any) -> Any:
        # A transformer block answers with a tuple of one.
        return (output[0] + residual,) if isinstance(output, tuple) else output + residual

    return hook
