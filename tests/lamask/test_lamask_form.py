"""The form: what is written is read back, what is wrong is named, portraits come out whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceedit.errors import ImageError, OutputError, UsageError
from faceedit.lamask.form import KINDS, MARKER, faults, read_form, read_parts
from faceedit.lamask.parts import PARTS, REGION_PARTS, region_mask, regions_in
from faceedit.lamask.portraits import portrait_parts, write_portraits
from faceedit.portraits.render import render


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("form") / "portraits"
    write_portraits(path, 3, seed=5, size=64)
    return path


def test_portraits_are_read_back_whole(folder: Path) -> None:
    """Breaks when a caption speaks of a region that its mask does not show, or a kind is left out."""
    found = read_form(folder)
    assert len(found.images) == 3
    assert list(faults(found)) == []
    for image in found.images:
        assert {caption.kind for caption in found.captions[image]} == set(KINDS)
        shown = regions_in(found.parts(image))
        assert all(caption.region in shown for caption in found.captions[image])
        assert found.picture(image).shape == (64, 64, 3)


def test_written_twice_is_the_same(folder: Path, tmp_path: Path) -> None:
    """Breaks when captions or masks hang on anything but the seed."""
    write_portraits(tmp_path / "again", 3, seed=5, size=64)
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(folder)).read_bytes()


def test_parts_lie_where_the_renderer_drew() -> None:
    """Breaks when a part is painted under another, or glasses are marked that nobody wears."""
    for seed in range(12):
        portrait = render(seed, 128)
        parts, a = portrait_parts(portrait), portrait.attributes
        assert (region_mask(parts, "eyeglasses").any()) == (a.glasses != "none")
        assert (region_mask(parts, "hat").any()) == (a.hat != "none")
        assert (region_mask(parts, "necklace").any()) == (a.necklace != "none")
        lips = portrait.regions["lips"] >= 0.5
        assert float(region_mask(parts, "lips")[lips].mean()) > 0.95
        upper, lower = (np.nonzero(parts == PARTS.index(name))[0].mean() for name in ("u_lip", "l_lip"))
        assert upper < lower


def test_every_part_but_three_belongs_to_a_region() -> None:
    """Breaks when a part of the 19 is forgotten."""
    used = {part for parts in REGION_PARTS.values() for part in parts}
    assert set(PARTS) - used == {"background", "neck", "cloth"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"region": "elbow"}, "unknown region"),
        ({"kind": "poetic"}, "unknown kind"),
        ({"image": "../secret.png"}, "outside images/"),
        ({"image": "images/../../secret.png"}, "outside images/"),
        ({"image": "/etc/passwd"}, "outside images/"),
        ({"text": " "}, "0 characters|1 characters"),
        ({"text": 7}, "every value is a text"),
        ({"colour": "red"}, "the keys"),
    ],
)
def test_wrong_lines_are_named(folder: Path, tmp_path: Path, change: dict[str, object], message: str) -> None:
    """Breaks when a caption that cannot be trained on, or a path that leaves the folder, is taken."""
    line = json.loads((folder / "captions.jsonl").read_text().splitlines()[0])
    (tmp_path / MARKER).write_bytes((folder / MARKER).read_bytes())
    (tmp_path / "captions.jsonl").write_text(json.dumps({**line, **change}) + "\n")
    with pytest.raises(UsageError, match=message) as caught:
        read_form(tmp_path)
    assert "line 1" in str(caught.value)


@pytest.mark.parametrize("break_it", [lambda p: (p / MARKER).unlink(), lambda p: (p / MARKER).write_text("{}")])
def test_other_folders_are_refused(tmp_path: Path, break_it: Callable[[Path], None]) -> None:
    """Breaks when any folder with a captions file is trained on."""
    write_portraits(tmp_path / "x", 1, size=64)
    break_it(tmp_path / "x")
    with pytest.raises(UsageError, match="form"):
        read_form(tmp_path / "x")


def test_faults_of_pictures_and_masks_are_told(tmp_path: Path) -> None:
    """Breaks when a folder with a damaged mask or a caption of nothing passes as sound."""
    write_portraits(tmp_path / "x", 3, size=64)
    found = read_form(tmp_path / "x")
    first, second, third = (found.path / f"masks/{Path(image).stem}.png" for image in found.images)
    Image.fromarray(np.zeros((32, 32), np.uint8)).save(first)
    Image.fromarray(np.zeros((64, 64), np.uint8)).save(second)
    third.write_bytes(b"no picture")
    told = "\n".join(faults(found))
    assert "the mask is 32x32" in told
    assert "and the mask shows none" in told
    assert "cannot be read" in told


def test_no_index_map_is_refused(tmp_path: Path) -> None:
    """Breaks when a coloured mask, or one of more parts, is taken for indices."""
    Image.fromarray(np.full((4, 4), 19, np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "b.png")
    with pytest.raises(ImageError, match="holds part 19"):
        read_parts(tmp_path / "a.png")
    with pytest.raises(ImageError, match="no index map"):
        read_parts(tmp_path / "b.png")


def test_a_filled_folder_is_left_alone(tmp_path: Path) -> None:
    """Breaks when somebody's pictures are mixed with rendered ones."""
    (tmp_path / "holiday.jpg").write_bytes(b"x")
    with pytest.raises(OutputError, match="not empty"):
        write_portraits(tmp_path, 1, size=64)
