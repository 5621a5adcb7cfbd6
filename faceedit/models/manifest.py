"""`weights.toml`: which weights faceedit knows, and whether those on this machine are whole."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from faceedit.errors import UsageError, WeightsError
from faceedit.models.ledger import first_hash
from faceedit.resources import bundled_weights_dir, manifest_path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PRESENT, MISSING, DAMAGED = "present", "missing", "damaged"
_CHUNK = 1 << 20


@dataclass(frozen=True)
class WeightFile:
    """A file of a set: path inside it, size in bytes and SHA-256 in hex, both as far as they are known."""

    path: str
    size: int | None = None
    sha256: str = ""


@dataclass(frozen=True)
class WeightSet:
    """An entry of `weights.toml`.

    Attributes:
        id: name that `faceedit weights` takes.
        kind: "bundled" (inside the package) or "hub".
        repository: owner/name on the Hugging Face Hub, or empty.
        revision: 40-hex commit that is pinned, or empty.
        licence: name of the licence.
        terms: address of the licence's text where it must be accepted before a download, else empty.
        gated: the licence must be accepted on the Hub before a download.
        needed_by: recipes that use the set.
        files: what belongs to it.
        description: one line.
    """

    id: str
    kind: str
    repository: str = ""
    revision: str = ""
    licence: str = ""
    terms: str = ""
    gated: bool = False
    needed_by: tuple[str, ...] = ()
    files: tuple[WeightFile, ...] = ()
    description: str = ""

    @property
    def size(self) -> int:
        """Bytes of all files whose size is known."""
        return sum(file.size or 0 for file in self.files)


@dataclass(frozen=True)
class WeightState:
    """What is on this machine: "present", "missing" or "damaged", in which folder, and one line per problem."""

    state: str
    folder: Path | None
    problems: tuple[str, ...] = ()


@cache
def weight_sets() -> tuple[WeightSet, ...]:
    """Every set in the shipped manifest, in its order."""
    return read_manifest(manifest_path())


def read_manifest(path: Path) -> tuple[WeightSet, ...]:
    """The sets of a manifest file.

    Raises:
        WeightsError: unreadable or malformed.
    """
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8")).get("set", [])
        return tuple(_read_set(entry) for entry in entries)
    except (OSError, tomllib.TOMLDecodeError, TypeError, KeyError, ValueError) as error:
        raise WeightsError(f"{path} cannot be read: {error}", "install faceedit again") from error


def _read_set(entry: dict[str, Any]) -> WeightSet:
    files = tuple(WeightFile(**file) for file in entry.pop("file", []))
    for file in files:
        if not is_plain_path(file.path):
            raise ValueError(f"{file.path!r} leaves its folder")
    return WeightSet(files=files, needed_by=tuple(entry.pop("needed_by", ())), **entry)


def is_plain_path(path: str) -> bool:
    """Whether a path stays below the folder that it is joined to, by the rules of POSIX and of Windows."""
    both = (PurePosixPath(path), PureWindowsPath(path))
    return bool(path) and not any(kind.anchor or kind.drive or ".." in kind.parts for kind in both)


def weight_set(name: str) -> WeightSet | None:
    """The set with this id."""
    return next((known for known in weight_sets() if known.id == name), None)


def by_repository(repository: str) -> WeightSet | None:
    """The set that is published as this repository."""
    return next((known for known in weight_sets() if known.repository == repository), None)


def folder_of(known: WeightSet) -> Path | None:
    """Where the set lies on this machine, or `None`. Looks into the local cache only."""
    if known.kind == "bundled":
        folder = bundled_weights_dir() / known.id
        return folder if folder.is_dir() else None
    from faceedit.models.places import hub_folder

    try:
        return hub_folder(known.repository, known.revision)
    except WeightsError:
        return None


def check(known: WeightSet, hashes: bool = True) -> WeightState:
    """Compare a set with what is on this machine.

    Args:
        known: the set.
        hashes: read every file; otherwise only presence and sizes are compared.
    """
    folder = folder_of(known)
    if folder is None:
        return WeightState(MISSING, None, (f"{known.id} is not on this machine",))
    return check_folder(known, folder, hashes)


def check_folder(known: WeightSet, folder: Path, hashes: bool = True) -> WeightState:
    """`check` for a folder that is given."""
    absent = tuple(f"{file.path} is missing" for file in known.files if not (folder / file.path).is_file())
    wrong = tuple(_faults(known, folder, hashes))
    if wrong:
        return WeightState(DAMAGED, folder, (*absent, *wrong))
    return WeightState(MISSING if absent or not known.files else PRESENT, folder, absent)


def _faults(known: WeightSet, folder: Path, hashes: bool) -> Iterator[str]:
    for file in known.files:
        path = folder / file.path
        if not path.is_file():
            continue
        size = path.stat().st_size
        if file.size is not None and size != file.size:
            yield f"{file.path} has {size} bytes instead of {file.size}"
        elif hashes:
            expected = expected_hash(known, file, folder)
            if expected and digest(path, "sha256" if len(expected) == 64 else "git") != expected:
                yield f"{file.path} does not have its hash {expected[:12]}…"


def expected_hash(known: WeightSet, file: WeightFile, folder: Path) -> str:
    """The hash that a file of a set must have: SHA-256 or git's SHA-1 in hex, or empty where nobody knows it.

    The manifest's counts for the pinned commit only. Otherwise it is the one that was written down at the first
    download, else the one that the Hugging Face cache names the content by.
    """
    if file.sha256 and (known.kind == "bundled" or not known.revision or folder.name == known.revision):
        return file.sha256
    return first_hash(known.repository, folder.name, file.path) or blob_name(folder / file.path)


def blob_name(path: Path) -> str:
    """The cache names a file's content by the hash that the Hub gave: SHA-256 of large files, git's SHA-1 of small."""
    name = path.resolve().name if path.is_symlink() else ""
    return name if re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", name) else ""


def digest(path: Path, kind: str = "sha256") -> str:
    """Hex digest of a file: "sha256", or "git" for the SHA-1 that git gives a blob."""
    hasher = hashlib.sha256() if kind == "sha256" else hashlib.sha1(b"blob %d\0" % path.stat().st_size)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            hasher.update(chunk)
    return hasher.hexdigest()


def bundled_folder(name: str) -> Path:
    """The folder of a set that is part of the package, its hashes checked once per process.

    Raises:
        UsageError: no bundled set has that name.
        WeightsError: missing or damaged.
    """
    known = weight_set(name)
    if known is None or known.kind != "bundled":
        raise UsageError(f"no bundled weights {name!r}", "see: faceedit weights list")
    require_intact(known)
    return bundled_weights_dir() / name


@cache
def require_intact(known: WeightSet) -> None:
    """Check a set's hashes, once per process.

    Raises:
        WeightsError: missing or damaged; names the first file.
    """
    state = check(known)
    if state.state != PRESENT:
        problem = state.problems[0] if state.problems else f"{known.id} holds no files"
        raise WeightsError(f"weights {known.id} are {state.state}: {problem}", "install faceedit again")
