"""Where loaded modules live: all on the device, one model at a time, or one layer at a time; and in what form."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from torch import nn

from faceedit.errors import UsageError
from faceedit.models.components import MODELS, Components
from faceedit.models.layerwise import bytes_at_rest, require_layerwise, rest_in
from faceedit.models.plan import PRESETS, DevicePlan, memory_preset

# The order in which an edit runs its models. Each group sends the one before it off the device, so that the largest
# text encoder is gone when the denoiser comes. UNet and reference net run in turn at every step and stay together.
RUNNING_ORDER = (
    ("vision",),
    ("text_encoder",),
    ("text_encoder_2",),
    ("unet", "reference_net"),
    ("transformer",),
    ("vae",),
)
_IN_8_BITS = PRESETS["24gb"].layerwise


def place(components: Components, plan: DevicePlan) -> Components:
    """The components themselves, moved or hooked as the plan says, with the plan's attention backend.

    Raises:
        UsageError: the attention backend is unknown or not usable here, or so is a form that weights shall rest in.
    """
    modules = {part: getattr(components, part) for part in MODELS if getattr(components, part) is not None}
    if plan.attention is not None:
        for part in ("unet", "transformer"):
            if part in modules:
                _set_attention(modules[part], plan.attention)
    sizes = {part: bytes_at_rest(module) for part, module in modules.items()}
    in_8_bits = {part: bytes_at_rest(module, _IN_8_BITS.get(part, "")) for part, module in modules.items()}
    preset = PRESETS[preset_for(plan, sizes, in_8_bits)]
    quantized = plan.quantization or {}
    layerwise = {**preset.layerwise, **plan.layerwise}
    # A preset forms what is there; what the recipe itself names must be there.
    presets = {*preset.layerwise, *(PRESETS[plan.preset].layerwise if plan.preset else ())}
    require_layerwise(layerwise, {*modules, *presets} - {*quantized}, plan.device)
    for part, storage in layerwise.items():
        if part in modules:
            rest_in(modules[part], storage, plan.dtype_of(part))
    if preset.memory == "full" or not modules:
        for part, module in modules.items():
            if part not in quantized:
                module.to(plan.device)
    elif preset.memory == "low":
        _one_at_a_time(modules, plan, quantized)
    else:
        from diffusers.hooks import apply_group_offloading

        for part, module in modules.items():
            if part not in quantized and part != "adapter":
                apply_group_offloading(
                    module, onload_device=plan.device, offload_device=torch.device("cpu"), offload_type="leaf_level"
                )
    if "adapter" in modules:
        # Its layers are called one by one from within another model, and it is small.
        modules["adapter"].to(plan.device)
    return components


def _one_at_a_time(modules: dict[str, Any], plan: DevicePlan, quantized: Collection[str]) -> None:
    from accelerate import cpu_offload_with_hook
    from accelerate.hooks import UserCpuOffloadHook

    hook = None
    for group in RUNNING_ORDER:
        here = [modules[part] for part in group if part in modules and part not in quantized]
        hooks = [cpu_offload_with_hook(module, plan.device, prev_module_hook=hook)[1] for module in here]
        if hooks:
            hook = hooks[0] if len(hooks) == 1 else UserCpuOffloadHook(nn.ModuleList(here), hooks[0].hook)


def preset_for(plan: DevicePlan, sizes: Mapping[str, int], in_8_bits: Mapping[str, int]) -> str:
    """Name of the preset that says where the models wait.

    Args:
        plan: the device, and "auto" or what was asked for.
        sizes: part -> bytes of each model.
        in_8_bits: the same if the transformer rested in 8 bits, which is tried before one layer at a time.
    """
    if plan.device.type != "cuda":
        # Apple's devices share the machine's memory: moving modules out of it frees nothing.
        return "full"
    free, _ = torch.cuda.mem_get_info(plan.device)
    taken, smaller = (_by_what_is_free(plan, found, free) for found in (sizes, in_8_bits))
    return "24gb" if plan.memory == "auto" and (taken, smaller) == ("lowest", "low") else taken


def _by_what_is_free(plan: DevicePlan, sizes: Mapping[str, int], free: int) -> str:
    largest = max(sum(sizes.get(part, 0) for part in group) for group in RUNNING_ORDER)
    return memory_preset(plan.memory, sum(sizes.values()), largest, free)


def _set_attention(denoiser: Any, backend: str) -> None:
    from diffusers.models.attention_dispatch import attention_backend

    try:
        # diffusers also makes the backend that of the whole process; the processors keep theirs without that.
        with attention_backend("native"):
            denoiser.set_attention_backend(backend)
    except (ValueError, RuntimeError, ImportError) as error:
        line = str(error).splitlines()[0]
        raise UsageError(f"attention backend {backend!r}: {line[:200]}", "set device.attention=auto") from error
    # On models whose processors know no backends, the SD UNet among them, diffusers takes the call and does nothing.
    if not any(getattr(processor, "_attention_backend", None) for processor in denoiser.attn_processors.values()):
        raise UsageError(f"attention backend {backend!r}: this denoiser has only its own", "set device.attention=auto")
