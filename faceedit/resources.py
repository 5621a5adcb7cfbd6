"""Where the files are that travel with the code: recipes, the weights manifest, the bundled weights."""

from __future__ import annotations

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _shipped(name: str) -> Path:
    """A wheel carries the file inside the package, a checkout carries it beside the package."""
    inside = _PACKAGE / name
    return inside if inside.exists() else _PACKAGE.parent / name


def recipes_dir() -> Path:
    """Folder of the shipped recipes."""
    return _shipped("recipes")


def manifest_path() -> Path:
    """The file `weights.toml`."""
    return _shipped("weights.toml")


def bundled_weights_dir() -> Path:
    """Folder of the weights that are part of the package; one folder per set, e.g. `mini-2`."""
    return _PACKAGE / "weights"
