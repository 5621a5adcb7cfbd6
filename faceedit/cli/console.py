"""What a command says: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TextIO

from faceedit.errors import FaceEditError, OutputError

SECRET = re.compile(r"\bhf_[A-Za-z0-9]{8,}|(?<=Bearer )\S+")

PLAIN_WIDTH = 120

Progress = Callable[[str, int, int], None]


def one_line(text: str) -> str:
    """`text` as one safe line: access tokens hidden, line ends turned to spaces, control characters escaped.

    A file name may hold terminal escapes or right-to-left overrides; shown raw they could rewrite the message.
    """
    return without_secrets(printable(" ".join(text.splitlines()).strip()))


def printable(text: str, keep: str = "") -> str:
    """`text` with everything that a terminal would obey, or not show, spelt out; characters of `keep` stay."""
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode("ascii") for c in text)


def without_secrets(text: str) -> str:
    """`text` with access tokens replaced by "[hidden]"."""
    return SECRET.sub("[hidden]", text)


def columns(rows: Sequence[Sequence[object]], header: Sequence[str] = ()) -> str:
    """Rows as left-aligned text columns, two spaces apart; the last column is never padded. Every cell is one line."""
    cells = [[printable(str(cell)) for cell in row] for row in ([header, *rows] if header else rows)]
    if not cells:
        return ""
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells)
    return "\n".join(line.rstrip() for line in lines)


@dataclass(frozen=True)
class Console:
    """Where a command writes. `quiet` leaves only errors on stderr; `verbose` adds details there."""

    quiet: bool = False
    verbose: int = 0
    json: bool = False
    debug: bool = False
    stdout: TextIO = sys.stdout
    stderr: TextIO = sys.stderr

    def emit(self, schema: str, document: Mapping[str, Any], text: str | None = None, status: str = "ok") -> None:
        """Writes one result: with `--json` one line of JSON under `schema`, else `text` (nothing when `None`)."""
        if self.json:
            whole = {"schema": schema, "status": status, **document}
            self.line(json.dumps(whole, ensure_ascii=True, allow_nan=False))
        elif text is not None:
            self.line(text)

    def line(self, text: str) -> None:
        """Writes a line to stdout. Paths keep the bytes they have on disk, also where those are no valid text.

        On a terminal, which would obey them, control characters are spelt out.
        """
        if self.stdout.isatty():
            text = printable(text, keep="\n")
        self.write_bytes(os.fsencode(text + "\n") if os.name != "nt" else (text + os.linesep).encode("utf-8"))

    def table(self, renderable: Any) -> None:
        """Writes a rich table to stdout: in colour on a terminal that wants it, plain and unbroken elsewhere."""
        from rich.console import Console as RichConsole

        RichConsole(file=self.stdout, width=None if self.stdout.isatty() else PLAIN_WIDTH).print(renderable)

    def write_bytes(self, data: bytes) -> None:
        """Writes bytes to stdout, e.g. the picture for `-o -`.

        Raises:
            OutputError: stdout takes no more, as on a full disk.
            BrokenPipeError: whoever read it has left.
        """
        try:
            self.stdout.flush()
            self.stdout.buffer.write(data)
            self.stdout.buffer.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputError(f"cannot write to stdout: {error.strerror}", "check space where it leads to") from None

    def say(self, text: str) -> None:
        """A remark on stderr, dropped with `--quiet`."""
        if not self.quiet:
            self._tell(text)

    def detail(self, text: str) -> None:
        """A remark that only `--verbose` shows."""
        if self.verbose and not self.quiet:
            self._tell(text)

    def warn(self, text: str) -> None:
        """A warning on stderr, dropped with `--quiet`."""
        if not self.quiet:
            self._tell(f"warning: {text}")

    def error(self, error: FaceEditError) -> None:
        """What went wrong in one line, what to do in another; with `--json` also as an object on stdout."""
        if self.json:
            details = {
                "code": error.exit_code,
                "kind": type(error).__name__,
                "message": one_line(str(error)),
                "hint": one_line(error.hint),
            }
            self.emit("faceedit.error/1", {"error": details}, status="error")
        self._tell(f"error: {error}")
        if error.hint:
            self._tell(f"hint: {error.hint}")

    @contextmanager
    def progress(self) -> Iterator[Progress]:
        """Yields `report(stage, done, total)`: a bar where stderr is a terminal, silence elsewhere.

        A total of 0 says that it is unknown.
        """
        if self.quiet or not self.stderr.isatty():
            yield lambda _stage, _done, _total: None
            return
        from rich.console import Console as RichConsole
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        layout = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        with Bar(*layout, console=RichConsole(file=self.stderr), transient=True) as bar:
            task = bar.add_task("", total=None)

            def report(stage: str, done: int, total: int) -> None:
                bar.update(task, description=stage, completed=done, total=total or None)

            yield report

    def _tell(self, text: str) -> None:
        line = one_line(text) + "\n"
        encoding = self.stderr.encoding or "utf-8"
        self.stderr.write(line.encode(encoding, "backslashreplace").decode(encoding))
        self.stderr.flush()
