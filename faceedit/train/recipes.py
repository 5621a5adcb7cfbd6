"""Training recipes: `recipes/train/NAME.yaml` laid over the defaults of the settings dataclasses, strictly checked."""

from __future__ import annotations

import difflib
import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from faceedit.errors import UsageError
from faceedit.recipe_yaml import read_value, read_yaml

S = TypeVar("S")


def load_settings(kind: type[S], path: Path, overrides: Mapping[str, str] | None = None) -> S:
    """Settings from a YAML file and overrides in dotted keys (`loop.steps=200`).

    Raises:
        UsageError: an unknown key, a value of the wrong type, or a file outside the YAML subset that recipes take.
    """
    values = read_yaml(path)
    for key, text in (overrides or {}).items():
        parts = key.split(".")
        level: dict[str, Any] = values
        for part in parts[:-1]:
            level = level.setdefault(part, {})
            if not isinstance(level, dict):
                raise UsageError(f"{key} has no keys below {part}", f"set {part} itself")
        level[parts[-1]] = read_value(text, f"--set {key}")
    return _build(kind, values, str(path), "")


def _build(kind: type[S], values: Any, origin: str, prefix: str) -> S:
    if not isinstance(values, Mapping):
        raise UsageError(f"{origin}: {prefix.rstrip('.')} must be a section, not {values!r}", "indent its keys")
    hints = typing.get_type_hints(kind)
    names = [f.name for f in fields(kind)]  # type: ignore[arg-type]
    built: dict[str, Any] = {}
    for key, value in values.items():
        if key not in hints:
            near = difflib.get_close_matches(str(key), names, n=1)
            guess = f"did you mean {near[0]!r}? " if near else ""
            raise UsageError(f"{origin}: unknown key {prefix}{key}", f"{guess}valid here: {', '.join(names)}")
        hint = hints[key]
        if is_dataclass(hint):
            built[key] = _build(typing.cast(type, hint), value, origin, f"{prefix}{key}.")
        else:
            built[key] = _value(hint, value, f"{origin}: {prefix}{key}")
    return kind(**built)


def _value(hint: Any, value: Any, where: str) -> Any:
    """A value of the hinted type; whole numbers pass as floats and lists as tuples."""
    options = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    for option in options:
        if option is types.NoneType and value is None:
            return None
        if typing.get_origin(option) is tuple and isinstance(value, list):
            return tuple(_value(typing.get_args(option)[0], item, where) for item in value)
        if option is float and type(value) in (int, float):
            return float(value)
        if type(value) is option:
            return value
    wanted = " or ".join(getattr(o, "__name__", str(o)) for o in options)
    raise UsageError(f"{where} must be {wanted}, not {value!r}", "see docs/training.md")
