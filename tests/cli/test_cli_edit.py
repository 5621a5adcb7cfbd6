"""`edit` from the command line, with the tiny random models: files, stdout, JSON, record and replay.

Every test here runs with the sockets shut (`tests/conftest.py`).
"""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import pytest
from cli_harness import SMOKE, Call
from PIL import Image

from faceedit.cli.record import difference
from faceedit.provenance import read_record, source_type

EDIT_KEYS = {
    "schema": str,
    "status": str,
    "input": str,
    "output": str,
    "mask": str,
    "compare": str,
    "maps": str,
    "editor": str,
    "recipe": str,
    "prompts": list,
    "seed": int,
    "size": list,
    "face": list,
    "mask_origin": str,
    "mask_share": float,
    "outside_max_abs_diff": int,
    "seconds": float,
    "safety": str,
    "warnings": list,
}


def pixels(source: Path | bytes) -> np.ndarray[Any, np.dtype[np.uint8]]:
    with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
        return np.asarray(image)


def test_default_output_and_what_goes_where(call: Call, portrait: Path) -> None:
    """The path alone on stdout; the pixels outside the mask are those of the input."""
    mask = portrait.with_name("m.png")
    sheet = portrait.with_name("c.png")
    outcome = call("edit", portrait, "rosy cheeks", *SMOKE, "--save-mask", mask, "--compare", sheet)
    target = portrait.with_name("portrait.inpaint.png")
    assert outcome.code == 0, outcome.err
    assert outcome.out == f"{target}\n"
    assert outcome.err.startswith("recipe smoke/inpaint")
    before, after, where = pixels(portrait), pixels(target), pixels(mask)
    assert where.shape == before.shape[:2]
    assert np.array_equal(before[where == 0], after[where == 0])
    assert not np.array_equal(before, after)
    assert pixels(sheet).shape[1] > 3 * 256
    for path in (target, sheet):
        assert str(source_type(path)).endswith("compositeWithTrainedAlgorithmicMedia")


def test_json_object(call: Call, portrait: Path) -> None:
    """The schema as docs/cli.md states it; a key that goes or changes its type needs another version."""
    extra = ("--save-mask", portrait.with_name("m.png"), "--compare", portrait.with_name("c.png"))
    extra = (*extra, "--stfg", "--save-maps", portrait.with_name("maps"))
    outcome = call("edit", portrait, "red lips", "-s", 3, *SMOKE, "--json", *extra)
    (document,) = outcome.documents
    assert {key: type(value) for key, value in document.items()} == EDIT_KEYS
    assert document["schema"] == "faceedit.edit/1"
    assert document["status"] == "ok"
    assert document["seed"] == 3
    assert document["size"] == [256, 256]
    assert document["outside_max_abs_diff"] == 0
    assert 0 < document["mask_share"] < 0.2


def test_error_object(call: Call, portrait: Path) -> None:
    outcome = call("edit", portrait, "", *SMOKE, "--json")
    (document,) = outcome.documents
    assert (outcome.code, document["status"], document["error"]["code"]) == (2, "error", 2)
    assert document["schema"] == "faceedit.error/1"


def test_stdin_to_stdout(call: Call, portrait: Path) -> None:
    """Image bytes and nothing else on stdout, the same as in a file."""
    piped = call("edit", "-", "rosy cheeks", "-o", "-", *SMOKE, "-q", stdin=portrait.read_bytes())
    assert (piped.code, piped.err) == (0, "")
    filed = call("edit", portrait, "rosy cheeks", *SMOKE)
    assert piped.raw == Path(filed.out.rstrip("\n")).read_bytes()


def test_stdout_takes_bytes_or_json(call: Call, portrait: Path) -> None:
    assert call("edit", portrait, "rosy cheeks", "-o", "-", "--json", *SMOKE).code == 2


def test_variants_are_seeds(call: Call, portrait: Path) -> None:
    """K results, each the one that its seed alone gives."""
    outcome = call("edit", portrait, "rosy cheeks", "-s", 4, "--variants", 2, *SMOKE, "--json")
    assert [document["seed"] for document in outcome.documents] == [4, 5]
    names = [Path(document["output"]) for document in outcome.documents]
    assert [path.name for path in names] == ["portrait.inpaint.4.png", "portrait.inpaint.5.png"]
    assert not np.array_equal(pixels(names[0]), pixels(names[1]))
    alone = portrait.with_name("alone.png")
    call("edit", portrait, "rosy cheeks", "-s", 5, "-o", alone, *SMOKE)
    assert alone.read_bytes() == names[1].read_bytes()


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_replay_gives_the_same_bytes(call: Call, portrait: Path, suffix: str) -> None:
    """The original is found beside the result by its hash, under whatever name."""
    out = portrait.with_name(f"out{suffix}")
    made = call("edit", portrait, "no glasses", "-s", 9, "--steps", 3, "-o", out, *SMOKE)
    assert ("JPEG changes pixels" in made.err) == (suffix == ".jpg")
    portrait.rename(portrait.with_name("renamed.png"))
    again = call("replay", out, "--json")
    assert again.code == 0, again.err
    (document,) = again.documents
    assert document["identical"] is True
    assert Path(document["output"]).name == f"out.replay{suffix}"
    assert Path(document["output"]).read_bytes() == out.read_bytes()


def test_replay_with_a_mask_file(call: Call, portrait: Path) -> None:
    """The record keeps the user's mask, so the mask file may be gone."""
    mask = portrait.with_name("mask.png")
    Image.fromarray(np.pad(np.full((60, 60), 255, np.uint8), ((80, 116), (90, 106)))).save(mask)
    out = portrait.with_name("out.png")
    assert call("edit", portrait, "rosy cheeks", "-m", mask, "-o", out, *SMOKE).code == 0
    mask.unlink()
    assert call("replay", out, "--image", portrait, "--json").documents[0]["identical"] is True


def test_replay_wants_the_very_picture(call: Call, portrait: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.png"
    call("edit", portrait, "rosy cheeks", "-o", out, *SMOKE)
    other = tmp_path / "other.png"
    Image.new("RGB", (256, 256), (9, 9, 9)).save(other)
    wrong = call("replay", out, "--image", other)
    assert wrong.code == 2 and "--image" in wrong.err
    lost = call("replay", out)
    assert lost.code == 1 and "--image" in lost.err
    assert not (tmp_path / "out.replay.png").exists()


def test_info_shows_the_record(call: Call, portrait: Path) -> None:
    out = portrait.with_name("out.png")
    call("edit", portrait, "rosy cheeks", "-o", out, *SMOKE)
    record = json.loads(call("info", out).out)
    assert record["prompts"] == ["rosy cheeks"]
    assert call("info", out, "--json").documents[0]["record"] == read_record(out).data
    assert str(portrait.parent) not in json.dumps(record)


def test_no_metadata_keeps_the_mark(call: Call, portrait: Path) -> None:
    out = portrait.with_name("out.png")
    assert call("edit", portrait, "rosy cheeks", "-o", out, "--no-metadata", *SMOKE).code == 0
    assert call("info", out).code == 1
    assert str(source_type(out)).endswith("compositeWithTrainedAlgorithmicMedia")


def test_force_replaces(call: Call, portrait: Path) -> None:
    out = portrait.with_name("out.png")
    out.write_bytes(b"old")
    assert call("edit", portrait, "rosy cheeks", "-o", out, "--force", *SMOKE).code == 0
    assert pixels(out).shape == (256, 256, 3)


def test_output_folder(call: Call, portrait: Path, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    assert call("edit", portrait, "rosy cheeks", "-o", folder, *SMOKE).out == f"{folder / 'portrait.inpaint.png'}\n"


def test_dry_run_writes_and_loads_nothing(call: Call, portrait: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> NoReturn:
        raise AssertionError("models were loaded")

    monkeypatch.setattr("faceedit.run.load_editor", refuse)
    words = ("edit", portrait, "rosy cheeks", "--variants", 2, "-n", "--steps", 7, *SMOKE)
    (document,) = call(*words, "--json").documents
    assert document["schema"] == "faceedit.plan/1"
    assert document["steps"] == 7
    assert document["target"] == "a person with rosy cheeks"
    assert [Path(path).name for path in document["writes"]] == ["portrait.inpaint.0.png", "portrait.inpaint.1.png"]
    assert "a person with rosy cheeks" in call(*words).out
    assert [path.name for path in portrait.parent.iterdir()] == ["portrait.png"]


def test_environment_reaches_an_edit(call: Call, portrait: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEEDIT_RECIPE", "smoke/inpaint")
    monkeypatch.setenv("FACEEDIT_SEED", "12")
    assert call("edit", portrait, "rosy cheeks", "--json").documents[0]["seed"] == 12


def test_replay_tells_what_is_not_as_it_was() -> None:
    """Breaks when another detector, other weights or other packages are blamed on the file's format."""
    record = {"versions": {"torch": "1"}, "weights": {"unet": "a"}, "crop": [0, 0, 8, 8], "mask": {"sha256": "b"}}
    assert difference(record, record).startswith("another format")
    assert difference(record, record | {"versions": {"torch": "2"}}) == "torch 1 is now 2"
    assert difference(record, record | {"weights": {}}) == "the weights are others"
    assert "found elsewhere" in difference(record, record | {"crop": [1, 0, 9, 8]})
