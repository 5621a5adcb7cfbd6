"""Which files a command reads and writes: their names, and every reason not to start."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path

from faceedit.cli.console import Console
from faceedit.errors import ImageError, OutputError, UsageError

STDIO = "-"


def read_source(image: str) -> Path | bytes:
    """The picture that an IMAGE argument names: its path, or the bytes on stdin for "-".

    Raises:
        ImageError: nothing came on stdin, or more than a picture may have.
    """
    if image != STDIO:
        return Path(image)
    from faceedit.decode import MAX_BYTES

    data = sys.stdin.buffer.read(MAX_BYTES + 1)
    if not data:
        raise ImageError("stdin holds no picture", "pipe one into it: … | faceedit edit - PROMPT -o out.png")
    if len(data) > MAX_BYTES:
        raise ImageError(f"stdin holds more than {MAX_BYTES >> 20} MiB", "scale the picture down or crop it")
    return data


def check_stdout(console: Console, output: str | None) -> None:
    """Refuses `-o -` where the bytes would meet JSON or a terminal.

    Raises:
        UsageError: as said.
    """
    if output != STDIO:
        return
    if console.json:
        raise UsageError("-o - and --json would both write to stdout", "leave one of them out")
    if console.stdout.isatty():
        raise UsageError("-o - would write image bytes to the terminal", "send them on: … -o - > out.png")


def output_path(image: str, output: str | None, tag: str, suffix: str = ".png") -> Path | None:
    """Where the result of `image` goes; `None` stands for stdout.

    Args:
        image: the IMAGE argument.
        output: the -o option: a file, a folder that exists, "-", or `None` for `<stem>.<tag>.png` beside the input.
        tag: what the default name says about the result, e.g. the editor's name.
        suffix: of the default name.

    Raises:
        UsageError: the input is stdin and no output is named.
    """
    if output == STDIO:
        return None
    name = f"{Path(image).stem if image != STDIO else 'stdin'}.{tag}{suffix}"
    if output is not None:
        return Path(output) / name if Path(output).is_dir() else Path(output)
    if image == STDIO:
        raise UsageError(
            "a picture from stdin has no place for its result", "name one with -o FILE, or -o - for stdout"
        )
    return Path(image).with_name(name)


def numbered(path: Path, seed: int) -> Path:
    """The name of one of several variants: "out.png" with seed 7 is "out.7.png"."""
    return path.with_name(f"{path.stem}.{seed}{path.suffix}")


def check_outputs(paths: Iterable[Path | None], force: bool) -> None:
    """Refuses before any work what could not be written after it.

    Raises:
        OutputError: a folder is missing, a name is none, or a file exists and `force` is not given.
        UsageError: a format is unknown, or two results have the same name.
    """
    from faceedit.images import format_of

    seen: set[str] = set()
    for path in paths:
        if path is None:
            continue
        key = os.path.normcase(path.absolute())
        if key in seen:
            raise UsageError(f"two results would go to {path}", "give each its own name")
        seen.add(key)
        try:
            if path.is_dir():
                raise OutputError(f"{path} is a folder", "name a file in it")
            format_of(path)
            if not path.parent.is_dir():
                raise OutputError(f"the folder {path.parent} does not exist", "create it first, or choose another -o")
            if os.path.lexists(path) and not force:
                raise OutputError(f"{path} exists already", "add --force to replace it, or choose another name with -o")
        except OSError as error:  # a name that the file system does not take
            raise OutputError(f"cannot write {path}: {error.strerror}", "choose another name with -o") from None


def check_folder(path: Path | None, force: bool) -> None:
    """Refuses a folder of results before any work: it must be new or empty, or `force` given.

    Raises:
        OutputError: it holds something, it is a file, or the folder around it is missing.
    """
    if path is None:
        return
    try:
        if not path.parent.is_dir():
            raise OutputError(f"the folder {path.parent} does not exist", "create it first, or choose another folder")
        if os.path.lexists(path) and not path.is_dir():
            raise OutputError(f"{path} is no folder", "choose another one")
        if path.is_dir() and not force and any(path.iterdir()):
            raise OutputError(f"{path} is not empty", "add --force to write into it, or choose another folder")
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}", "choose another folder") from None
