"""The device plan: what the models run on, how precisely, and what is moved off the device in between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from faceedit.errors import UsageError
from faceedit.recipe_schema import DeviceOptions

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}

# The VAE stays in fp32: in fp16 Stable Diffusion's decoder overflows to black frames on some pictures, and bf16 has
# fewer bits than an 8-bit picture. It is a small part of every backbone.
FP32_PARTS = frozenset({"vae"})
_DEFAULTS = DeviceOptions()


@dataclass(frozen=True)
class DevicePlan:
    """How components are placed.

    Attributes:
        device: device that computes.
        dtype: precision of every part but `FP32_PARTS`.
        memory: "auto" (by what is free), "full" (all on the device), "low" (one model at a time) or "lowest"
            (one layer at a time).
        attention: diffusers' name of the attention backend of the denoiser, or `None` for its own choice.
        quantization: part -> quantisation config as diffusers and transformers take it (`quant_method`, options).
    """

    device: torch.device
    dtype: torch.dtype
    memory: str = "full"
    attention: str | None = None
    quantization: Mapping[str, Mapping[str, Any]] | None = None

    def dtype_of(self, part: str) -> torch.dtype:
        """Precision of a part ("vae", "unet", ...)."""
        return torch.float32 if part in FP32_PARTS else self.dtype


def device_plan(
    options: DeviceOptions = _DEFAULTS, device: str = "auto", dtype: str = "auto", memory: str = "auto"
) -> DevicePlan:
    """The plan for a recipe's device section; the other arguments are the request's and win unless "auto".

    Raises:
        UsageError: a device that is unknown or not there, a precision or memory preset that does not exist.
    """
    target = _device(device if device != "auto" else options.device)
    precision = dtype if dtype != "auto" else options.dtype
    preset = memory if memory != "auto" else options.memory
    if precision != "auto" and precision not in DTYPES:
        raise UsageError(f"unknown precision {precision!r}", f"the choices are: auto, {', '.join(DTYPES)}")
    if preset not in ("auto", "full", "low", "lowest"):
        raise UsageError(f"unknown memory preset {preset!r}", "the choices are: auto, full, low, lowest")
    return DevicePlan(
        device=target,
        dtype=DTYPES[precision] if precision != "auto" else _usual_dtype(target),
        memory="full" if target.type == "cpu" else preset,
        attention=None if options.attention == "auto" else options.attention,
        quantization=options.quantization or None,
    )


def memory_preset(preset: str, weight_bytes: int, largest_bytes: int, free_bytes: int) -> str:
    """Resolve "auto": everything on the device where it fits with room for activations, else as little as needed.

    Args:
        preset: the plan's preset; anything but "auto" is kept.
        weight_bytes: all components on the device.
        largest_bytes: the largest one.
        free_bytes: free device memory.
    """
    if preset != "auto":
        return preset
    room = free_bytes - 2 * 1024**3
    if weight_bytes <= room:
        return "full"
    return "low" if largest_bytes <= room else "lowest"


def _usual_dtype(device: torch.device) -> torch.dtype:
    if device.type == "cpu":
        return torch.float32
    if device.type == "cuda" and torch.cuda.get_device_capability(device)[0] >= 8:
        return torch.bfloat16
    return torch.float16


def _device(name: str) -> torch.device:
    has_mps = torch.backends.mps.is_available()
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if has_mps else "cpu")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (index and not (kind == "cuda" and index.isdecimal())):
        raise UsageError(f"unknown device {name!r}", "the choices are: auto, cpu, cuda, cuda:N, mps")
    if kind == "cuda" and not torch.cuda.is_available():
        raise UsageError("this PyTorch sees no CUDA device", "use --device cpu, or install PyTorch with CUDA")
    if kind == "cuda" and index and int(index) >= torch.cuda.device_count():
        raise UsageError(f"there is no {name}", f"the last one is cuda:{torch.cuda.device_count() - 1}")
    if kind == "mps" and not has_mps:
        raise UsageError("this machine has no MPS device", "use --device cpu")
    return torch.device(name)
