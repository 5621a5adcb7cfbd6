"""`edit --save-maps` and `--stfg`: which files appear, which are refused, and what an editor without maps says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cli_harness import SMOKE, Call
from PIL import Image

CA = ("-r", "smoke/ca-edit")


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_maps_and_sheet_are_written(call: Call, portrait: Path) -> None:
    """A picture per step and map, and a sheet of three rows."""
    folder = portrait.with_name("maps")
    outcome = call("edit", portrait, "rosy cheeks", *CA, "--save-maps", folder)
    assert outcome.code == 0, outcome.err
    kinds = ("attention", "boundary", "score")
    assert names(folder) == ["sheet.png", *(f"step-{n:03}-{kind}.png" for n in (1, 2) for kind in kinds)]
    with Image.open(folder / "step-001-score.png") as image:
        assert image.size == (256, 256) and image.mode == "RGB"
    with Image.open(folder / "sheet.png") as image:
        assert image.height > 3 * 160 and image.width > 2 * 160


def test_the_edit_is_the_same_with_and_without_maps(call: Call, portrait: Path) -> None:
    """Breaks when looking changes what is seen."""
    outs = [portrait.with_name(name) for name in ("a.png", "b.png")]
    call("edit", portrait, "rosy cheeks", *CA, "-o", outs[0])
    call("edit", portrait, "rosy cheeks", *CA, "-o", outs[1], "--save-maps", portrait.with_name("maps"))
    assert outs[0].read_bytes() == outs[1].read_bytes()


def test_a_folder_with_something_in_it_is_refused(call: Call, portrait: Path) -> None:
    """Before any work, and nothing is written; with --force only files of the same kind go."""
    folder = portrait.with_name("maps")
    folder.mkdir()
    for name in ("mine.txt", "step-009-score.png", "sheet.png"):
        (folder / name).write_bytes(b"old")
    refused = call("edit", portrait, "rosy cheeks", *CA, "--save-maps", folder)
    assert refused.code == 1 and "is not empty" in refused.err and "--force" in refused.err
    assert len(names(folder)) == 3 and not portrait.with_name("portrait.ca-edit.png").exists()
    assert call("edit", portrait, "rosy cheeks", *CA, "--save-maps", folder, "--force").code == 0
    assert "mine.txt" in names(folder) and "step-009-score.png" not in names(folder)
    assert (folder / "sheet.png").read_bytes() != b"old"


def test_a_file_or_a_missing_parent_is_refused(call: Call, portrait: Path) -> None:
    for place in (portrait, portrait.parent / "none" / "maps"):
        assert call("edit", portrait, "rosy cheeks", *CA, "--save-maps", place).code == 1


def test_a_failed_write_leaves_nothing(call: Call, portrait: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks when half of the maps, or an empty folder, stay behind."""
    from faceedit import images
    from faceedit.errors import OutputError

    write = images.write_atomic

    def failing(path: Path, data: bytes, force: bool = False) -> None:
        if path.name == "sheet.png":
            raise OutputError("the disk is full")
        write(path, data, force)

    monkeypatch.setattr(images, "write_atomic", failing)
    assert call("edit", portrait, "rosy cheeks", *CA, "--save-maps", portrait.with_name("maps")).code == 1
    assert names(portrait.parent) == ["portrait.png"]


def test_dry_run_lists_the_folder(call: Call, portrait: Path) -> None:
    folder = portrait.with_name("maps")
    words = ("edit", portrait, "rosy cheeks", *CA, "--save-maps", folder, "--variants", 2, "-n", "--json")
    (document,) = call(*words).documents
    assert [name for name in document["writes"] if "maps" in name] == [f"{folder}.0", f"{folder}.1"]
    assert not folder.exists()


def test_variants_have_their_own_folders(call: Call, portrait: Path) -> None:
    folder = portrait.with_name("maps")
    outcome = call("edit", portrait, "rosy cheeks", *CA, "--save-maps", folder, "--variants", 2, "-s", 4, "--json")
    assert [document["maps"] for document in outcome.documents] == [f"{folder}.4", f"{folder}.5"]
    assert names(portrait.with_name("maps.4")) == names(portrait.with_name("maps.5"))


def test_an_editor_without_maps_says_so(call: Call, portrait: Path) -> None:
    folder = portrait.with_name("maps")
    outcome = call("edit", portrait, "rosy cheeks", *SMOKE, "--save-maps", folder, "--json")
    (document,) = outcome.documents
    assert document["maps"] is None and "--stfg" in document["warnings"][-1]
    assert not folder.exists()


def test_stfg_is_a_switch(call: Call, portrait: Path) -> None:
    """Breaks when either form is dropped, or `--set` wins over it."""
    outs = [portrait.with_name(f"{n}.png") for n in range(4)]
    strong = ("--set", "stfg.strength=0.9")
    flags = ((), ("--stfg", *strong), ("--no-stfg", *strong, "--set", "stfg.enabled=true"), ("--stfg", "--no-stfg"))
    for out, flag in zip(outs, flags, strict=True):
        assert call("edit", portrait, "rosy cheeks", *SMOKE, "-o", out, *flag, "--no-metadata").code == 0
    pixels = [np.asarray(Image.open(out)) for out in outs]
    assert not np.array_equal(pixels[0], pixels[1])
    assert np.array_equal(pixels[0], pixels[2]) and np.array_equal(pixels[0], pixels[3])


def test_stfg_reads_the_environment(call: Call, portrait: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEEDIT_STFG", "1")
    folder = portrait.with_name("maps")
    assert call("edit", portrait, "rosy cheeks", *SMOKE, "--save-maps", folder).code == 0
    assert "step-001-boundary.png" in names(folder)
