"""`faceedit faces`: the faces in a picture."""

from __future__ import annotations

import typer

from faceedit.cli import options as o
from faceedit.cli.console import Console, columns
from faceedit.cli.files import STDIO, check_outputs, check_stdout, output_path, read_source
from faceedit.cli.output import pixel_bytes, write_files
from faceedit.cli.verb import command
from faceedit.errors import NothingToEditError

SCHEMA = "faceedit.faces/1"


def register(app: typer.Typer) -> None:
    """Adds the verb."""

    @command(app, "faces")
    def faces(console: Console, image: o.Image, output: o.Output = None, force: o.Force = False) -> None:
        """List faces, numbered as --face counts; -o draws them."""
        check_stdout(console, output)
        target = None if output is None else output_path(image, output, "faces")
        check_outputs([target], force)
        from faceedit.compare import draw_faces
        from faceedit.faces import find_faces
        from faceedit.images import load_picture

        picture = load_picture(read_source(image))
        found = find_faces(picture)
        if not found:
            raise NothingToEditError(
                "no face was found in the picture", "crop it closer to a face that looks at the camera"
            )
        if output is not None:
            write_files(console, [(target, pixel_bytes(draw_faces(picture.rgb, found), target))], force)
        height, width = picture.size
        document = {
            "input": image,
            "output": None if target is None else str(target),
            "size": [width, height],
            "faces": [
                {
                    "index": index,
                    "box": [round(float(value), 1) for value in face.box],
                    "score": round(float(face.score), 3),
                    "quarter_turns": face.quarter_turns,
                    "landmarks": {name: [round(x, 1), round(y, 1)] for name, (x, y) in face.landmarks.items()},
                }
                for index, face in enumerate(found)
            ],
        }
        rows = [
            (index, " ".join(f"{value:.0f}" for value in face.box), f"{face.score:.2f}", 90 * face.quarter_turns)
            for index, face in enumerate(found)
        ]
        text = columns(rows, ("face", "box", "score", "turned"))
        console.emit(SCHEMA, document, None if output == STDIO else text)
