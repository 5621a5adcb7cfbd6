"""`faceedit doctor` and `faceedit bench`: what this machine can run, and how fast."""

from __future__ import annotations

import typer

from faceedit.cli import options as o
from faceedit.cli.console import Console, columns
from faceedit.cli.verb import command


def register(app: typer.Typer) -> None:
    """Adds the verbs."""

    @command(app, "doctor")
    def doctor(console: Console) -> None:
        """Say what this machine can run and what stands in the way; uses no network."""

    @command(app, "bench")
    def bench(console: Console, recipe: o.Recipe = None) -> None:
        """Measure start-up, an edit's time and memory, and its ratio to the bare backbone calls it contains."""
