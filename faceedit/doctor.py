"""What this machine can run, and what stands in the way. Asks no network."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from faceedit import __version__
from faceedit.errors import FaceEditError

LOW_DISK = 2 * 1024**3


@dataclass(frozen=True)
class Finding:
    """One line of the report: `ok` is `None` for plain facts; `advice` says what to do where it is false."""

    name: str
    value: str
    ok: bool | None = None
    advice: str = ""


@dataclass(frozen=True)
class Diagnosis:
    """The report, by section."""

    machine: tuple[Finding, ...]
    packages: tuple[Finding, ...]
    weights: tuple[Finding, ...]
    recipes: tuple[Finding, ...]

    @property
    def sections(self) -> dict[str, tuple[Finding, ...]]:
        """Section name -> its findings, in reading order."""
        return {
            "machine": self.machine,
            "packages": self.packages,
            "weights": self.weights,
            "recipes": self.recipes,
        }


def diagnose(config_file: Path) -> Diagnosis:
    """Looks at everything that an edit needs.

    Args:
        config_file: the user's file of defaults, there or not.
    """
    return Diagnosis((*_system(config_file), *_devices()), _packages(), _weights(), _recipes())


def _system(config_file: Path) -> list[Finding]:
    free = shutil.disk_usage(Path.cwd()).free
    return [
        Finding("faceedit", __version__),
        Finding("python", f"{platform.python_version()} ({sys.executable})"),
        Finding("platform", f"{platform.platform()}, {platform.machine()}, {os.cpu_count()} CPU cores"),
        Finding("memory", _gigabytes(total_memory())),
        Finding("disk", f"{_gigabytes(free)} free here", free >= LOW_DISK, "make room: results and trainings need it"),
        Finding("defaults", f"{config_file}{'' if config_file.is_file() else ' (not there)'}"),
        Finding("hub cache", hub_cache()),
        Finding("cache", _inverted_pictures()),
        Finding("faces", f"embedded detectors{_yunet()}"),
    ]


def _yunet() -> str:
    from faceedit.detect import yunet_folder

    found = sorted(yunet_folder().glob("face_detection_yunet*.onnx"))
    return f" and {found[-1]}" if found else f"; YuNet's ONNX file would be taken from {yunet_folder()}"


def _inverted_pictures() -> str:
    from faceedit.recipe_schema import CacheOptions
    from faceedit.trajectories import open_cache

    cache = open_cache(CacheOptions())
    count, size = cache.usage()
    return f"{count} inverted pictures, {_gigabytes(size)}, in {cache.folder}"


def hub_cache() -> str:
    """The local Hugging Face cache folder, as its own library finds it."""
    from huggingface_hub.constants import HF_HUB_CACHE

    return str(HF_HUB_CACHE)


def total_memory() -> int:
    """Installed memory in bytes."""
    import psutil

    return int(psutil.virtual_memory().total)


def _gigabytes(count: int) -> str:
    return f"{count / 1024**3:.1f} GiB"


def _devices() -> list[Finding]:
    import torch

    found = [
        Finding("torch", f"{torch.__version__}, {torch.get_num_threads()} threads"),
        Finding("cpu", "fp32, bf16", True),
    ]
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        dtypes = "fp32, fp16, bf16" if torch.cuda.is_bf16_supported() else "fp32, fp16"
        found.append(
            Finding(f"cuda:{index}", f"{properties.name}, {_gigabytes(properties.total_memory)}, {dtypes}", True)
        )
    if torch.backends.mps.is_available():
        found.append(Finding("mps", "Apple GPU, fp32, fp16", True))
    if len(found) == 2:
        found.append(Finding("accelerator", "none found; edits run on the CPU"))
    return found


def _packages() -> tuple[Finding, ...]:
    try:
        wanted = requires("faceedit") or []
    except PackageNotFoundError:
        return (Finding("faceedit", "not installed, run from its folder", False, "pip install ."),)
    found = []
    for line in wanted:
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        found.append(_package(requirement))
    return tuple(found)


def _package(requirement: Requirement) -> Finding:
    fix = f"pip install '{requirement.name}{requirement.specifier}'"
    try:
        installed = version(requirement.name)
    except PackageNotFoundError:
        return Finding(requirement.name, f"missing (needs {requirement.specifier})", False, fix)
    fits = requirement.specifier.contains(installed, prereleases=True)
    return Finding(requirement.name, installed if fits else f"{installed} (needs {requirement.specifier})", fits, fix)


def _weights() -> tuple[Finding, ...]:
    from faceedit.models.manifest import PRESENT, check, weight_sets

    found = []
    for known in weight_sets():
        state = check(known, hashes=known.kind == "bundled")
        text = f"{state.state}{', verified' if known.kind == 'bundled' and state.state == PRESENT else ''}"
        detail = f" ({state.problems[0]})" if state.problems and state.state != "missing" else ""
        fix = "install faceedit again" if known.kind == "bundled" else f"needed only by {', '.join(known.needed_by)}"
        found.append(Finding(known.id, text + detail, state.state == PRESENT, fix))
    return tuple(found)


def _recipes() -> tuple[Finding, ...]:
    from faceedit.recipe import list_recipes

    return tuple(_recipe(name) for name in list_recipes())


def _recipe(name: str) -> Finding:
    """Whether a recipe would run, from its weights and device alone; nothing is loaded."""
    from faceedit.models.places import weights_folder
    from faceedit.models.plan import device_plan
    from faceedit.recipe import load_recipe

    try:
        recipe = load_recipe(name)
        plan = device_plan(recipe.device)
        if recipe.weights.kind != "random":
            weights_folder(recipe.weights)
    except FaceEditError as error:
        return Finding(name, f"does not run: {error}", False, error.hint)
    return Finding(name, f"runs on {plan.device}", True)
