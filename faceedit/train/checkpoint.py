"""Checkpoints in safetensors and JSON: weights, their average, the optimiser's state and the random state."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from faceedit.errors import WeightsError
from faceedit.train.ema import MovingAverage, named_parameters


@dataclass(frozen=True)
class Progress:
    """How far a run has come: finished steps, samples seen and seconds spent over all its sittings."""

    step: int = 0
    samples: int = 0
    seconds: float = 0.0


def save_checkpoint(
    folder: Path,
    modules: Mapping[str, nn.Module],
    average: MovingAverage,
    optimizer: torch.optim.Optimizer,
    progress: Progress,
    settings: Mapping[str, Any],
    keep: int,
) -> Path:
    """Write `folder/STEP/` whole or not at all, then drop all but the newest `keep` checkpoints."""
    target = folder / f"{progress.step:08d}"
    partial = folder / f".{target.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    weights = {
        f"{key}.{name}": tensor for key, module in modules.items() for name, tensor in module.state_dict().items()
    }
    names = [name for name, _ in named_parameters(modules)]
    moments = {
        f"{key}/{names[index]}": value
        for index, state in optimizer.state_dict()["state"].items()
        for key, value in state.items()
    }
    random = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        random["cuda"] = torch.cuda.get_rng_state()
    for name, tensors in (("model", weights), ("ema", average.shadow), ("optimizer", moments), ("random", random)):
        save_file(_plain(tensors), partial / f"{name}.safetensors")
    state = {
        "step": progress.step,
        "samples": progress.samples,
        "seconds": progress.seconds,
        "settings": dict(settings),
        "torch": str(torch.__version__),
    }
    (partial / "state.json").write_text(json.dumps(state, indent=1))
    shutil.rmtree(target, ignore_errors=True)
    partial.rename(target)
    for old in _finished(folder)[:-keep]:
        shutil.rmtree(old)
    return target


def latest_checkpoint(folder: Path) -> Path | None:
    """The newest finished checkpoint in a run's `checkpoints` folder, or None."""
    found = _finished(folder)
    return found[-1] if found else None


def load_checkpoint(
    path: Path,
    modules: Mapping[str, nn.Module],
    average: MovingAverage,
    optimizer: torch.optim.Optimizer,
) -> tuple[Progress, dict[str, Any]]:
    """Put a checkpoint's state into the modules, the average and the optimiser.

    Returns:
        The progress, and the settings that the checkpoint was written with.

    Raises:
        WeightsError: the checkpoint's tensors are not those of this model.
    """
    state = json.loads((path / "state.json").read_text())
    weights = load_file(path / "model.safetensors")
    for key, module in modules.items():
        own = {name.removeprefix(f"{key}."): t for name, t in weights.items() if name.startswith(f"{key}.")}
        try:
            module.load_state_dict(own)
        except RuntimeError as error:
            raise WeightsError(
                f"the checkpoint {path} does not fit the {key} of this recipe: {str(error).splitlines()[-1].strip()}",
                "resume with the settings the run was started with, or give another output folder",
            ) from error
    averaged = load_file(path / "ema.safetensors")
    parameters = named_parameters(modules)
    average.shadow = {name: _laid_out_like(p, averaged[name]) for name, p in parameters}
    moments = load_file(path / "optimizer.safetensors")
    keys = sorted({name.partition("/")[0] for name in moments})
    slots = {
        index: {key: _laid_out_like(p, moments[f"{key}/{name}"]) for key in keys}
        for index, (name, p) in enumerate(parameters)
    }
    fresh = optimizer.state_dict()
    optimizer.load_state_dict({"state": slots, "param_groups": fresh["param_groups"]})
    random = load_file(path / "random.safetensors")
    torch.set_rng_state(random["cpu"])
    if "cuda" in random and torch.cuda.is_available():
        torch.cuda.set_rng_state(random["cuda"])
    return Progress(state["step"], state["samples"], state["seconds"]), state["settings"]


def _finished(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob("[0-9]*") if (p / "state.json").is_file())


def _laid_out_like(parameter: Tensor, value: Tensor) -> Tensor:
    """The value on the parameter's device and with its strides.

    Fused AdamW walks weights and moments as flat memory: moments in another layout would be those of other weights.
    """
    if value.shape != parameter.shape:
        return value
    return torch.empty_like(parameter, requires_grad=False).copy_(value)


def _plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Row-major CPU copies: safetensors refuses channels_last strides and memory that two tensors share."""
    return {name: t.detach().cpu().contiguous().clone() for name, t in tensors.items()}
