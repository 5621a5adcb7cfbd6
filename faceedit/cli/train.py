"""`faceedit train`: every part that can be trained."""

from __future__ import annotations

import typer

from faceedit.cli import options as o
from faceedit.cli.asking import settings_of
from faceedit.cli.console import Console
from faceedit.cli.verb import command


def register(app: typer.Typer) -> None:
    """Adds the verb."""

    @command(app, "train")
    def train(
        console: Console,
        name: o.TrainName,
        output: o.RunFolder = None,
        resume: o.Resume = False,
        settings: o.Settings = None,
    ) -> None:
        """Train one part of the mini models."""
        from faceedit.train.run import run

        export = run(name, output, settings_of(settings), resume)
        console.emit("faceedit.train/1", {"name": name, "output": str(export)}, str(export))
