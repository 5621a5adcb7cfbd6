"""Photographs to the Text2Mask form: bad cases counted, bad files named, broken-off runs gone on with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from faceedit.errors import NothingToEditError, OutputError, UsageError
from faceedit.lamask.portraits import png_bytes, portrait_parts
from faceedit.portraits.render import render
from faceedit.regions import REGIONS
from faceedit.text2mask.form import open_text2mask
from faceedit.text2mask.photographs import write_photographs
from faceedit.text2mask.sheet import region_sheet

SIDE = 128


class KnowsTheParts:
    """A parser of rendered portraits that counts its calls, and stops the run where it is told to."""

    def __init__(self, stop_after: int = 99, blind: bool = False) -> None:
        self.calls, self.stop_after, self.blind = 0, stop_after, blind

    def parse(self, rgb: np.ndarray) -> np.ndarray:
        self.calls += 1
        if self.calls > self.stop_after:
            raise KeyboardInterrupt
        portrait = next(p for p in (render(seed, SIDE) for seed in range(4)) if np.array_equal(p.image, rgb))
        return np.zeros_like(portrait_parts(portrait)) if self.blind else portrait_parts(portrait)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    (folder / "deeper").mkdir(parents=True)
    for seed in range(3):
        (folder / ("deeper" if seed else "") / f"{seed}.png").write_bytes(png_bytes(render(seed, SIDE).image))
    (folder / "same.png").write_bytes(png_bytes(render(0, SIDE).image))
    (folder / "broken.jpg").write_bytes(b"no picture")
    Image.new("RGB", (200, 160), (40, 90, 60)).save(folder / "wall.png")
    Image.fromarray(render(3, 64).image).save(folder / "tiny.png")
    return folder


def test_folder_becomes_the_form(pictures: Path, tmp_path: Path) -> None:
    """Breaks when a bad file or case stops the others, a picture counts twice, or a bad mask gets a text."""
    report = write_photographs(pictures, tmp_path / "out", KnowsTheParts(), "told", SIDE, regions=REGIONS)
    assert (report.done, report.kept, list(report.failed)) == (3, 0, ["broken.jpg"])
    assert report.left_out == {"no face": 1, "a small face": 1}
    data = open_text2mask(tmp_path / "out")
    assert (len(data), data.grid, data.description.source) == (3, 16, "photographs, told")
    assert data.pairs == report.pairs == 3 * len(REGIONS) - sum(report.missing.values())
    assert sorted(sample.source for sample in data.samples) == ["0.png", "deeper/1.png", "deeper/2.png"]
    for index in range(3):
        assert np.array_equal(data.masks(index).any((1, 2)), data.present(index))
    first = [sample.source for sample in data.samples].index("0.png")
    assert np.array_equal(data.picture(first), render(0, SIDE).image)
    nose = data.masks(first)[REGIONS.index("nose")] / 255
    true = render(0, SIDE).regions["nose"].reshape(16, 8, 16, 8).mean((1, 3))
    assert np.abs(nose - true).max() < 0.25
    rows = region_sheet(data, (0, 1, 2))
    assert rows.shape[0] > 6 * 176 and rows.shape[1] > 11 * 176


def test_broken_off_run_goes_on(pictures: Path, tmp_path: Path) -> None:
    """Breaks when a picture is done twice, or the end depends on the interruption."""
    with pytest.raises(KeyboardInterrupt):
        write_photographs(pictures, tmp_path / "twice", KnowsTheParts(stop_after=2), "told", SIDE)
    with pytest.raises(UsageError, match="not finished"):
        open_text2mask(tmp_path / "twice")
    parser = KnowsTheParts()
    report = write_photographs(pictures, tmp_path / "twice", parser, "told", SIDE)
    assert (report.done, report.kept, parser.calls) == (1, 2, 1)
    write_photographs(pictures, tmp_path / "once", KnowsTheParts(), "told", SIDE)
    for path in (p for p in (tmp_path / "once").rglob("*") if p.is_file()):
        assert path.read_bytes() == (tmp_path / "twice" / path.relative_to(tmp_path / "once")).read_bytes()
    with pytest.raises(OutputError, match="another source"):
        write_photographs(pictures, tmp_path / "once", KnowsTheParts(), "other", SIDE)


def test_no_sample_at_all_is_an_error(pictures: Path, tmp_path: Path) -> None:
    """Breaks when a parser that sees no face makes an empty data set without a word."""
    with pytest.raises(NothingToEditError, match="3 with no parsed face"):
        write_photographs(pictures, tmp_path / "out", KnowsTheParts(blind=True), "told", SIDE)
    assert not [p for p in (tmp_path / "out").rglob("*") if p.is_file() and p.name != "text2mask.json"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="no picture"):
        write_photographs(tmp_path / "empty", tmp_path / "new", KnowsTheParts(), "told", SIDE)
    assert not (tmp_path / "new").exists()
