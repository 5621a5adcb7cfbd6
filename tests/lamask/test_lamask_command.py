"""`faceedit data lamask-caption FOLDER` with the tiny models: from the shell to a folder, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
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


def test_options_of_the_other_source_are_refused(tmp_path: Path) -> None:
    """Breaks when an option is taken and does nothing."""
    start = ["data", "lamask-caption", "-o", str(tmp_path / "out")]
    for wrong in (
        ["--portraits", "1", "--whole"],
        ["--portraits", "1", "--parser", str(tmp_path)],
        [str(tmp_path), "--force"],
    ):
        assert CliRunner().invoke(app, [*start, *wrong]).exit_code == 2
    assert not (tmp_path / "out").exists()


def test_a_damaged_picture_of_an_earlier_run_is_told(
    parser_folder: Path, describer_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Breaks when the finished folder is not looked at: `train ca2` would be the first to notice."""
    monkeypatch.setattr("faceedit.lamask.describer.Describer.answer", lambda *_: "smooth skin and dark hair")
    (tmp_path / "in").mkdir()
    (tmp_path / "in/good.png").write_bytes(png_bytes(render(0, 128).image))
    arguments = ["data", "lamask-caption", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--size", "128"]
    arguments += ["--whole", "--parser", str(parser_folder), "--describer", str(describer_folder), "--json"]
    assert CliRunner().invoke(app, arguments).exit_code == 0
    (image,) = (tmp_path / "out/images").iterdir()
    image.write_bytes(b"no picture")
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 3
    assert image.name in again.stderr
