"""`edit` with MAG-Edit from the command line: its option, its maps, its replay."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_harness import Call

from faceedit.provenance import read_record

MAG = ("-r", "smoke/mag-edit", "--set", "cache.limit=0", "-q")


@pytest.fixture
def edited(call: Call, portrait: Path, tmp_path: Path) -> Path:
    output = tmp_path / "out.png"
    maps = tmp_path / "maps"
    said = call("edit", portrait, "rosy cheeks", *MAG, "--constraint", "token", "-o", output, "--save-maps", maps)
    assert said.code == 0, said.err
    assert any("attention" in path.name for path in maps.rglob("*.png"))
    return output


def test_the_constraint_reaches_the_recipe_and_the_edit_can_be_replayed(
    call: Call, portrait: Path, edited: Path
) -> None:
    """Breaks when --constraint is read and dropped, or an edit depends on more than its record says."""
    record = read_record(edited.read_bytes())
    assert record is not None and record.data["recipe"]["mag_edit"]["constraint"] == "token"
    assert call("replay", edited, "--image", portrait, "-o", edited.with_name("again.png"), "-q").code == 0


def test_what_constrains_must_be_known(call: Call, portrait: Path, tmp_path: Path) -> None:
    said = call("edit", portrait, "rosy cheeks", *MAG, "--constraint", "tokens", "-o", tmp_path / "out.png")
    assert said.code == 2 and "token, spatial, none" in said.err


def test_fp16_is_refused_before_anything_is_written(call: Call, portrait: Path, tmp_path: Path) -> None:
    said = call("edit", portrait, "rosy cheeks", *MAG, "--dtype", "fp16", "-o", tmp_path / "out.png")
    assert said.code == 2 and "fp16" in said.err
    assert not (tmp_path / "out.png").exists()
