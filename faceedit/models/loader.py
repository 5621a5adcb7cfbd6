"""Components from a bundled folder, a local folder or the Hugging Face cache, placed as the device plan says."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from faceedit.errors import WeightsError
from faceedit.models.components import (
    IP_ADAPTER,
    MODELS,
    PARTS,
    PUBLISHED_NAMES,
    TOKENIZERS,
    Components,
    ImageStatistics,
    component_class,
)
from faceedit.models.conditions import published_adapter, require_fit
from faceedit.models.jsonfile import read_config
from faceedit.models.keys import kept_in_fp32, renamer
from faceedit.models.places import part_place, weights_folder
from faceedit.models.plan import DevicePlan
from faceedit.models.residence import place
from faceedit.models.tensors import load_into, weight_files
from faceedit.recipe_schema import Weights


def load_components(
    weights: Weights, plan: DevicePlan, parts: Sequence[str] | None = None, skip: Sequence[str] = ()
) -> Components:
    """Build the components that a recipe's weights section names. Nothing is downloaded.

    Args:
        weights: the recipe's section.
        plan: from `device_plan`.
        parts: which parts ("vae", "unet", ...); `None` for all that are there.
        skip: parts that are left out even where they are there.

    Returns:
        Components in eval mode with no gradients; parts that were not asked for or are not there are `None`.

    Raises:
        WeightsError: weights that are missing, damaged or unsafe, or whose keys do not fit the configuration.
        UsageError: an attention backend or quantisation that this machine does not offer.
    """
    if weights.kind == "random":
        tiny = random_parts(weights)
        built = {part: getattr(tiny, part) for part in PARTS if (parts is None or part in parts) and part not in skip}
        for part, dtype in ((part, plan.dtype_of(part)) for part in MODELS):
            if built.get(part) is not None and built[part].dtype != dtype:
                built[part] = built[part].to(dtype)
    else:
        folder = weights_folder(weights)
        classes = classes_of(folder, weights.folders)
        _choose_statistics(classes, weights.folders)
        wanted = [part for part in PARTS if part in (classes if parts is None else parts) and part not in skip]
        built = {part: _part(part, folder, classes, weights, plan) for part in wanted}
    components = Components(device=plan.device, **built)
    require_fit(components)
    return place(components, plan)


def random_parts(weights: Weights) -> Components:
    """Tiny parts with random weights, of the family that the section names, on the CPU in fp32."""
    if weights.family == "flux":
        from faceedit.models.random_flux import random_flux_components

        return random_flux_components(weights.seed)
    from faceedit.models.random import random_components

    return random_components(weights.seed)


def classes_of(folder: Path, folders: Mapping[str, str]) -> dict[str, tuple[Path, str]]:
    """part -> (its folder, class name), from model_index.json and the recipe's replacements.

    Raises:
        WeightsError: no part of that name, or a folder without its configuration.
    """
    index = read_config(folder / "model_index.json")
    found: dict[str, tuple[Path, str]] = {}
    for name, entry in index.items():
        part = PUBLISHED_NAMES.get(name, name)
        if part in PARTS and isinstance(entry, list) and len(entry) == 2 and entry[1] is not None:
            found[part] = (folder / name, str(entry[1]))
    for part, place_ in folders.items():
        if part not in PARTS:
            raise WeightsError(f"weights.folders: there is no part {part!r}", f"the parts are: {', '.join(PARTS)}")
        path = part_place(place_)
        single = part == "adapter" and path.is_file()
        found[part] = (path, IP_ADAPTER if single else _class_of(path, part, found))
    return found


def _choose_statistics(classes: dict[str, tuple[Path, str]], folders: Mapping[str, str]) -> None:
    """Keep the preprocessor that goes with the vision encoder, if any; without one, CLIP's published numbers hold."""
    places = [classes[part][0] for part in ("vision", "image_processor") if part in classes]
    if "vision" not in classes:
        # Published pipelines also name a preprocessor for their safety checker; nothing here would read it.
        classes.pop("image_processor", None)
    elif "vision" in folders and "image_processor" not in folders:
        classes.pop("image_processor", None)
        own = [place_ for place_ in places if (place_ / "preprocessor_config.json").is_file()]
        if own:
            classes["image_processor"] = (own[0], "CLIPImageProcessor")


def _class_of(folder: Path, part: str, found: Mapping[str, tuple[Path, str]]) -> str:
    """A folder on its own names its class in its configuration; tokenizers and the like keep the replaced one's."""
    if part in MODELS:
        config = read_config(folder / "config.json")
        architectures = config.get("architectures") or [""]
        return str(config.get("_class_name") or architectures[0])
    if part in TOKENIZERS and part not in found:
        return str(read_config(folder / "tokenizer_config.json").get("tokenizer_class"))
    if part not in found:
        raise WeightsError(f"weights.folders: {part} replaces nothing", "model_index.json has no such part")
    return found[part][1]


def _part(part: str, root: Path, classes: Mapping[str, tuple[Path, str]], weights: Weights, plan: DevicePlan) -> Any:
    if part not in classes:
        raise WeightsError(f"{root} holds no {part}", f"it holds {', '.join(classes)}")
    folder, class_name = classes[part]
    if part == "image_processor":
        return _statistics(folder)
    if class_name == IP_ADAPTER:
        return _ip_adapter(folder, classes, plan)
    kind = component_class(part, class_name)
    if part in TOKENIZERS:
        return _tokenizer(kind, folder)
    if part == "scheduler":
        return build_scheduler(kind, read_config(folder / "scheduler_config.json"))
    quantization = (plan.quantization or {}).get(part)
    if quantization is not None:
        from faceedit.models.quantize import load_quantized

        return load_quantized(kind, folder, weights.variant, plan.dtype_of(part), quantization, part)
    module = empty_module(kind, read_config(folder / "config.json"), folder)
    load_into(
        module,
        weight_files(folder, weights.variant),
        part,
        dtype=plan.dtype_of(part),
        rename=renamer(module),
        dtype_of=kept_in_fp32(module, plan.dtype_of(part)),
    )
    return module.eval().requires_grad_(False)


def _ip_adapter(file: Path, classes: Mapping[str, tuple[Path, str]], plan: DevicePlan) -> Any:
    if "vision" not in classes:
        raise WeightsError(
            f"{file} needs the vision encoder that it was trained with", "set weights.folders.vision to its folder"
        )
    unet, class_name = classes["unet"]
    empty = empty_module(component_class("unet", class_name), read_config(unet / "config.json"), unet)
    vision = read_config(classes["vision"][0] / "config.json")
    return published_adapter(file, empty, vision, plan.dtype_of("adapter"))


def build_scheduler(kind: Any, config: Mapping[str, Any]) -> Any:
    """A scheduler of `kind` from another's configuration: what `kind` has no option for is left out."""
    known = inspect.signature(kind).parameters
    # DDIM clips by default, and latents are not in [-1, 1]; PNDM, which SD 1.x names, never clips and does not say so.
    config = {"clip_sample": False, **config}
    return kind(**{name: value for name, value in config.items() if name in known})


def empty_module(kind: Any, config: Mapping[str, Any], where: Path | str = "config") -> Any:
    """A diffusers or transformers module whose parameters are on the meta device and whose buffers are real.

    Raises:
        WeightsError: the class does not take the configuration.
    """
    from accelerate import init_empty_weights

    try:
        with init_empty_weights(include_buffers=False):
            if hasattr(kind, "config_class") and kind.config_class is not None:
                return kind(kind.config_class.from_dict(dict(config)))
            return kind.from_config(dict(config))
    except (TypeError, ValueError, KeyError) as error:
        raise WeightsError(
            f"{where}: {kind.__name__} does not take this configuration: {error}", "fetch it again"
        ) from error


def _statistics(folder: Path) -> ImageStatistics:
    config = read_config(folder / "preprocessor_config.json")
    try:
        mean, std = (tuple(float(v) for v in config[key]) for key in ("image_mean", "image_std"))
    except (KeyError, TypeError, ValueError) as error:
        raise WeightsError(
            f"{folder}: preprocessor_config.json holds no image_mean and image_std", "fetch it again"
        ) from error
    return ImageStatistics(mean, std)


def _tokenizer(kind: Any, folder: Path) -> Any:
    if not folder.is_dir():
        raise WeightsError(f"{folder} is missing", "fetch the weights again")
    for path in folder.glob("*.json"):
        if path.name not in ("vocab.json", "tokenizer.json"):
            read_config(path)
    try:
        return kind.from_pretrained(str(folder), local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        line = str(error).splitlines()[0]
        raise WeightsError(f"{folder}: the tokenizer cannot be read: {line}", "fetch the weights again") from error


def parts_of(components: Components) -> dict[str, Any]:
    """The parts that are there, by name."""
    found = {item.name: getattr(components, item.name) for item in dataclasses.fields(components)}
    return {name: part for name, part in found.items() if name != "device" and part is not None}
