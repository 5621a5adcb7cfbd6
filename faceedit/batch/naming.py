"""Names of results from a template: "{stem}.{prompt}.png"."""

from __future__ import annotations

import hashlib
import re
import string
import unicodedata
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from faceedit.batch.safe_path import DEVICES, relative_path, storable
from faceedit.errors import UsageError
from faceedit.images import format_of

DEFAULT_TEMPLATE = "{stem}.{prompt}.png"
FIELDS = ("folder", "stem", "name", "suffix", "prompt", "seed", "editor", "recipe", "region", "face", "id")

_LONGEST_SLUG = 48
_LONGEST_NAME = 200  # bytes; file systems take 255, and temporary names want room


def check_template(template: str) -> None:
    """Refuses a template before any picture is looked at.

    Raises:
        UsageError: a field that does not exist, a format, no picture's suffix, or a way out of the folder.
    """
    hint = f"the fields are: {', '.join('{' + name + '}' for name in FIELDS)}"
    try:
        pieces = list(string.Formatter().parse(template))
    except ValueError as error:
        raise UsageError(f"--name {template!r}: {error}", hint) from None
    for _, field, form, conversion in pieces:
        if field is None:
            continue
        if field not in FIELDS:
            raise UsageError(f"--name {template!r}: no field {{{field}}}", hint)
        if form or conversion:
            raise UsageError(f"--name {template!r}: {{{field}}} takes no format", hint)
    sample = relative_path(template.format(**dict.fromkeys(FIELDS, "x")), "--name")
    try:
        format_of(Path(sample))
    except UsageError as error:
        raise UsageError(f"--name {template!r}: no suffix of a picture", error.hint) from None


def render(template: str, values: Mapping[str, str]) -> PurePosixPath:
    """The path of one result below the output folder.

    The picture's own subfolder comes first unless the template names {folder} itself. Names too long for a file
    system are cut and end in a hash, so that they stay different.

    Args:
        template: checked by `check_template`.
        values: a value for each of `FIELDS`; "folder" is a relative path with forward slashes, possibly empty.
    """
    named = {key: value if key == "folder" else storable(value) for key, value in values.items()}
    path = PurePosixPath(template.format(**named))
    if "{folder}" not in template:
        path = PurePosixPath(named["folder"]) / path
    parts = [part for part in path.parts if part not in (".", "..", "/")]
    return PurePosixPath(*(_fitting(storable(part)) for part in parts))


def slug(text: str) -> str:
    """Words as a part of a file name: "Rosy cheeks!" gives "rosy-cheeks"; long ones are cut and end in a hash."""
    words = re.findall(r"\w+", unicodedata.normalize("NFC", text).lower())
    joined = "-".join(words)
    if 0 < len(joined) <= _LONGEST_SLUG:
        return joined
    return f"{joined[:_LONGEST_SLUG]}-{_short_hash(text)}".lstrip("-")


def same_place(path: PurePosixPath) -> str:
    """Equal for two paths that some file system takes for one: case and composed letters are ignored."""
    return unicodedata.normalize("NFC", str(path)).casefold()


def _fitting(part: str) -> str:
    head, dot, rest = part.partition(".")
    if head.strip().casefold() in DEVICES:
        part = f"_{head}{dot}{rest}"
    part = part.rstrip(". ") or "_"
    if len(part.encode("utf-8", "replace")) <= _LONGEST_NAME:
        return part
    stem, dot, suffix = part.rpartition(".")
    kept = stem.encode("utf-8", "replace")[: _LONGEST_NAME - 20].decode("utf-8", "ignore")
    return f"{kept}-{_short_hash(part)}{dot}{suffix}"


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
