"""The user's file of defaults: config.toml with option names as keys, and one table per verb."""

from __future__ import annotations

import difflib
import os
import sys
from pathlib import Path
from typing import Any

import platformdirs

from faceedit.errors import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CONFIG_VARIABLE = "FACEEDIT_CONFIG"
FIX = "correct the file, or point FACEEDIT_CONFIG at another"


def user_file() -> Path:
    """Where defaults are read from: FACEEDIT_CONFIG, else config.toml in the user's configuration folder."""
    named = os.environ.get(CONFIG_VARIABLE)
    return Path(named) if named else platformdirs.user_config_path("faceedit", appauthor=False) / "config.toml"


def defaults(command: Any) -> dict[str, Any]:
    """The default values of every verb as the user's file gives them, in Typer's `default_map` form.

    Top-level keys count for every verb that has such an option; a table named after a verb ("edit", "weights.list")
    counts for that verb and wins. Keys are option names as typed, with or without dashes for underscores.

    Args:
        command: the root command, whose verbs and options say which keys exist.

    Raises:
        UsageError: the file is no TOML, or a key names no option.
    """
    path = user_file()
    if not path.is_file():
        return {}
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"cannot read {path}: {error}", FIX) from error
    shared = {key: value for key, value in document.items() if not isinstance(value, dict)}
    _refuse_unknown(shared, _option_names(command), path)
    tables = {key: value for key, value in document.items() if isinstance(value, dict)}
    return _verb_defaults(command, shared, tables, path)


def _verb_defaults(command: Any, shared: dict[str, Any], tables: dict[str, Any], path: Path) -> dict[str, Any]:
    verbs: dict[str, Any] = command.commands
    _refuse_unknown(tables, set(verbs), path)
    found: dict[str, Any] = {}
    for name, verb in verbs.items():
        table = tables.get(name, {})
        if hasattr(verb, "commands"):
            found[name] = _verb_defaults(verb, shared, table, path)
            continue
        _refuse_unknown(table, _option_names(verb), path)
        parameters = _options(verb)
        chosen = {_key(key): value for key, value in {**shared, **table}.items()}
        found[name] = {parameters[key]: value for key, value in chosen.items() if key in parameters}
    return found


def _options(command: Any) -> dict[str, str]:
    """Option key ("source_prompt") -> name of the parameter that receives it."""
    return {
        _key(flag.lstrip("-")): parameter.name
        for parameter in command.params
        if parameter.param_type_name == "option"
        for flag in parameter.opts
        if flag.startswith("--")
    }


def _option_names(command: Any) -> set[str]:
    if hasattr(command, "commands"):
        return set().union(*(_option_names(verb) for verb in command.commands.values()))
    return set(_options(command))


def _key(text: str) -> str:
    return text.replace("-", "_")


def _refuse_unknown(keys: dict[str, Any], known: set[str], path: Path) -> None:
    for key in keys:
        if key not in known and _key(key) not in known:
            near = difflib.get_close_matches(_key(key), sorted(known), n=1)
            meant = f"did you mean {near[0]!r}? " if near else ""
            raise UsageError(f"unknown key {key!r} in {path}", meant + FIX)
