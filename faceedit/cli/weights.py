"""`faceedit weights`: what the manifest knows, and what of it is on this machine."""

from __future__ import annotations

import typer

from faceedit.cli import options as o
from faceedit.cli.console import Console, columns
from faceedit.cli.verb import command


def register(app: typer.Typer) -> None:
    """Adds the verbs."""
    group = typer.Typer(help="List, verify and find model weights; nothing is downloaded.")
    app.add_typer(group, name="weights")

    @command(group, "list")
    def list_(console: Console) -> None:
        """List the weights of the manifest: size, licence, gated or not, present or not."""

    @command(group, "verify")
    def verify(console: Console, names: o.WeightNames = None) -> None:
        """Check the files of weights against the manifest's hashes."""

    @command(group, "path")
    def path(console: Console, name: o.WeightName) -> None:
        """Print the folder of weights that are on this machine."""
