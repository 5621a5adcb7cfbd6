"""Loading recipes: YAML with inheritance (`base:`) and overrides, checked against the schema; no model library."""

from __future__ import annotations

import difflib
import math
import types
import typing
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, Field, asdict, dataclass, fields, is_dataclass
from functools import cache
from pathlib import Path
from typing import Any

from faceedit.errors import UsageError
from faceedit.recipe_schema import Recipe
from faceedit.recipe_yaml import read_text, read_value, read_yaml
from faceedit.resources import recipes_dir

_SUFFIXES = (".yaml", ".yml")
_NO_OVERRIDES: Mapping[str, str] = types.MappingProxyType({})


@dataclass(frozen=True)
class OptionRow:
    """One option of a resolved recipe: dotted key, value as YAML text, meaning with its limits."""

    key: str
    value: str
    meaning: str


def load_recipe(name_or_path: str, overrides: Mapping[str, str] = _NO_OVERRIDES) -> Recipe:
    """Read a recipe with everything that it inherits, then apply the overrides.

    Args:
        name_or_path: name of a shipped recipe ("mini/inpaint"; "mini" means "mini/base") or path of a YAML file.
        overrides: dotted keys and values as text, as `--set` gives them ("sampling.steps": "20"); a key without a dot
            that is none of the recipe's own means an option of its editor's section ("inversion": "npi").

    Raises:
        UsageError: no such recipe, a key that the schema does not know, a value of another type or outside its
            limits, inheritance in a circle, or YAML that recipes do not take (tags, aliases, `${...}`).
    """
    path = _find(name_or_path, Path.cwd())
    values = _inherited(path, (), name_or_path)
    values["name"] = _name_of(path)
    for key, text in overrides.items():
        _override(values, _in_section(values, key), text)
    return recipe_from(values, str(name_or_path))


def recipe_from(values: Mapping[str, Any], origin: str = "recipe") -> Recipe:
    """Check plain values, as `recipe_values` gives them, against the schema; `origin` names them in errors.

    Raises:
        UsageError: as `load_recipe`.
    """
    recipe: Recipe = _section(Recipe, values, origin, "")
    return recipe


def recipe_values(recipe: Recipe) -> dict[str, Any]:
    """The recipe as nested plain values, ready for JSON; `recipe_from` reads them back."""
    return asdict(recipe)


def list_recipes() -> tuple[str, ...]:
    """Names of the shipped recipes that edit; the `base` files they inherit from and trainings are left out."""
    root = recipes_dir()
    names = (_name_of(path) for suffix in _SUFFIXES for path in root.rglob(f"*{suffix}"))
    return tuple(sorted(n for n in names if not n.startswith("train/") and n.rpartition("/")[2] != "base"))


def describe(recipe: Recipe) -> tuple[OptionRow, ...]:
    """Every option of a recipe with its value and meaning, in the order of the schema."""
    return tuple(OptionRow(key, _shown(value), _meaning(item)) for key, value, item in _leaves(recipe, ""))


def _leaves(section: Any, prefix: str) -> Iterator[tuple[str, Any, Field[Any]]]:
    for item in fields(section):
        value = getattr(section, item.name)
        if is_dataclass(value):
            yield from _leaves(value, f"{prefix}{item.name}.")
        else:
            yield f"{prefix}{item.name}", value, item


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if value not in ("", {}) else "-"


def _meaning(item: Field[Any]) -> str:
    limits = []
    if item.metadata["choices"]:
        limits.append("one of " + ", ".join(item.metadata["choices"]))
    low, high = item.metadata["at_least"], item.metadata["at_most"]
    if low is not None:
        limits.append(f"{low:g} to {high:g}" if high is not None else f"at least {low:g}")
    meaning: str = item.metadata["meaning"]
    return meaning + (f" ({'; '.join(limits)})" if limits else "")


def _name_of(path: Path) -> str:
    """`mini/inpaint` for a shipped recipe, the file's stem for any other."""
    root = recipes_dir().resolve()
    resolved = path.resolve()
    return resolved.relative_to(root).with_suffix("").as_posix() if resolved.is_relative_to(root) else path.stem


def _find(name: str, folder: Path) -> Path:
    """The file of a recipe: a path (relative to `folder`), else a name under the shipped recipes."""
    if name.endswith(_SUFFIXES):
        path = folder / name
        if path.is_file():
            return path
        raise UsageError(f"no recipe file {name}", "give the path of a YAML file or a name from: faceedit recipes list")
    root = recipes_dir()
    parts = name.split("/")
    if name and not any(part in ("", ".", "..") or "\\" in part or ":" in part for part in parts):
        for candidate in (root.joinpath(*parts), root.joinpath(*parts, "base")):
            for suffix in _SUFFIXES:
                path = candidate.with_name(candidate.name + suffix)
                if path.is_file():
                    return path
    raise UsageError(
        f"unknown recipe {name!r}", f"{_nearest(name, list_recipes())}they are: {', '.join(list_recipes())}"
    )


def _inherited(path: Path, heirs: tuple[Path, ...], asked_as: str) -> dict[str, Any]:
    """Values of a file laid over those of its base, its base's base and so on."""
    from omegaconf import OmegaConf

    resolved = path.resolve()
    if resolved in heirs:
        circle = " -> ".join(_name_of(p) for p in (*heirs, resolved))
        raise UsageError(f"recipe {asked_as}: inheritance in a circle: {circle}", "remove one `base:`")
    values = read_yaml(path)
    base = values.pop("base", None)
    if base is None:
        return values
    if not isinstance(base, str):
        raise UsageError(f"recipe {asked_as}: base must be one name or path, not {base!r}", "e.g. base: mini/base")
    below = _inherited(_find(base, path.parent), (*heirs, resolved), asked_as)
    merged = OmegaConf.to_container(OmegaConf.merge(below, values))
    return typing.cast("dict[str, Any]", merged)


def _in_section(values: Mapping[str, Any], key: str) -> str:
    """The full key of an override: the recipe's own, or of the section that is named like its editor."""
    section = str(values.get("editor", Recipe.editor)).replace("-", "_")
    kind = _hints(Recipe).get(section)
    own = key in _hints(Recipe) or not is_dataclass(kind)
    return key if own or key not in _hints(typing.cast(type, kind)) else f"{section}.{key}"


def _override(values: dict[str, Any], key: str, text: str) -> None:
    """Set one dotted key to a value written as text."""
    *path, last = key.split(".")
    kind: Any = Recipe
    for part in (*path, last):
        if not is_dataclass(kind):  # inside a free mapping, whose values have no type of their own
            if kind is not Any and typing.get_origin(kind) is not dict:
                raise UsageError(
                    f"--set {key}: {part!r} has no place under a single value", "see: faceedit recipes show NAME"
                )
            kind = Any if kind is Any else typing.get_args(kind)[1]
            continue
        hints = _hints(typing.cast(type, kind))
        if part not in hints:
            raise _unknown(key, part, tuple(hints), "--set")
        kind = hints[part]
    if is_dataclass(kind):
        raise UsageError(
            f"--set {key}: {key} is a section, not an option", f"e.g. --set {key}.{fields(kind)[0].name}=..."
        )
    target = values
    for part in path:
        target = target.setdefault(part, {})
        if not isinstance(target, dict):
            raise UsageError(f"--set {key}: {part} is not a section", "see: faceedit recipes show NAME")
    target[last] = read_text(text, f"--set {key}") if kind is str else read_value(text, f"--set {key}")


@cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _section(kind: type, values: Any, origin: str, prefix: str) -> Any:
    """A dataclass of the schema from a plain mapping; every value checked, nothing converted but int to float."""
    hints = _hints(kind)
    if not isinstance(values, Mapping):
        raise UsageError(
            f"{origin}: {prefix.rstrip('.') or 'a recipe'} must be a section, not {values!r}", "indent its options"
        )
    built = {}
    for key, value in values.items():
        if key not in hints:
            raise _unknown(f"{prefix}{key}", str(key), tuple(hints), origin)
        hint = hints[key]
        if is_dataclass(hint):
            built[key] = _section(typing.cast(type, hint), value, origin, f"{prefix}{key}.")
        else:
            item = kind.__dataclass_fields__[key]  # type: ignore[attr-defined]
            built[key] = _checked(item, hint, value, f"{origin}: {prefix}{key}")
    return kind(**built)


def _checked(item: Field[Any], hint: Any, value: Any, where: str) -> Any:
    """A value of the hinted type inside the limits of its field."""
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    mapping = typing.get_origin(hint) is dict
    fits = isinstance(value, dict) if mapping else type(value) is hint
    if fits and mapping and typing.get_args(hint)[1] is str:
        fits = all(isinstance(k, str) and isinstance(v, str) for k, v in value.items())
    if not fits:
        hint_text = ' (put it in quotes: "...")' if hint is str else ""
        default = item.default if item.default is not MISSING else "{}"
        raise UsageError(f"{where} must be {_wanted(hint)}, not {value!r}{hint_text}", f"e.g. {item.name}: {default!r}")
    low, high, choices = (item.metadata[name] for name in ("at_least", "at_most", "choices"))
    if choices and value not in choices:
        raise UsageError(
            f"{where}: {value!r} is no choice", f"{_nearest(value, choices)}the choices are: {', '.join(choices)}"
        )
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{where} must be finite, not {value!r}", item.metadata["meaning"])
    if (low is not None and value < low) or (high is not None and value > high):
        raise UsageError(f"{where}: {value!r} is out of range", _meaning(item))
    return value


def _wanted(hint: Any) -> str:
    names = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
    return names.get(hint, "a section of text values" if typing.get_args(hint)[1:] == (str,) else "a section")


def _unknown(key: str, part: str, valid: tuple[str, ...], origin: str) -> UsageError:
    return UsageError(f"{origin}: unknown key {key!r}", f"{_nearest(part, valid)}valid here: {', '.join(valid)}")


def _nearest(name: str, valid: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, valid, n=1)
    return f"did you mean {near[0]!r}? " if near else ""
