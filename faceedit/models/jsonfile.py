"""Reading the JSON that comes with weights as data only: nothing in it may name code to run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from faceedit.errors import WeightsError

_MAX_BYTES = 64 * 1024**2
_REFUSED = ("auto_map", "custom_pipeline", "custom_pipelines", "trust_remote_code", "_target_", "attn_implementation")
_REFUSED_PREFIX = "_attn_implementation"


def read_json(path: Path) -> dict[str, Any]:
    """The object in a JSON file.

    Raises:
        WeightsError: missing, unreadable, no object, or a key that occurs twice.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise WeightsError(f"{path} is too large for a configuration", "fetch the weights again")
        values = parse_json(path.read_bytes(), str(path))
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror}", "fetch the weights again") from error
    return values


def parse_json(data: bytes, where: str) -> dict[str, Any]:
    """The object in JSON bytes; `where` names them in errors. Raises WeightsError as `read_json`."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) != len(pairs):
            keys = [key for key, _ in pairs]
            twice = next(key for key in keys if keys.count(key) > 1)
            raise WeightsError(f"{where}: key {twice!r} occurs twice", "the file was tampered with or badly written")
        return values

    try:
        values = json.loads(data.decode("utf-8"), object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"{where} is not valid JSON", "fetch the weights again") from error
    if not isinstance(values, dict):
        raise WeightsError(f"{where} holds no JSON object", "fetch the weights again")
    return values


def read_config(path: Path) -> dict[str, Any]:
    """A model's configuration, refused where any key, at any depth, could choose code that is run.

    Raises:
        WeightsError: as `read_json`, or such a key.
    """
    values = read_json(path)
    _refuse_code(values, path)
    return values


def _refuse_code(values: Any, path: Path) -> None:
    if isinstance(values, dict):
        for key, value in values.items():
            if key in _REFUSED or key.startswith(_REFUSED_PREFIX):
                raise WeightsError(f"{path}: key {key!r} is refused: it can choose code to run", "remove the key")
            _refuse_code(value, path)
    elif isinstance(values, list):
        for value in values:
            _refuse_code(value, path)
