"""`faceedit compare`: pictures side by side, their differences and scores."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from faceedit.cli import options as o
from faceedit.cli.console import Console, columns
from faceedit.cli.files import STDIO, check_outputs, check_stdout, numbered
from faceedit.cli.output import pixel_bytes, write_files
from faceedit.cli.verb import command
from faceedit.errors import UsageError

if TYPE_CHECKING:
    from faceedit.request import Bytes3

SCHEMA = "faceedit.compare/1"
SMALLEST_SSIM = 11


def register(app: typer.Typer) -> None:
    """Adds the verb."""

    @command(app, "compare")
    def compare(
        console: Console,
        pictures: o.Pictures,
        output: o.Output = None,
        difference: o.Difference = None,
        force: o.Force = False,
    ) -> None:
        """Score pictures against the first; -o draws them side by side."""
        if len(pictures) < 2:
            raise UsageError("compare takes at least two pictures", "faceedit compare BEFORE AFTER")
        check_stdout(console, output)
        sheet_path = None if output in (None, STDIO) else Path(str(output))
        maps = _map_paths(difference, len(pictures) - 1)
        check_outputs([sheet_path, *maps], force)
        from faceedit.compare import difference_map, sheet
        from faceedit.images import load_picture

        loaded = [load_picture(path).rgb for path in pictures]
        documents = [
            {
                "reference": str(pictures[0]),
                "picture": str(path),
                **scores(loaded[0], rgb),
            }
            for path, rgb in zip(pictures[1:], loaded[1:], strict=True)
        ]
        files: list[tuple[Path | None, bytes]] = [
            (path, pixel_bytes(difference_map(loaded[0], rgb), path))
            for path, rgb in zip(maps, loaded[1:], strict=False)
        ]
        if output is not None:
            files.append((sheet_path, pixel_bytes(sheet(loaded, [path.name for path in pictures]), sheet_path)))
        write_files(console, files, force)
        for document in documents:
            console.emit(SCHEMA, document)
        if not console.json and output != STDIO:
            rows = [
                (
                    row["picture"],
                    _shown(row["psnr_db"], "identical"),
                    _shown(row["ssim"]),
                    row["max_abs_diff"],
                    row["changed"],
                )
                for row in documents
            ]
            console.line(columns(rows, ("picture", "psnr dB", "ssim", "max diff", "changed")))


def scores(a: Bytes3, b: Bytes3) -> dict[str, Any]:
    """PSNR (`None` for equal pictures), SSIM (`None` under 11 pixels), largest difference, share of changed pixels."""
    import numpy as np

    from faceedit.compare import psnr, ssim

    decibel = psnr(a, b)
    change = np.abs(a.astype(np.int16) - b.astype(np.int16)).max(axis=2)
    return {
        "psnr_db": None if math.isinf(decibel) else round(decibel, 3),
        "ssim": round(ssim(a, b), 5) if min(a.shape[:2]) >= SMALLEST_SSIM else None,
        "max_abs_diff": int(change.max()),
        "changed": round(float((change > 0).mean()), 6),
    }


def _shown(value: float | None, absent: str = "-") -> str:
    return absent if value is None else f"{value:.4g}"


def _map_paths(difference: Path | None, count: int) -> list[Path]:
    if difference is None:
        return []
    return [difference] if count == 1 else [numbered(difference, index) for index in range(1, count + 1)]
