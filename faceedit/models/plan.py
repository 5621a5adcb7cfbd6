"""The device plan: what the models run on, how precisely, and what is moved off the device in between."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from faceedit.errors import UsageError
from faceedit.recipe_schema import DeviceOptions

# Large parts in 4 bits, by bitsandbytes' own names.
_NF4 = {
    "quant_method": "bitsandbytes",
    "load_in_4bit": True,
    "bnb_4bit_quant_type": "nf4",
    "bnb_4bit_compute_dtype": "bfloat16",
}
DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}

# The VAE stays in fp32: in fp16 Stable Diffusion's decoder overflows to black frames on some pictures, and bf16 has
# fewer bits than an 8-bit picture. It is a small part of every backbone.
FP32_PARTS = frozenset({"vae"})


@dataclass(frozen=True)
class Preset:
    """A memory preset: where the models wait, and the form that large parts rest in, as far as they are there."""

    memory: str
    layerwise: Mapping[str, str] = field(default_factory=dict)
    quantization: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


PRESETS = {
    "full": Preset("full"),
    "low": Preset("low"),
    "lowest": Preset("lowest"),
    "80gb": Preset("full"),
    "24gb": Preset("low", layerwise={"transformer": "fp8"}),
    "16gb": Preset("low", quantization={"transformer": _NF4, "text_encoder_2": _NF4}),
}
_DEFAULTS = DeviceOptions()


@dataclass(frozen=True)
class DevicePlan:
    """How components are placed.

    Attributes:
        device: device that computes.
        dtype: precision of every part but `FP32_PARTS`.
        memory: "auto" (by what is free), "full" (all on the device), "low" (one model at a time) or "lowest"
            (one layer at a time).
        preset: name of the preset that `memory` and the two forms of the weights came from, e.g. "24gb".
        attention: diffusers' name of the attention backend of the denoiser, or `None` for its own choice.
        quantization: part -> quantisation config as diffusers and transformers take it (`quant_method`, options).
        layerwise: part -> precision that its weights rest in (`faceedit.models.layerwise`).
    """

    device: torch.device
    dtype: torch.dtype
    memory: str = "full"
    attention: str | None = None
    quantization: Mapping[str, Mapping[str, Any]] | None = None
    layerwise: Mapping[str, str] = field(default_factory=dict)
    preset: str = ""

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
    if preset not in PRESETS and preset != "auto":
        raise UsageError(f"unknown memory preset {preset!r}", f"the choices are: auto, {', '.join(PRESETS)}")
    plan = DevicePlan(
        device=target,
        dtype=DTYPES[precision] if precision != "auto" else _usual_dtype(target),
        memory="full" if target.type == "cpu" else "auto",
        attention=None if options.attention == "auto" else options.attention,
        quantization=options.quantization or None,
        layerwise=options.layerwise,
    )
    return plan if preset == "auto" else with_preset(plan, preset)


def with_preset(plan: DevicePlan, name: str) -> DevicePlan:
    """The plan under a preset of `PRESETS`; what the recipe says of a part's form wins."""
    preset = PRESETS[name]
    told = {*(plan.quantization or {}), *plan.layerwise}
    layerwise = {part: storage for part, storage in preset.layerwise.items() if part not in told}
    quantization = {part: settings for part, settings in preset.quantization.items() if part not in told}
    return replace(
        plan,
        memory="full" if plan.device.type == "cpu" else preset.memory,
        layerwise={**plan.layerwise, **layerwise},
        quantization={**(plan.quantization or {}), **quantization} or None,
        preset=name,
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
