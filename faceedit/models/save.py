"""Writing components as a folder in diffusers layout, and taking a trained set into the package."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from faceedit.errors import WeightsError
from faceedit.models.components import MODELS, PARTS, TOKENIZERS, Components, ImageStatistics
from faceedit.models.tensors import tied_keys


def save_components(components: Components, folder: Path, dtype: torch.dtype | None = None) -> None:
    """Write components so that `load_components` reads them as `kind: local`.

    Args:
        components: those that are `None` are left out.
        folder: made where it is missing; gets `model_index.json` and one folder per part.
        dtype: precision of the stored floating-point tensors; `None` keeps theirs.

    Raises:
        WeightsError: a number does not fit into `dtype`.
    """
    pipeline = "StableDiffusionPipeline" if components.transformer is None else "FluxPipeline"
    index: dict[str, Any] = {"_class_name": pipeline}
    for part in PARTS:
        component = getattr(components, part)
        if component is None:
            continue
        place = folder / part
        place.mkdir(parents=True, exist_ok=True)
        if part in MODELS:
            _save_module(component, place, part, dtype)
        elif isinstance(component, ImageStatistics):
            text = json.dumps({"image_mean": component.mean, "image_std": component.std}, indent=2)
            (place / "preprocessor_config.json").write_text(text + "\n", encoding="utf-8")
            index[part] = ["transformers", "CLIPImageProcessor"]
            continue
        else:
            component.save_pretrained(str(place))
        index[part] = [type(component).__module__.partition(".")[0], type(component).__name__]
        if part in TOKENIZERS:
            _drop_local_paths(place / "tokenizer_config.json")
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _save_module(module: Any, folder: Path, part: str, dtype: torch.dtype | None) -> None:
    if hasattr(module, "save_config"):
        module.save_config(str(folder))
        name = "diffusion_pytorch_model.safetensors"
    else:
        module.config.architectures = [type(module).__name__]
        module.config.save_pretrained(str(folder))
        name = "model.safetensors"
    state = {key: stored(values, dtype, f"{part}: {key}") for key, values in module.state_dict().items()}
    for key in tied_keys(module):
        del state[key]
    save_file(state, str(folder / name), metadata={"format": "pt"})


def stored(values: torch.Tensor, dtype: torch.dtype | None, what: str) -> torch.Tensor:
    """A tensor on the CPU in the precision that it is stored in; `what` names it in errors.

    Raises:
        WeightsError: NaN, infinity, or a number beyond what `dtype` holds.
    """
    cast = values.detach().cpu().to(dtype if dtype is not None and values.is_floating_point() else values.dtype)
    if cast.is_floating_point() and not torch.isfinite(cast).all():
        raise WeightsError(f"{what} does not fit into {cast.dtype}", "the training has diverged, or store it in fp32")
    return cast.contiguous()


def _drop_local_paths(path: Path) -> None:
    """transformers writes the folder that a tokenizer was read from; it means nothing elsewhere."""
    values = json.loads(path.read_text(encoding="utf-8"))
    for key in ("name_or_path", "_name_or_path"):
        values.pop(key, None)
    path.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
