"""`faceedit eval`: an editor over a benchmark."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from faceedit.cli import options as o
from faceedit.cli.asking import settings_of
from faceedit.cli.console import Console
from faceedit.cli.files import STDIO, check_outputs, output_path
from faceedit.cli.output import edited_bytes, write_files
from faceedit.cli.verb import command
from faceedit.errors import UsageError

if TYPE_CHECKING:
    from faceedit.evaluate.report import RoundTrips

SHEET_EDITS = 16


def register(app: typer.Typer) -> None:
    """Adds the verbs."""
    group = typer.Typer(help="Run an editor over a benchmark.")
    app.add_typer(group, name="eval")

    @command(group, "portraits")
    def portraits(
        console: Console,
        backend: o.Backend = "auto",
        recipe: o.Recipe = None,
        count: o.Count = 100,
        seed: o.Seed = 0,
        size: o.Size = 256,
        attributes: o.Attributes = None,
        locator: o.BenchmarkLocator = "dilate",
        wordings: o.Wordings = "canonical",
        split: o.Split = "held-out",
        trips: o.Trips = 0,
        device: o.Device = "auto",
        dtype: o.DType = "auto",
        memory: o.Memory = "auto",
        settings: o.Settings = None,
        output: o.Output = None,
        force: o.Force = False,
    ) -> None:
        """Edit held-out portraits and measure against their true counterfactuals; -o draws the first edits."""
        if output == STDIO:
            raise UsageError("the sheet of the first edits needs a file", "name one with -o FILE")
        target = None if output is None else output_path("portraits", output, "eval")
        check_outputs([target], force)
        from faceedit.evaluate.portraits import evaluate

        with console.progress() as report_progress:
            report = evaluate(
                backend,
                recipe,
                count,
                seed,
                attributes,
                locator,
                wordings=wordings,
                split=split,
                size=size,
                device=device,
                dtype=dtype,
                memory=memory,
                settings=settings_of(settings),
                samples=0 if target is None else SHEET_EDITS,
                trips=trips,
                progress=lambda done, total: report_progress("edits", done, total),
            )
        if target is not None:
            from faceedit.evaluate.sheet import draw_sheet

            write_files(console, [(target, edited_bytes(draw_sheet(report.samples), target))], force)
            console.say(f"sheet: {target}")
        if console.json:
            document = report.to_json()
            console.emit(document.pop("schema"), {**document, "sheet": None if target is None else str(target)})
            return
        from faceedit.evaluate.table import table

        console.table(table(report))
        if report.round_trips is not None:
            console.line(trips_line(report.round_trips))


def trips_line(trips: RoundTrips) -> str:
    """What the round trips left of the portrait, in one line."""
    return (
        f"round trips with glasses: {trips.trips}, SSIM to the start {trips.ssim[-1]:.3f} "
        f"({trips.ssim_inside[-1]:.3f} inside the mask), glasses seen {trips.added:.0%}, gone again {trips.removed:.0%}"
    )
