"""`faceedit data text2mask` from the shell: both sources, what is refused, and the exit codes."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from PIL import Image
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner, Result

from faceedit.cli.app import app
from faceedit.lamask.parts import PARTS
from faceedit.lamask.portraits import png_bytes
from faceedit.portraits.render import render
from faceedit.portraits.split import HELD_OUT_FROM
from faceedit.text2mask.form import open_text2mask


def call(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["data", "text2mask", *map(str, arguments)])


def told(result: Result) -> dict[str, object]:
    document: dict[str, object] = json.loads(result.stdout.splitlines()[-1])
    return document


@pytest.fixture(scope="session")
def sees_skin(parser_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny parser, turned so that it sees skin everywhere: an untrained one sees nothing in particular."""
    folder = shutil.copytree(parser_folder, tmp_path_factory.mktemp("parsers") / "sees-skin")
    tensors = load_file(folder / "model.safetensors")
    names = json.loads((folder / "config.json").read_text())["id2label"]
    bias = tensors["decode_head.classifier.bias"]
    bias[next(int(i) for i, name in names.items() if name == "skin")] += 1000
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def test_portraits(tmp_path: Path) -> None:
    """Breaks when an option does not reach the folder, or the sheet is not drawn."""
    out, sheet = tmp_path / "t2m", tmp_path / "sheet.png"
    arguments = ("--portraits", 2, "-o", out, "--size", 128, "--grid", 32, "--regions", "all", "--processes", 1)
    result = call(*arguments, "--seed", 7, "--held-out", "--sheet", sheet, "--json")
    assert result.exit_code == 0, result.output
    data = open_text2mask(out)
    assert [sample.source for sample in data.samples] == [f"portrait {HELD_OUT_FROM + 7 + i}" for i in range(2)]
    assert (data.size, data.grid, len(data.regions)) == (128, 32, 22)
    assert (told(result)["pictures"], told(result)["pairs"]) == (2, data.pairs)
    with Image.open(sheet) as drawn:
        assert drawn.width > 11 * 176
    again = call(*arguments, "--seed", 7, "--held-out", "--sheet", sheet)
    assert again.exit_code == 1 and "exists already" in again.output
    other = call("--portraits", 2, "-o", out, "--size", 256)
    assert other.exit_code == 1 and "another size" in other.output


def test_photographs(sees_skin: Path, tmp_path: Path) -> None:
    """Breaks when the real class does not work with the masks, or a bad file passes without a word."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in/good.png").write_bytes(png_bytes(render(0, 128).image))
    Image.new("RGB", (200, 160), (40, 90, 60)).save(tmp_path / "in/wall.png")
    arguments = (tmp_path / "in", "-o", tmp_path / "out", "--size", 128, "--parser", sees_skin, "--json")
    first = call(*arguments)
    assert first.exit_code == 0, first.output
    assert (told(first)["done"], told(first)["left_out"]) == (1, {"no face": 1})
    data = open_text2mask(tmp_path / "out")
    assert {"skin", "cheeks", "chin", "forehead", "beard", "eyeglasses"} <= set(data.texts(0))
    assert not {"nose", "lips", "eyes", "makeup"} & set(data.texts(0))
    (tmp_path / "in/bad.png").write_bytes(b"no picture")
    again = call(*arguments)
    assert again.exit_code == 3
    assert (told(again)["done"], told(again)["kept"], list(told(again)["failed"])) == (0, 1, ["bad.png"])
    assert "bad.png" in again.stderr


def test_a_parser_that_sees_no_face_ends_in_its_own_code(parser_folder: Path, tmp_path: Path) -> None:
    """Breaks when an empty data set is a success."""
    blind = shutil.copytree(parser_folder, tmp_path / "blind")
    tensors = load_file(blind / "model.safetensors")
    tensors["decode_head.classifier.bias"][len(PARTS) - 1] += 1000  # its names are reversed: the last is background
    save_file(tensors, blind / "model.safetensors", metadata={"format": "pt"})
    (tmp_path / "in").mkdir()
    (tmp_path / "in/good.png").write_bytes(png_bytes(render(0, 128).image))
    result = call(tmp_path / "in", "-o", tmp_path / "out", "--size", 128, "--parser", blind)
    assert result.exit_code == 5
    assert "1 with no parsed face" in result.output


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    """Breaks when an option is taken and does nothing, or a folder is made before the command line was understood."""
    for wrong in (
        (),
        (tmp_path, "--portraits", 1),
        ("--portraits", 1, "--parser", tmp_path),
        (tmp_path, "--held-out"),
        (tmp_path, "--seed", 3),
        (tmp_path, "--processes", 2),
        (tmp_path / "nowhere",),
        ("--portraits", 1, "--force"),
        ("--portraits", 1, "--regions", "some"),
        ("--portraits", 1, "--grid", 48),
        ("--portraits", 1, "--seed", HELD_OUT_FROM),
    ):
        result = call("-o", tmp_path / "out", *wrong)
        assert result.exit_code == 2, (wrong, result.output)
    assert not (tmp_path / "out").exists()
    (tmp_path / "in").mkdir()
    absent = call(tmp_path / "in", "-o", tmp_path / "out", "--parser", tmp_path / "in")
    assert absent.exit_code == 4
    assert not (tmp_path / "out").exists()
