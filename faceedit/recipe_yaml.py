"""The YAML that recipes are written in: plain values only, no tags, aliases, duplicate keys or `${...}`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from faceedit.errors import UsageError

_MAX_BYTES = 256 * 1024

# YAML 1.1 reads 12:30 as 750 and 010 as 8.
_SURPRISES = re.compile(r"[-+]?(\d+(:[0-5]?\d)+(\.\d*)?|0[0-9_]+)")


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file, as nested plain values.

    Raises:
        UsageError: unreadable, no mapping, or YAML outside the subset above.
    """
    try:
        data = path.read_bytes()
        text = data.decode("utf-8")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", "check the path and its permissions") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text", "save it as UTF-8") from error
    if len(data) > _MAX_BYTES:
        raise UsageError(f"{path} is larger than {_MAX_BYTES // 1024} KiB", "a recipe is a page of text")
    values: dict[str, Any] = _parse(text, str(path))
    return values


def read_value(text: str, where: str) -> Any:
    """One value written in YAML, as after `--set key=`; `where` names it in errors.

    Raises:
        UsageError: YAML outside the subset.
    """
    # Under a key, because OmegaConf reads a bare scalar as the mapping {scalar: None}.
    values = _parse(f"value: {text}", where)
    if list(values) != ["value"]:
        raise UsageError(f"{where}: {text!r} is more than one value", "give every key its own --set")
    return values["value"]


def read_text(text: str, where: str) -> str:
    """Text taken as it stands; UsageError where it holds `${`, which recipes never resolve."""
    if "${" in text:
        raise UsageError(f"{where}: {text!r} is not taken", "recipes do not interpolate: write the value itself")
    return text


def _parse(text: str, where: str) -> Any:
    import yaml
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        events = list(yaml.parse(text, Loader=yaml.SafeLoader))
        root = next((event for event in events if isinstance(event, yaml.NodeEvent)), None)
        if root is not None and not isinstance(root, (yaml.MappingStartEvent, yaml.AliasEvent)):
            raise UsageError(f"{where} holds no `key: value` lines", "see recipes/mini/inpaint.yaml")
        for event in events:
            if getattr(event, "tag", None) is not None:
                raise UsageError(f"{where}: YAML tags ({event.tag}) are not taken", "write plain values")
            if getattr(event, "anchor", None) is not None:
                raise UsageError(f"{where}: YAML anchors and aliases are not taken", "inherit with `base:` instead")
            if isinstance(event, yaml.ScalarEvent) and event.style is None and _SURPRISES.fullmatch(event.value):
                raise UsageError(
                    f"{where}: {event.value} would be read as another number", "put it in quotes if it is text"
                )
        values = OmegaConf.to_container(OmegaConf.create(text), resolve=False)
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise UsageError(
            f"{where}{line}: {_one_line(error.problem or str(error))}", "the file must be valid YAML"
        ) from error
    except (yaml.YAMLError, OmegaConfBaseException) as error:
        raise UsageError(f"{where}: {_one_line(str(error))}", "the file must be valid YAML") from error
    for leaf in _strings(values):
        read_text(leaf, where)
    return values


def _one_line(message: str) -> str:
    return re.sub(r"\s+", " ", message).strip()


def _strings(values: Any) -> Iterator[str]:
    if isinstance(values, str):
        yield values
    elif isinstance(values, dict):
        for key, value in values.items():
            yield from _strings(key)
            yield from _strings(value)
    elif isinstance(values, list):
        for value in values:
            yield from _strings(value)
