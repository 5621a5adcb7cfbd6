"""`faceedit info` and `faceedit replay`: how a result was made, and making it again."""

from __future__ import annotations

import typer

from faceedit.cli import options as o
from faceedit.cli.console import Console
from faceedit.cli.verb import command


def register(app: typer.Typer) -> None:
    """Adds the verbs."""

    @command(app, "info")
    def info(console: Console, result: o.ResultFile) -> None:
        """Print the record that is embedded in a result."""

    @command(app, "replay")
    def replay(
        console: Console,
        result: o.ResultFile,
        image: o.OriginalImage = None,
        output: o.Output = None,
        force: o.Force = False,
    ) -> None:
        """Make a result again from its record and the original picture: the same bytes on the same machine."""
