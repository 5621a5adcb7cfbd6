"""`faceedit data text2mask`: pictures, soft masks of the regions and texts that mean them."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from faceedit.cli import options as o
from faceedit.cli.batch import PARTLY_FAILED
from faceedit.cli.console import Console
from faceedit.cli.files import check_outputs
from faceedit.cli.verb import command
from faceedit.errors import UsageError

if TYPE_CHECKING:
    from faceedit.text2mask.photographs import PhotoReport

_ON_SHEET = 3


def register_text2mask(group: typer.Typer) -> None:
    """Adds the verb to `faceedit data`."""

    @command(group, "text2mask")
    def text2mask(
        console: Console,
        output: o.OutputFolder,
        folder: o.FaceFolder = None,
        portraits: o.Portraits = None,
        seed: o.Seed = 0,
        held_out: o.HeldOut = False,
        processes: o.Processes = None,
        parser: o.ParserFolder = None,
        device: o.Device = "auto",
        size: o.Size = 256,
        grid: o.Grid = None,
        regions: o.RegionSet = "text2mask",
        sheet: o.SheetFile = None,
        force: o.Force = False,
    ) -> None:
        """Build face pictures, soft masks of 18 regions and texts for each."""
        if (folder is None) == (portraits is None):
            raise UsageError("give a folder of pictures or --portraits N, and not both", "see docs/data.md")
        if folder is None and parser is not None:
            raise UsageError("--parser is for a folder of pictures", "leave out --portraits")
        if folder is not None and (held_out or seed or processes):
            raise UsageError("--seed, --held-out and --processes are for --portraits", "leave them out")
        if force and sheet is None:
            raise UsageError("--force is for --sheet", "a folder that was begun is gone on with; leave it out")
        check_outputs([sheet], force)
        names = _regions(regions)
        document: dict[str, Any] = {"output": str(output), "size": size, "regions": list(names)}
        failed = False
        if folder is not None:
            report = _photographs(console, folder, output, parser, device, size, grid or 0, names)
            document |= asdict(report)
            failed = bool(report.failed)
        else:
            from faceedit.portraits.split import held_out_seed
            from faceedit.text2mask.portraits import write_portraits

            total = portraits or 0
            first = held_out_seed(seed) if held_out else seed
            workers = processes or os.cpu_count() or 1
            with console.progress() as told:
                made = write_portraits(
                    output, total, first, size, grid or 0, names, held_out, workers,
                    lambda done: told("portraits", done, total),
                )  # fmt: skip
            document |= {"pictures": total, "pairs": made.pairs}
        if sheet is not None:
            _draw(output, sheet, force)
        console.emit("faceedit.data/1", document, str(output))
        if failed:
            raise typer.Exit(PARTLY_FAILED)


def _regions(name: str) -> tuple[str, ...]:
    from faceedit.regions import REGIONS, TEXT2MASK_REGIONS

    known = {"text2mask": TEXT2MASK_REGIONS, "all": REGIONS}
    if name not in known:
        raise UsageError(f"unknown set of regions {name!r}", f"one of: {', '.join(known)}")
    return known[name]


def _photographs(
    console: Console,
    folder: Path,
    output: Path,
    parser: Path | None,
    device: str,
    size: int,
    grid: int,
    regions: tuple[str, ...],
) -> PhotoReport:
    """The face parser, then every picture; what was left out and what failed is told at the end."""
    from faceedit.lamask.weights import PARSER, model_folder

    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder", "give a folder of pictures")
    place = model_folder(PARSER, parser)
    from faceedit.lamask.parser import FaceParser
    from faceedit.models.plan import device_plan
    from faceedit.text2mask.photographs import write_photographs

    model = FaceParser(place, device_plan(device=device).device)
    name = PARSER if parser is None else parser.name
    with console.progress() as told:
        made = write_photographs(
            folder, output, model, name, size, grid, regions, lambda done, total: told("pictures", done, total)
        )
    for file, reason in made.failed.items():
        console.warn(f"{file}: {reason}")
    for reason, count in made.left_out.items():
        console.say(f"left out: {count} with {reason}")
    return made


def _draw(folder: Path, file: Path, force: bool) -> None:
    from faceedit.images import encode_plain, format_of, write_atomic
    from faceedit.text2mask.form import open_text2mask
    from faceedit.text2mask.sheet import region_sheet

    data = open_text2mask(folder)
    drawn = region_sheet(data, range(min(_ON_SHEET, len(data))))
    write_atomic(file, encode_plain(drawn, format_of(file)), force)
