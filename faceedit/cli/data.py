"""`faceedit data`: builds data sets."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import typer

from faceedit.cli import options as o
from faceedit.cli.batch import PARTLY_FAILED
from faceedit.cli.console import Console
from faceedit.cli.verb import command
from faceedit.errors import UsageError


def register(app: typer.Typer) -> None:
    """Adds the verbs."""
    group = typer.Typer(help="Build data sets.")
    app.add_typer(group, name="data")

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
            build_lamask(console, folder, output, parser, describer, device, seed, size, whole)
            return
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
    from faceedit.lamask.weights import DESCRIBER, PARSER, model_folder

    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder", "give a folder of pictures")
    places = model_folder(PARSER, parser), model_folder(DESCRIBER, describer)
    from faceedit.lamask.describer import Describer
    from faceedit.lamask.parser import FaceParser
    from faceedit.models.plan import device_plan

    place = device_plan(device=device).device
    settings = BuildSettings(size, DESCRIBER if describer is None else describer.name, seed=seed, whole=whole)
    models = FaceParser(places[0], place), Describer(places[1], place)
    with console.progress() as report:
        made = build(folder, output, *models, settings, lambda done, total: report("pictures", done, total))
    for name, reason in made.failed.items():
        console.warn(f"{name}: {reason}")
    console.emit("faceedit.data/1", {"output": str(output), **asdict(made)}, str(output))
    if made.failed:
        raise typer.Exit(PARTLY_FAILED)
