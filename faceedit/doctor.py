"""What this machine can run, and what stands in the way. Asks no network."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement

from faceedit import __version__
from faceedit.readiness import free_memory

LOW_DISK = 2 * 1024**3
_EXTRAS = {"c2pa": "signing results", "metrics": "more scores", "plot": "plots of evaluations"}


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
        Finding("memory", f"{_gigabytes(total_memory())}, {_gigabytes(free_memory())} free"),
        Finding("disk", f"{_gigabytes(free)} free here", free >= LOW_DISK, "make room: results and trainings need it"),
        Finding("defaults", f"{config_file}{'' if config_file.is_file() else ' (not there)'}"),
        Finding("hub cache", _hub_cache_size()),
        Finding("network", _network()),
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


def _hub_cache_size() -> str:
    folder = Path(hub_cache())
    if not folder.is_dir():
        return f"{folder} (not there)"
    # Names in the snapshots are links to the contents, which count once.
    size = sum(path.lstat().st_size for path in folder.rglob("*") if not path.is_dir())
    return f"{folder}, {_gigabytes(size)}, {_gigabytes(shutil.disk_usage(folder).free)} free there"


def _network() -> str:
    """Whether downloads are allowed and for whom; says never what the token is, and tries nothing."""
    from faceedit.models.hub import has_token, offline

    if offline():
        return "none: HF_HUB_OFFLINE is set"
    login = "logged in" if has_token() else "not logged in, which only gated weights need"
    return f"used by faceedit weights pull alone; {login}"


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
        free, total = torch.cuda.mem_get_info(index)
        half = "fp32, fp16, bf16" if torch.cuda.get_device_capability(index)[0] >= 8 else "fp32, fp16"
        name = torch.cuda.get_device_name(index)
        text = f"{name}, {_gigabytes(total)}, {_gigabytes(free)} free, {half}"
        found.append(Finding(f"cuda:{index}", text, True))
    if torch.backends.mps.is_available():
        found.append(Finding("mps", "Apple GPU, fp32, fp16", True))
    if len(found) == 2:
        found.append(Finding("accelerator", "none found; edits run on the CPU"))
    return [*found, Finding("attention", _attention())]


def _attention() -> str:
    """Names for device.attention: PyTorch's own, and the packages for others that are installed."""
    packages = {"flash_attn": "flash", "sageattention": "sage", "xformers": "xformers"}
    others = [name for package, name in packages.items() if find_spec(package) is not None]
    return f"native{''.join(f', {name}' for name in others)}"


def _packages() -> tuple[Finding, ...]:
    try:
        wanted = requires("faceedit") or []
    except PackageNotFoundError:
        return (Finding("faceedit", "not installed, run from its folder", False, "pip install ."),)
    found = []
    for requirement in map(Requirement, wanted):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            found.append(_package(requirement))
    return (*found, *(_extra(name, wanted) for name in _EXTRAS))


def _extra(name: str, wanted: list[str]) -> Finding:
    """Whether what an extra brings is there; nothing is wrong where it is not."""
    lines = [line for line in map(Requirement, wanted) if line.marker and line.marker.evaluate({"extra": name})]
    needed = [line for line in lines if not line.marker or not line.marker.evaluate({"extra": ""})]
    found = [_package(line) for line in needed]
    missing = [finding.name for finding in found if not finding.ok]
    told = f"pip install 'faceedit[{name}]' for {_EXTRAS[name]}" if missing or not needed else "installed"
    return Finding(f"[{name}]", told)


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
        fix = "install faceedit again" if known.kind == "bundled" else f"faceedit weights pull {known.id}"
        found.append(Finding(known.id, text + detail, state.state == PRESENT, fix))
    return tuple(found)


def _recipes() -> tuple[Finding, ...]:
    from faceedit.readiness import NOT, readiness
    from faceedit.recipe import list_recipes

    verdicts = {name: readiness(name) for name in list_recipes()}
    return tuple(Finding(name, str(v), v.state != NOT, v.advice) for name, v in verdicts.items())
