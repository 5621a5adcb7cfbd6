"""Results as files: encoded whole before the first byte is written, so that a failure leaves nothing behind."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from faceedit.cli.console import Console
from faceedit.cli.files import numbered

if TYPE_CHECKING:
    from faceedit.request import Result


@dataclass(frozen=True)
class Targets:
    """The files of one result; `picture` is `None` for stdout, the others where they were not asked for."""

    picture: Path | None
    mask: Path | None = None
    compare: Path | None = None

    @property
    def paths(self) -> tuple[Path | None, ...]:
        """All of them."""
        return self.picture, self.mask, self.compare

    def for_seed(self, seed: int) -> Targets:
        """The files of the variant with this seed."""
        return Targets(*(path and numbered(path, seed) for path in self.paths))


def write_result(console: Console, result: Result, targets: Targets, force: bool, metadata: bool) -> None:
    """Writes the picture, and the mask and the comparison where they were asked for.

    Raises:
        OutputError: a file cannot be written.
    """
    from faceedit.images import write_atomic

    picture = picture_bytes(result, targets.picture, metadata)
    files: list[tuple[Path, bytes]] = []
    if targets.mask is not None:
        files.append((targets.mask, grey_bytes(result, targets.mask)))
    if targets.compare is not None:
        files.append((targets.compare, sheet_bytes(result, targets.compare)))
    if targets.picture is not None:
        files.append((targets.picture, picture))
    for path, data in files:
        write_atomic(path, data, force)
    if targets.picture is None:
        console.write_bytes(picture)


def picture_bytes(result: Result, path: Path | None, metadata: bool) -> bytes:
    """The edited picture in the format that `path` asks for (PNG for stdout)."""
    raise NotImplementedError
