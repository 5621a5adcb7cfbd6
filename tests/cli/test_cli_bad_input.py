"""Every bad input: one clear line, the documented exit code, no file left behind."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from cli_harness import SMOKE, Call, Outcome
from PIL import Image


def refused(outcome: Outcome, code: int, *words: str) -> None:
    """The exit code, nothing on stdout, and on stderr one line on what went wrong and one on what to do."""
    assert outcome.code == code, outcome.err
    assert outcome.raw == b""
    lines = outcome.err.splitlines()
    assert len(lines) == 2, outcome.err
    assert lines[0].startswith("error: ") and lines[1].startswith("hint: ")
    for word in words:
        assert word in lines[0]


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def header_only_png(width: int, height: int) -> bytes:
    """A PNG whose header claims a size and whose pixels are missing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.fixture
def blank(tmp_path: Path) -> Path:
    """A picture without a face."""
    path = tmp_path / "blank.png"
    Image.fromarray(np.full((128, 128, 3), 200, np.uint8)).save(path)
    return path


def test_not_an_image(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "notes.png"
    path.write_text("these are words, no picture")
    refused(call("edit", path, "rosy cheeks", *SMOKE), 1, "notes.png")
    assert files_in(tmp_path) == {"notes.png"}


def test_zero_bytes(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "empty.png"
    path.write_bytes(b"")
    refused(call("edit", path, "rosy cheeks", *SMOKE), 1, "empty.png")
    assert files_in(tmp_path) == {"empty.png"}


def test_nothing_on_stdin(call: Call, tmp_path: Path) -> None:
    refused(call("edit", "-", "rosy cheeks", "-o", tmp_path / "out.png", *SMOKE), 1, "stdin")
    assert not files_in(tmp_path)


def test_truncated(call: Call, portrait: Path) -> None:
    portrait.write_bytes(portrait.read_bytes()[:5000])
    refused(call("edit", portrait, "rosy cheeks", *SMOKE), 1, "portrait.png")
    assert files_in(portrait.parent) == {"portrait.png"}


def test_missing_file(call: Call, tmp_path: Path) -> None:
    refused(call("edit", tmp_path / "absent.png", "rosy cheeks", *SMOKE), 1, "absent.png")


def test_directory(call: Call, tmp_path: Path) -> None:
    folder = tmp_path / "album"
    folder.mkdir()
    refused(call("edit", folder, "rosy cheeks", *SMOKE), 1, "album", "folder")
    assert not files_in(tmp_path)


def test_one_pixel(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "dot.png"
    Image.new("RGB", (1, 1)).save(path)
    refused(call("edit", path, "rosy cheeks", *SMOKE), 1, "1x1")
    assert files_in(tmp_path) == {"dot.png"}


def test_twenty_thousand_pixels_square(call: Call, tmp_path: Path) -> None:
    """Refused from the header: decoding it would take 1.2 GB."""
    path = tmp_path / "huge.png"
    path.write_bytes(header_only_png(20_000, 20_000))
    refused(call("edit", path, "rosy cheeks", *SMOKE), 1, "huge.png", "pixels")
    assert files_in(tmp_path) == {"huge.png"}


def test_empty_mask(call: Call, portrait: Path) -> None:
    mask = portrait.with_name("mask.png")
    Image.new("L", (256, 256), 0).save(mask)
    refused(call("edit", portrait, "rosy cheeks", "-m", mask, *SMOKE), 5, "mask", "empty")
    assert files_in(portrait.parent) == {"portrait.png", "mask.png"}


def test_mask_of_another_size(call: Call, portrait: Path) -> None:
    mask = portrait.with_name("mask.png")
    Image.new("L", (64, 64), 255).save(mask)
    refused(call("edit", portrait, "rosy cheeks", "-m", mask, *SMOKE), 2, "64x64", "256x256")
    assert files_in(portrait.parent) == {"portrait.png", "mask.png"}


def test_no_face(call: Call, blank: Path) -> None:
    refused(call("edit", blank, "rosy cheeks", *SMOKE), 5, "no face")
    refused(call("faces", blank), 5, "no face")
    assert files_in(blank.parent) == {"blank.png"}


@pytest.mark.parametrize("prompt", ["", "   "])
def test_empty_prompt(call: Call, portrait: Path, prompt: str) -> None:
    refused(call("edit", portrait, prompt, *SMOKE), 2, "prompt", "empty")
    assert files_in(portrait.parent) == {"portrait.png"}


def test_unknown_region(call: Call, portrait: Path) -> None:
    outcome = call("edit", portrait, "rosy cheeks", "--region", "cheaks", *SMOKE)
    refused(outcome, 2, "cheaks")
    assert "'cheeks'" in outcome.err
    assert files_in(portrait.parent) == {"portrait.png"}


def test_prompt_without_a_place(call: Call, portrait: Path) -> None:
    outcome = call("edit", portrait, "a thunderstorm", *SMOKE)
    refused(outcome, 2)
    assert "--region" in outcome.err and "--mask" in outcome.err


def test_unknown_recipe_key(call: Call, portrait: Path) -> None:
    outcome = call("edit", portrait, "rosy cheeks", "--set", "sampling.stepz=3", *SMOKE)
    refused(outcome, 2, "stepz")
    assert "'steps'" in outcome.err
    assert files_in(portrait.parent) == {"portrait.png"}


@pytest.mark.parametrize("setting", ["sampling.steps", "=3", " =3"])
def test_malformed_setting(call: Call, portrait: Path, setting: str) -> None:
    refused(call("edit", portrait, "rosy cheeks", "--set", setting, *SMOKE), 2, "key=value")


def test_unknown_recipe(call: Call, portrait: Path) -> None:
    refused(call("edit", portrait, "rosy cheeks", "-r", "smoke/inpant"), 2, "smoke/inpant")


def test_output_exists(call: Call, portrait: Path) -> None:
    taken = portrait.with_name("portrait.inpaint.png")
    taken.write_bytes(b"mine")
    refused(call("edit", portrait, "rosy cheeks", *SMOKE), 1, "portrait.inpaint.png", "exists")
    assert taken.read_bytes() == b"mine"
    assert files_in(portrait.parent) == {"portrait.png", "portrait.inpaint.png"}


def test_the_input_is_no_output(call: Call, portrait: Path) -> None:
    before = portrait.read_bytes()
    refused(call("edit", portrait, "rosy cheeks", "-o", portrait, *SMOKE), 1, "exists")
    assert portrait.read_bytes() == before


def test_output_folder_missing(call: Call, portrait: Path) -> None:
    refused(
        call("edit", portrait, "rosy cheeks", "-o", portrait.parent / "no" / "out.png", *SMOKE), 1, "does not exist"
    )
    assert files_in(portrait.parent) == {"portrait.png"}


def test_unknown_output_format(call: Call, portrait: Path) -> None:
    refused(call("edit", portrait, "rosy cheeks", "-o", portrait.with_name("out.bmp"), *SMOKE), 2, "out.bmp")
    assert files_in(portrait.parent) == {"portrait.png"}


def test_two_results_under_one_name(call: Call, portrait: Path) -> None:
    out = portrait.with_name("out.png")
    refused(call("edit", portrait, "rosy cheeks", "-o", out, "--save-mask", out, *SMOKE), 2, "out.png")


def test_mask_and_region_exclude_each_other(call: Call, portrait: Path) -> None:
    refused(call("edit", portrait, "rosy cheeks", "-m", portrait, "--region", "lips", *SMOKE), 2, "--mask", "--region")


def test_missing_weights(call: Call, portrait: Path) -> None:
    outcome = call(
        "edit", portrait, "rosy cheeks", "-q", *SMOKE, "--set", "weights.kind=local", "--set", "weights.path=nowhere"
    )
    refused(outcome, 4, "nowhere")
    assert files_in(portrait.parent) == {"portrait.png"}


def test_stdin_needs_an_output(call: Call, portrait: Path) -> None:
    refused(call("edit", "-", "rosy cheeks", *SMOKE, stdin=portrait.read_bytes()), 2, "stdin")


def test_stdout_holds_one_thing(call: Call, portrait: Path) -> None:
    refused(call("edit", portrait, "rosy cheeks", "-o", "-", "--variants", 2, *SMOKE), 2, "variants")


def test_result_without_record(call: Call, portrait: Path) -> None:
    refused(call("info", portrait), 1, "record")
    refused(call("replay", portrait), 1, "record")


USAGE = (
    ("edit",),
    ("edit", "a.png"),
    ("edit", "a.png", "x", "--sed", "3"),
    ("edit", "a.png", "x", "-s", "many"),
    ("nosuch",),
    ("recipes",),
)


@pytest.mark.parametrize("words", USAGE)
def test_usage(call: Call, words: tuple[str, ...]) -> None:
    """Typer's own errors come in our two lines too."""
    refused(call(*words), 2)
