"""CA-Edit's two parts on loading: an IP-Adapter's single file, and whether the parts fit their backbone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from faceedit.errors import WeightsError
from faceedit.models.components import Components
from faceedit.models.tensors import load_into

_TOPOLOGY = ("block_out_channels", "layers_per_block", "flip_sin_to_cos", "freq_shift")


def published_adapter(file: Path, unet: Any, vision: dict[str, Any], dtype: torch.dtype) -> Any:
    """An IP-Adapter as published: one safetensors file, 4 tokens, no configuration and no score predictor.

    Args:
        file: e.g. `ip-adapter_sd15.safetensors`.
        unet: the backbone, may be on the meta device; its layers and text width say what must be in the file.
        vision: configuration of the vision encoder in the same recipe.
        dtype: precision of the adapter.

    Raises:
        WeightsError: keys missing, unexpected or of another shape: made for another backbone or vision encoder.
    """
    from accelerate import init_empty_weights

    from faceedit.models.condition_adapter import ConditionAdapter

    with init_empty_weights():
        adapter = ConditionAdapter.from_net(unet, image_dim=int(vision["projection_dim"]))
    load_into(adapter, (file,), "adapter", dtype=dtype)
    return adapter.eval().requires_grad_(False)


def require_fit(components: Components) -> None:
    """The reference net copies this UNet, and the adapter reads this vision encoder and text.

    Raises:
        WeightsError: one belongs to other weights.
    """
    net, unet, adapter, vision = (getattr(components, part) for part in ("reference_net", "unet", "adapter", "vision"))
    if net is not None and unet is not None:
        _require_equal("reference_net", "unet", {key: (net.config[key], unet.config[key]) for key in _TOPOLOGY})
    if adapter is not None and unet is not None:
        _require_equal("adapter", "unet", {"text_dim": (adapter.config.text_dim, unet.config.cross_attention_dim)})
    if adapter is not None and vision is not None:
        width = vision.config.projection_dim if adapter.config.tokens else vision.config.hidden_size
        _require_equal("adapter", "vision", {"image_dim": (adapter.config.image_dim, width)})


def _require_equal(part: str, other: str, values: dict[str, tuple[Any, Any]]) -> None:
    for key, (own, its) in values.items():
        own, its = (list(v) if isinstance(v, (list, tuple)) else v for v in (own, its))
        if own != its:
            raise WeightsError(
                f"{part} was made for {key} {own}, and {other} has {its}",
                f"set weights.folders.{part} to one that fits",
            )
