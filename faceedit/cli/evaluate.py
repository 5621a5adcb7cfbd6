"""`faceedit eval`: an editor over a benchmark."""

from __future__ import annotations

import typer

from faceedit.cli import options as o
from faceedit.cli.console import Console
from faceedit.cli.verb import command


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
        attributes: o.Attributes = None,
        locator: o.Locator = None,
    ) -> None:
        """Edit held-out rendered portraits and measure against their true counterfactuals."""
