"""`faceedit data`: builds data sets."""

from __future__ import annotations

import typer

from faceedit.cli import options as o
from faceedit.cli.console import Console
from faceedit.cli.verb import command


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
