"""Which pictures a SOURCE means: a folder and what lies below it, a glob, a manifest, or one picture."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from faceedit.batch.manifest import SUFFIXES as MANIFEST_SUFFIXES
from faceedit.batch.manifest import Row, read_manifest
from faceedit.batch.safe_path import inside
from faceedit.decode import plain
from faceedit.errors import UsageError
from faceedit.images import SUFFIXES

# Pictures that faceedit does not read: named as failures, where any other file is passed over in silence.
FOREIGN_SUFFIXES = frozenset(
    {".gif", ".bmp", ".heic", ".heif", ".avif", ".jp2", ".jxl", ".psd", ".svg", ".eps", ".dng", ".cr2", ".nef", ".arw"}
)
_OUTSIDE = "it leads out of {}"


@dataclass(frozen=True)
class Found:
    """One picture that a source names.

    Attributes:
        path: where to read it.
        name: its path below the source's root, with forward slashes; the same wherever the root lies.
        row: what a manifest says about it.
        mask: where to read its mask.
        problem: why it must not be read, or the empty text.
    """

    path: Path
    name: PurePosixPath
    row: Row | None = None
    mask: Path | None = None
    problem: str = ""


@dataclass(frozen=True)
class Source:
    """What a SOURCE means: its root, the pictures in a stable order, and how many files are no pictures."""

    root: Path
    found: tuple[Found, ...]
    passed_over: int = 0
    is_manifest: bool = False


def read_source(source: str, output: Path, root: Path | None = None) -> Source:
    """The pictures that a SOURCE means.

    Args:
        source: a folder, a glob, a manifest (.jsonl, .ndjson, .csv) or one picture.
        output: the output folder; results in it are not taken for inputs.
        root: folder that a manifest's paths are relative to and must stay in; the manifest's own without it.

    Raises:
        UsageError: nothing of the kind is there, or the manifest is faulty.
    """
    path = Path(source)
    if root is not None and (path.is_dir() or path.suffix.lower() not in MANIFEST_SUFFIXES):
        raise UsageError("--root belongs to a manifest", "leave it out")
    if path.is_dir():
        return _folder(path, output)
    if path.is_file():
        if path.suffix.lower() in MANIFEST_SUFFIXES:
            return _manifest(path, path.parent if root is None else root)
        return Source(path.parent, (Found(path, PurePosixPath(path.name)),))
    if glob.has_magic(source):
        return _glob(source, output)
    raise UsageError(f"{plain(source)} does not exist", "give a folder, a glob in quotes, or a .jsonl or .csv manifest")


def _folder(root: Path, output: Path) -> Source:
    if output.resolve() == root.resolve():
        raise UsageError("the results would lie among the pictures", "choose another folder with -o")
    return _taken(root, _walk(root, output.resolve()))


def _glob(pattern: str, output: Path) -> Source:
    parts = Path(pattern).parts
    fixed = next(index for index, part in enumerate(parts) if glob.has_magic(part))
    root = Path(*parts[:fixed]) if fixed else Path()
    away = output.resolve()
    hits = sorted(Path(hit) for hit in glob.iglob(pattern, recursive=True))  # noqa: PTH207 - the pattern may be absolute
    files = [hit for hit in hits if not hit.is_dir() and not hit.absolute().is_relative_to(away)]
    return _taken(root, iter(files), f"nothing matches {plain(pattern)}")


def _taken(root: Path, files: Iterator[Path], nothing: str = "") -> Source:
    found, passed_over = [], 0
    for path in files:
        suffix = path.suffix.lower()
        if suffix not in SUFFIXES and suffix not in FOREIGN_SUFFIXES:
            passed_over += 1
            continue
        problem = "" if inside(root, path) else _OUTSIDE.format("the folder of pictures")
        found.append(Found(path, PurePosixPath(path.relative_to(root).as_posix()), problem=problem))
    if not found:
        raise UsageError(nothing or f"{plain(root)} holds no pictures", f"the suffixes are: {', '.join(SUFFIXES)}")
    return Source(root, tuple(found), passed_over)


def _walk(root: Path, output: Path) -> Iterator[Path]:
    """Files below `root` in the order of their names; hidden ones, linked folders and the output folder left out.

    Raises:
        UsageError: a folder below cannot be listed.
    """

    def fail(error: OSError) -> None:
        raise UsageError(
            f"cannot list {plain(error.filename)}: {error.strerror}", "check its permissions, or use a glob around it"
        )

    for folder, names, files in os.walk(root, onerror=fail):
        here = Path(folder)
        names[:] = sorted(
            name for name in names if not name.startswith(".") and (here / name).resolve() != output
        )  # in place: os.walk goes on from it
        yield from (here / name for name in sorted(files) if not name.startswith("."))


def _manifest(path: Path, root: Path) -> Source:
    if not root.is_dir():
        raise UsageError(f"--root {plain(root)} is no folder", "name the folder that the manifest's paths start from")
    return Source(root, tuple(_of_row(row, root) for row in read_manifest(path)), is_manifest=True)


def _of_row(row: Row, root: Path) -> Found:
    path = root / row.image
    mask = None if row.mask is None else root / row.mask
    outside = [name for name, file in (("image", path), ("mask", mask)) if file is not None and not inside(root, file)]
    if outside:
        raise UsageError(
            f"{row.where}: {outside[0]}: a link leads out of {plain(root)}", "copy the file, or widen --root"
        )
    return Found(path, row.image, row, mask)
