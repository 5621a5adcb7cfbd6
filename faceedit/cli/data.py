"""`faceedit data`: builds data sets."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import typer

from faceedit.cli import options as o
from faceedit.cli.batch import PARTLY_FAILED
from faceedit.cli.console import Console
from faceedit.cli.text2mask import register_text2mask
from faceedit.cli.verb import command
from faceedit.errors import UsageError


def register(app: typer.Typer) -> None:
    """Adds the verbs."""
    group = typer.Typer(help="Build data sets.")
    app.add_typer(group, name="data")
    register_text2mask(group)

    @command(group, "portraits")
    def portraits(
        console: Console,
        output: o.OutputFolder,
        count: o.Count = 100,
        seed: o.Seed = 0,
        size: o.Size = 256,
        force: o.Force = False,
    ) -> None:
        """Write a folder of rendered portraits."""
        from faceedit.portraits.folder import write_folder

        with console.progress() as report:
            write_folder(output, count, seed, size, progress=lambda done: report("portraits", done, count), force=force)
        document = {"output": str(output), "count": count, "seed": seed, "size": size}
        console.emit("faceedit.data/1", document, str(output))

    @command(group, "lamask-caption")
    def lamask_caption(
        console: Console,
        output: o.OutputFolder,
        folder: o.FaceFolder = None,
        portraits: o.Portraits = None,
        seed: o.Seed = 0,
        size: o.Size = 512,
        whole: o.Whole = False,
        parser: o.ParserFolder = None,
        describer: o.DescriberFolder = None,
        device: o.Device = "auto",
        force: o.Force = False,
    ) -> None:
        """Build face pictures, 19-part masks and local captions."""
        if (folder is None) == (portraits is None):
            raise UsageError("give a folder of pictures or --portraits N, and not both", "see docs/data.md")
        if folder is not None:
            if force:
                raise UsageError("--force is for --portraits", "a folder that was begun is gone on with; leave it out")
            build_lamask(console, folder, output, parser, describer, device, seed, size, whole)
            return
        if whole or parser or describer:
            raise UsageError("--whole, --parser and --describer are for a folder of pictures", "leave out --portraits")
        from faceedit.lamask.portraits import write_portraits

        total = portraits or 0
        with console.progress() as report:
            captions = write_portraits(
                output, total, seed, size, lambda done: report("portraits", done, total), force=force
            )
        document = {"output": str(output), "pictures": total, "captions": captions}
        console.emit("faceedit.data/1", document, str(output))


def build_lamask(
    console: Console,
    folder: Path,
    output: Path,
    parser: Path | None,
    describer: Path | None,
    device: str,
    seed: int,
    size: int,
    whole: bool,
) -> None:
    """`data lamask-caption FOLDER`: both models, then every picture; what failed is told at the end."""
    from faceedit.lamask.build import BuildSettings, build
    from faceedit.lamask.form import faults, read_form
    from faceedit.lamask.weights import DESCRIBER, PARSER, model_folder

    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder", "give a folder of pictures")
    places = model_folder(PARSER, parser), model_folder(DESCRIBER, describer)
    from faceedit.lamask.describer import Describer
    from faceedit.lamask.parser import FaceParser
    from faceedit.models.plan import device_plan

    place = device_plan(device=device).device
    described_by, parsed_by = (
        DESCRIBER if describer is None else describer.name,
        PARSER if parser is None else parser.name,
    )
    settings = BuildSettings(size, described_by, parsed_by, seed=seed, whole=whole)
    models = FaceParser(places[0], place), Describer(places[1], place)
    with console.progress() as report:
        made = build(folder, output, *models, settings, lambda done, total: report("pictures", done, total))
    wrong = tuple(faults(read_form(output))) if made.captions else ()
    for line in (*(f"{name}: {reason}" for name, reason in made.failed.items()), *wrong):
        console.warn(line)
    console.emit("faceedit.data/1", {"output": str(output), **asdict(made)}, str(output))
    if made.failed or wrong:
        raise typer.Exit(PARTLY_FAILED)
