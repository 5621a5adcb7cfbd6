"""`faceedit compare`: pictures side by side, their differences and scores."""

from __future__ import annotations

import typer

from faceedit.cli import options as o
from faceedit.cli.console import Console, columns
from faceedit.cli.files import check_outputs
from faceedit.cli.verb import command
from faceedit.errors import UsageError

SCHEMA = "faceedit.compare/1"


def register(app: typer.Typer) -> None:
    """Adds the verb."""

    @command(app, "compare")
    def compare(
        console: Console,
        pictures: o.Pictures,
        output: o.Output = None,
        difference: o.Difference = None,
        mask: o.MaskFile = None,
        force: o.Force = False,
    ) -> None:
        """Compare pictures with the first one: scores, and with -o a side-by-side sheet."""
