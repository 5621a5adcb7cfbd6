"""`faceedit cache`: the inverted pictures that are kept for later edits."""

from __future__ import annotations

import typer

from faceedit.cli.console import Console, columns
from faceedit.cli.machine import size_text
from faceedit.cli.verb import command

SCHEMA = "faceedit.cache/1"


def register(app: typer.Typer) -> None:
    """Adds the verbs."""
    group = typer.Typer(help="Show or clear the inverted pictures kept for later edits.")
    app.add_typer(group, name="cache")

    @command(group, "show")
    def show(console: Console) -> None:
        """Say where inverted pictures are kept, and how much they take."""
        from faceedit.recipe_schema import CacheOptions
        from faceedit.trajectories import open_cache

        cache = open_cache(CacheOptions())
        count, size = cache.usage()
        document = {"folder": str(cache.folder), "entries": count, "bytes": size}
        rows = [("folder", str(cache.folder)), ("entries", str(count)), ("size", size_text(size))]
        console.emit(SCHEMA, document, columns(rows))

    @command(group, "clear")
    def clear(console: Console) -> None:
        """Delete all inverted pictures."""
        from faceedit.recipe_schema import CacheOptions
        from faceedit.trajectories import open_cache

        cache = open_cache(CacheOptions())
        deleted = cache.clear()
        console.emit(
            SCHEMA, {"folder": str(cache.folder), "deleted": deleted}, f"{deleted} deleted from {cache.folder}"
        )
