"""Weights that rest in 8 bits: each layer is cast to the precision that it computes in while it runs, and back."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

import torch
from torch import nn

from faceedit.errors import UsageError

STORAGE = {"fp8": torch.float8_e4m3fn, "fp8-e5m2": torch.float8_e5m2}


def require_layerwise(layerwise: Mapping[str, str], parts: Collection[str], device: torch.device) -> None:
    """Check a recipe's `device.layerwise`.

    Args:
        layerwise: part -> name of the storage precision.
        parts: names of the models that are there and not quantised.
        device: where they compute.

    Raises:
        UsageError: a part that is none of these, an unknown precision, or a device that has none.
    """
    for part, storage in layerwise.items():
        if part not in parts:
            told = f"device.layerwise: {part} is not there, or quantised"
            raise UsageError(told, f"the choices are: {', '.join(sorted(parts))}")
        if storage not in STORAGE:
            choices = ", ".join(STORAGE)
            raise UsageError(f"device.layerwise: unknown precision {storage!r}", f"the choices are: {choices}")
    if layerwise and device.type == "mps":
        raise UsageError("device.layerwise: MPS devices have no 8-bit floating point", "leave it out")


def rest_in(module: nn.Module, storage: str, compute: torch.dtype) -> None:
    """Let a module's large layers rest in `storage` ("fp8") and compute in `compute`, from now on.

    Left as they are: what norms are modulated by, position embeddings, and the layers that the class wants in fp32,
    whose weight's precision T5 reads before it calls them.
    """
    from diffusers.hooks import apply_layerwise_casting

    apply_layerwise_casting(module, STORAGE[storage], compute, skip_modules_pattern=_left_alone(module))


def bytes_at_rest(module: nn.Module, storage: str = "", dtype: torch.dtype | None = None) -> int:
    """Bytes of a module's parameters, shared ones once.

    Args:
        module: may be on the meta device.
        storage: what they would be after `rest_in`; empty for as they are.
        dtype: precision that the others are taken for; `None` for the one that they have.
    """
    from diffusers.hooks._common import _GO_LC_SUPPORTED_PYTORCH_LAYERS

    sizes = {id(p): p.numel() * (dtype or p.dtype).itemsize for p in module.parameters()}
    if not storage:
        return sum(sizes.values())
    patterns = _left_alone(module)
    for name, layer in module.named_modules():
        prefixes = [name.rsplit(".", k)[0] for k in range(name.count(".") + 1)]
        skipped = any(re.search(pattern, prefix) for pattern in patterns for prefix in prefixes)
        if isinstance(layer, _GO_LC_SUPPORTED_PYTORCH_LAYERS) and not skipped:
            sizes |= {id(p): p.numel() * STORAGE[storage].itemsize for p in layer.parameters()}
    return sum(sizes.values())


def rests_in_8_bits(module: nn.Module) -> bool:
    """Whether any of its weights do."""
    return any(parameter.dtype in STORAGE.values() for parameter in module.parameters())


def _left_alone(module: nn.Module) -> tuple[str, ...]:
    from diffusers.hooks.layerwise_casting import DEFAULT_SKIP_MODULES_PATTERN

    kept = (getattr(module, name, None) or () for name in ("_keep_in_fp32_modules", "_skip_layerwise_casting_patterns"))
    return (*DEFAULT_SKIP_MODULES_PATTERN, *(pattern for names in kept for pattern in names))
