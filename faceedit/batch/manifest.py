"""Manifests: JSONL or CSV, one picture a row, every row checked before anything runs."""

from __future__ import annotations

import csv
import difflib
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from faceedit.batch.safe_path import relative_path
from faceedit.decode import plain
from faceedit.errors import FaceEditError, UsageError

SUFFIXES = (".jsonl", ".ndjson", ".csv")
SEPARATOR = "|"  # between the values of one CSV cell
MAX_BYTES = 256 << 20
MAX_ROWS = 1_000_000
_MAX_TEXT = 2000
_MAX_FAULTS = 10


@dataclass(frozen=True)
class Row:
    """One row: a picture and what is to be done with it. `None` or empty means: as the command line says.

    Attributes:
        where: "line 3", for messages.
        image: path of the picture below the manifest's root.
        edits: the edits to make, each a tuple of phrases that make one edit together.
        output: path of the result below the output folder.
        consent: what was agreed with the person in the picture; kept in the item's record.
    """

    where: str
    image: PurePosixPath
    edits: tuple[tuple[str, ...], ...] = ()
    mask: PurePosixPath | None = None
    region: tuple[str, ...] = ()
    seed: int | None = None
    backend: str | None = None
    recipe: str | None = None
    face: int | None = None
    source_prompt: str | None = None
    output: PurePosixPath | None = None
    consent: str | None = None


def read_manifest(path: Path) -> tuple[Row, ...]:
    """All rows of a JSONL or CSV file (UTF-8).

    Raises:
        UsageError: the file cannot be read, is no JSONL or CSV, has unknown or repeated columns, values of another
            type, or paths that lead out of their folder; the first ten faulty rows are told together.
    """
    text = _text(path)
    rows: list[Row] = []
    faults: list[str] = []
    for where, values in _from_csv(text) if path.suffix.lower() == ".csv" else _from_jsonl(text):
        try:
            rows.append(_row(where, values() if callable(values) else values))
        except FaceEditError as error:
            faults.append(str(error))
        if len(faults) == _MAX_FAULTS or len(rows) > MAX_ROWS:
            break
    name = plain(path)
    if faults:
        raise UsageError(f"{name}: {'; '.join(faults)}", f"the columns are: {', '.join(COLUMNS)} (docs/batch.md)")
    if not rows:
        raise UsageError(f"{name} holds no rows", "give one JSON object a line, or a CSV with a header")
    if len(rows) > MAX_ROWS:
        raise UsageError(f"{name} holds more than {MAX_ROWS:,} rows", "cut it into several")
    return tuple(rows)


def _text(path: Path) -> str:
    name = plain(path)
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"cannot read {name}: {error.strerror}", "check the path and its permissions") from None
    if len(data) > MAX_BYTES:
        raise UsageError(f"{name} is larger than {MAX_BYTES >> 20} MiB", "cut it into several")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{name} is not UTF-8 text", "save it as UTF-8") from None


Values = dict[str, Any] | Callable[[], dict[str, Any]]


def _from_jsonl(text: str) -> Iterator[tuple[str, Values]]:
    # Only "\n" ends a line: str.splitlines would also cut at a separator inside a JSON string.
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            where = f"line {number}"
            yield where, partial(_object, line, where)


def _object(line: str, where: str) -> dict[str, Any]:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise UsageError(f"{where}: the key {plain(twice)!r} comes twice")
        return found

    try:
        values = json.loads(line, object_pairs_hook=once)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{where}: no JSON ({plain(error)})") from None
    if not isinstance(values, dict):
        raise UsageError(f"{where}: not a JSON object")
    return values


def _from_csv(text: str) -> Iterator[tuple[str, Values]]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        header = next(reader, [])
        for name in header:
            _check_column(name, "line 1")
        if len(set(header)) < len(header):
            raise UsageError(f"line 1: a column comes twice in {', '.join(header)}")
        for cells in reader:
            where = f"line {reader.line_num}"
            if not cells:
                continue
            if len(cells) != len(header):
                raise UsageError(f"{where}: {len(cells)} cells under {len(header)} columns")
            # An empty cell says nothing; what is no text in JSON is read from its cell.
            yield where, {name: _cell(name, cell) for name, cell in zip(header, cells, strict=True) if cell}
    except csv.Error as error:
        raise UsageError(f"line {reader.line_num}: no CSV ({plain(error)})", "quote cells with line ends") from None


def _cell(name: str, cell: str) -> Any:
    if name in ("seed", "face"):
        return int(cell) if cell.isascii() and cell.isdigit() else cell
    return cell.split(SEPARATOR) if name in ("prompts", "region") else cell


def _row(where: str, values: dict[str, Any]) -> Row:
    for name in values:
        _check_column(name, where)
    given = {name: value for name, value in values.items() if value is not None}
    if "image" not in given:
        raise UsageError(f"{where}: no image")
    fields: dict[str, Any] = {name: COLUMNS[name](value, f"{where}: {name}") for name, value in given.items()}
    both = [name for name in ("prompt", "prompts") if name in fields]
    if len(both) == 2:
        raise UsageError(f"{where}: give prompt or prompts, not both")
    if "mask" in fields and "region" in fields:
        raise UsageError(f"{where}: mask and region exclude each other")
    edits = tuple(edit for name in both for edit in fields.pop(name))
    if "output" in fields and len(edits) > 1:
        raise UsageError(f"{where}: several prompts cannot go to one output; give each a row of its own")
    return Row(where=where, edits=edits, **fields)


def _check_column(name: str, where: str) -> None:
    if name not in COLUMNS:
        near = difflib.get_close_matches(name, COLUMNS, n=1)
        raise UsageError(f"{where}: unknown column {plain(name)!r}" + (f", did you mean {near[0]!r}?" if near else ""))


def _line(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value.strip():
        raise UsageError(f"{where} must be text, not {plain(value)[:60]!r}")
    if len(value) > _MAX_TEXT or not value.isprintable():
        raise UsageError(f"{where}: longer than {_MAX_TEXT} characters, or with control characters")
    return value


def _lines(value: Any, where: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        return (_line(value, where),)
    if not value:
        raise UsageError(f"{where} is an empty list")
    return tuple(_line(item, where) for item in value)


def _one_edit(value: Any, where: str) -> tuple[tuple[str, ...], ...]:
    return (_lines(value, where),)


def _several_edits(value: Any, where: str) -> tuple[tuple[str, ...], ...]:
    if not isinstance(value, list) or not value:
        raise UsageError(f"{where} must be a list of edits, not {plain(value)[:60]!r}")
    return tuple(_lines(item, where) for item in value)


def _path(value: Any, where: str) -> PurePosixPath:
    return relative_path(_text_of(value, where), where)


def _text_of(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{where} must be text, not {plain(value)[:60]!r}")
    return value


def _output(value: Any, where: str) -> PurePosixPath:
    from faceedit.images import format_of

    path = _path(value, where)
    try:
        format_of(Path(path))
    except UsageError as error:
        raise UsageError(f"{where}: {error}", error.hint) from None
    return path


def _shipped_recipe(value: Any, where: str) -> str:
    name = _line(value, where)
    if name.endswith((".yaml", ".yml")):
        raise UsageError(f"{where}: a manifest names shipped recipes; give a file of your own with --recipe")
    return name


def _number(limit: int) -> Callable[[Any, str], int]:
    def check(value: Any, where: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= limit:
            raise UsageError(f"{where} must be a whole number from 0 to {limit}, not {plain(value)[:60]!r}")
        return value

    return check


COLUMNS: dict[str, Callable[[Any, str], Any]] = {
    "image": _path,
    "prompt": _one_edit,
    "prompts": _several_edits,
    "mask": _path,
    "region": _lines,
    "seed": _number(2**32 - 1),
    "backend": _line,
    "recipe": _shipped_recipe,
    "face": _number(9999),
    "source_prompt": _line,
    "output": _output,
    "consent": _line,
}
"""Column -> what checks and reads its value; raises UsageError with the row named."""
