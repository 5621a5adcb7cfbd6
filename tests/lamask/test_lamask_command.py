"""`faceedit data lamask-caption FOLDER` with the tiny models: from the shell to a folder, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from faceedit.cli.app import app
from faceedit.lamask.portraits import png_bytes
from faceedit.portraits.render import render


def test_folder_from_the_command_line(parser_folder: Path, describer_folder: Path, tmp_path: Path) -> None:
    """Breaks when the command does not hand its models on, or a bad picture passes without a word."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in/good.png").write_bytes(png_bytes(render(0, 128).image))
    arguments = ["data", "lamask-caption", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--size", "128"]
    arguments += ["--whole", "--parser", str(parser_folder), "--describer", str(describer_folder), "--json"]
    first = CliRunner().invoke(app, arguments)
    assert first.exit_code == 0, first.output
    (tmp_path / "in/bad.png").write_bytes(b"no picture")
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 3
    told = json.loads(again.stdout.splitlines()[-1])
    assert (told["done"], told["kept"], list(told["failed"])) == (0, 1, ["bad.png"])
    assert "bad.png" in again.stderr
