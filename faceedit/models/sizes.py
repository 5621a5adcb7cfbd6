"""How large a recipe's models are in the form that they run in: from their configurations, nothing is loaded."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from faceedit.models.components import IP_ADAPTER, MODELS, component_class
from faceedit.models.jsonfile import read_config
from faceedit.models.layerwise import bytes_at_rest
from faceedit.models.loader import classes_of, empty_module, parts_of, random_parts
from faceedit.models.places import weights_folder
from faceedit.models.plan import PRESETS, DevicePlan
from faceedit.models.residence import RUNNING_ORDER
from faceedit.models.tensors import read_header, tied_keys
from faceedit.recipe_schema import Weights

# Bytes of a quantised number: four bits with a scale in fp32 for every 64 of them, as bitsandbytes stores them.
_FOUR_BITS, _EIGHT_BITS = 0.5 + 4 / 64, 1.0


def empty_models(weights: Weights, skip: Sequence[str] = ()) -> dict[str, nn.Module]:
    """part -> model of these weights, its parameters on the meta device (random ones are real, and tiny).

    Raises:
        WeightsError: the weights are not there, or a configuration is none.
    """
    if weights.kind == "random":
        built = {part: module for part, module in parts_of(random_parts(weights)).items() if part in MODELS}
        return {part: module for part, module in built.items() if part not in skip}
    places = classes_of(weights_folder(weights, hashes=False), weights.folders)
    return {
        part: empty_module(component_class(part, name), read_config(folder / "config.json"), folder)
        for part, (folder, name) in places.items()
        if part in MODELS and part not in skip and name != IP_ADAPTER
    }


def running_bytes(models: Mapping[str, nn.Module], plan: DevicePlan, preset: str = "full") -> dict[str, int]:
    """part -> bytes of its parameters as the plan and a preset let them rest; of a quantised part about so many."""
    quantized, layerwise = plan.quantization or {}, {**PRESETS[preset].layerwise, **plan.layerwise}
    found = {}
    for part, model in models.items():
        dtype = plan.dtype_of(part)
        if part in quantized:
            found[part] = _quantised_bytes(model, quantized[part], dtype)
        else:
            found[part] = bytes_at_rest(model, layerwise.get(part, ""), dtype) - _tied_bytes(model, dtype)
    return found


def resident_bytes(models: Mapping[str, nn.Module], plan: DevicePlan, preset: str) -> dict[str, int]:
    """part -> bytes of weights that are on the device while it runs, those of other parts included."""
    sizes, quantized = running_bytes(models, plan, preset), {*(plan.quantization or {})}
    where = PRESETS[preset].memory
    if where == "full":
        return dict.fromkeys(sizes, sum(sizes.values()))
    stays = sum(sizes[part] for part in quantized & sizes.keys())  # quantised parts do not move
    if where == "low":
        groups = {part: group for group in RUNNING_ORDER for part in group}
        moving = {part: size for part, size in sizes.items() if part not in quantized}
        return {part: stays + sum(moving.get(one, 0) for one in groups.get(part, (part,))) for part in sizes}
    layers = {part: largest_layer(model, plan.dtype_of(part)) for part, model in models.items()}
    return {part: stays + (0 if part in quantized else layer) for part, layer in layers.items()}


def loading_bytes(files: Mapping[str, Path], plan: DevicePlan) -> int:
    """Memory that loading takes: every file once, and once more where its numbers are cast as they are read.

    Args:
        files: "part/file" -> its path, as `faceedit.models.places.weight_paths` gives them.
        plan: the precision that each part runs in.

    Raises:
        WeightsError: a file is no safetensors.
    """
    needed = 0
    for name, path in files.items():
        stored = next((tensor for tensor in read_header(path).values() if tensor.bytes), None)
        itemsize = plan.dtype_of(name.partition("/")[0]).itemsize
        cast = stored is None or stored.bytes != math.prod(stored.shape) * itemsize
        needed += path.stat().st_size * (1 + cast)
    return needed


def largest_layer(model: nn.Module, dtype: torch.dtype) -> int:
    """Bytes of the parameters of the model's largest single layer."""
    layers = [sum(p.numel() for p in layer.parameters(recurse=False)) for layer in model.modules()]
    return max(layers) * dtype.itemsize


def _tied_bytes(model: nn.Module, dtype: torch.dtype) -> int:
    """Parameters that an empty model still has twice."""
    twice = [
        model.get_parameter(key)
        for key, source in tied_keys(model).items()
        if model.get_parameter(key) is not model.get_parameter(source)
    ]
    return sum(p.numel() for p in twice) * dtype.itemsize


def _quantised_bytes(model: Any, settings: Mapping[str, Any], dtype: torch.dtype) -> int:
    each = _FOUR_BITS if settings.get("load_in_4bit") else _EIGHT_BITS
    kept = getattr(model, "_keep_in_fp32_modules", None) or ()
    linear = sum(
        layer.weight.numel()
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and not any(part in name.split(".") for part in kept)
    )
    return round(linear * each) + bytes_at_rest(model, "", dtype) - linear * dtype.itemsize - _tied_bytes(model, dtype)
