"""`faceedit train`: every part that can be trained."""

from __future__ import annotations

from pathlib import Path

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
        """Train one part of the mini models from a recipe; the run's folder takes checkpoints, log and export."""
        from faceedit.train import run

        folder = output or Path("runs") / Path(name).stem
        run(name, folder, settings_of(settings), resume)
        console.emit({"schema": "faceedit.train/1", "name": name, "output": str(folder)}, str(folder))
