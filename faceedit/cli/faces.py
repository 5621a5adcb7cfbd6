"""`faceedit faces`: the faces in a picture."""

from __future__ import annotations

from pathlib import Path

import typer

from faceedit.cli import options as o
from faceedit.cli.console import Console, columns
from faceedit.cli.files import check_outputs, check_stdout, output_path, read_source
from faceedit.cli.verb import command
from faceedit.errors import NothingToEditError

SCHEMA = "faceedit.faces/1"


def register(app: typer.Typer) -> None:
    """Adds the verb."""

    @command(app, "faces")
    def faces(console: Console, image: o.Image, output: o.Output = None, force: o.Force = False) -> None:
        """List the faces in a picture, numbered as --face counts them; with -o also draw them."""
        check_stdout(console, output)
        target = None if output is None else output_path(image, output, "faces")
        check_outputs([target], force)
        from faceedit.faces import find_faces
        from faceedit.images import load_picture

        picture = load_picture(read_source(image))
        found = find_faces(picture)
        if not found:
            raise NothingToEditError("no face was found", "try a larger or upright picture, or give --mask to edit")
