"""Building from a folder of faces: resumable, honest about what failed, every answer checked."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from faceedit.errors import OutputError, UsageError
from faceedit.lamask.build import TRIES, BuildSettings, build
from faceedit.lamask.describer import Describer
from faceedit.lamask.form import faults, read_form
from faceedit.lamask.parser import FaceParser
from faceedit.lamask.portraits import png_bytes, portrait_parts
from faceedit.portraits.render import render

SETTINGS = BuildSettings(size=64, model="told", whole=True)


class KnowsTheParts:
    """A parser of rendered portraits that counts its calls, and stops the run where it is told to."""

    def __init__(self, stop_after: int = 99) -> None:
        self.calls, self.stop_after = 0, stop_after

    def parse(self, rgb: np.ndarray) -> np.ndarray:
        self.calls += 1
        if self.calls > self.stop_after:
            raise KeyboardInterrupt
        portrait = next(p for p in (render(seed, 64) for seed in range(4)) if np.array_equal(p.image, rgb))
        return portrait_parts(portrait)


class Talks:
    """Says something wrong first, and something right when it is asked again."""

    def answer(self, rgb: np.ndarray, question: str, seed: int = 0) -> str:  # noqa: ARG002
        word = question.split('contains the word "')[1].split('"')[0]
        return f"a fine {word} of rare form" if seed % TRIES else "a picture of a person"


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    (folder / "deeper").mkdir(parents=True)
    for seed in range(3):
        (folder / ("deeper" if seed else "") / f"{seed}.png").write_bytes(png_bytes(render(seed, 64).image))
    (folder / "same.png").write_bytes(png_bytes(render(0, 64).image))
    (folder / "broken.jpg").write_bytes(b"no picture")
    (folder / "notes.txt").write_text("not looked at")
    return folder


def test_folder_becomes_the_form(pictures: Path, tmp_path: Path) -> None:
    """Breaks when a bad file stops the others, a picture counts twice, or a rejected answer is written."""
    report = build(pictures, tmp_path / "out", KnowsTheParts(), Talks(), SETTINGS)
    assert (report.done, report.kept, list(report.failed)) == (3, 0, ["broken.jpg"])
    found = read_form(tmp_path / "out")
    assert list(faults(found)) == []
    texts = [caption for said in found.captions.values() for caption in said]
    assert len(texts) == report.captions
    assert report.rejected == {"global": len(texts)}
    assert report.given_up == 0
    assert all("picture" not in caption.text and caption.model == "told" and caption.prompt for caption in texts)
    assert not list((tmp_path / "out").rglob("*.part*"))


def test_broken_off_run_goes_on(pictures: Path, tmp_path: Path) -> None:
    """Breaks when a picture is done twice, or the end depends on the interruption."""
    with pytest.raises(KeyboardInterrupt):
        build(pictures, tmp_path / "twice", KnowsTheParts(stop_after=2), Talks(), SETTINGS)
    parser = KnowsTheParts()
    report = build(pictures, tmp_path / "twice", parser, Talks(), SETTINGS)
    assert (report.done, report.kept, parser.calls) == (1, 2, 1)
    build(pictures, tmp_path / "once", KnowsTheParts(), Talks(), SETTINGS)
    for path in sorted(p for p in (tmp_path / "once").rglob("*") if p.is_file()):
        assert path.read_bytes() == (tmp_path / "twice" / path.relative_to(tmp_path / "once")).read_bytes()


def test_other_settings_are_done_anew(pictures: Path, tmp_path: Path) -> None:
    """Breaks when captions of another model stay under the new one's name."""
    build(pictures, tmp_path / "out", KnowsTheParts(), Talks(), SETTINGS)
    other = BuildSettings(size=64, model="other", whole=True)
    report = build(pictures, tmp_path / "out", KnowsTheParts(), Talks(), other)
    assert (report.done, report.kept) == (3, 0)
    lines = (tmp_path / "out/captions.jsonl").read_text().splitlines()
    assert {json.loads(line)["model"] for line in lines} == {"other"}
    parsed = replace(other, parser="other")
    assert build(pictures, tmp_path / "out", KnowsTheParts(), Talks(), parsed).done == 3


def test_what_was_lost_is_done_anew(pictures: Path, tmp_path: Path) -> None:
    """Breaks when a record vouches for a picture or a mask that is gone."""
    build(pictures, tmp_path / "out", KnowsTheParts(), Talks(), SETTINGS)
    for kind in ("images", "masks"):
        sorted((tmp_path / "out" / kind).iterdir())[kind == "masks"].unlink()
    report = build(pictures, tmp_path / "out", KnowsTheParts(), Talks(), SETTINGS)
    assert (report.done, report.kept) == (2, 1)
    assert list(faults(read_form(tmp_path / "out"))) == []


def test_answers_that_never_fit_are_given_up(
    pictures: Path, tmp_path: Path, parser_folder: Path, describer_folder: Path
) -> None:
    """Breaks when the real classes do not work together, or nonsense of an untrained model becomes a caption."""
    settings = BuildSettings(size=64, model="tiny", kinds=("direct",), whole=True)
    for extra in ("same.png", "deeper/2.png"):
        (pictures / extra).unlink()
    parser, describer = FaceParser(parser_folder), Describer(describer_folder, longest=4)
    report = build(pictures, tmp_path / "out", parser, describer, settings)
    assert report.done == 2
    assert report.captions == 0
    assert report.given_up > 0
    assert sum(report.rejected.values()) == TRIES * report.given_up


def test_wrong_folders_are_refused(tmp_path: Path) -> None:
    """Breaks when an empty folder makes an empty data set, or somebody's folder is filled with records."""
    (tmp_path / "in").mkdir()
    with pytest.raises(UsageError, match="no picture"):
        build(tmp_path / "in", tmp_path / "out", KnowsTheParts(), Talks(), SETTINGS)
    (tmp_path / "in/a.png").write_bytes(png_bytes(render(0, 64).image))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/letter.txt").write_text("dear")
    with pytest.raises(OutputError, match="something else"):
        build(tmp_path / "in", tmp_path / "mine", KnowsTheParts(), Talks(), SETTINGS)
