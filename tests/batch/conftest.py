"""Batches in this process over rendered portraits, with the tiny random models."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from batch_harness import Files, Lines, Ran, Run
from PIL import Image

from faceedit.cli import main
from faceedit.models.manifest import digest


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes], tmp_path: Path) -> Run:
    """Runs `faceedit WORDS...` with the tiny random models, away from the user's own settings and cache."""
    monkeypatch.setenv("FACEEDIT_CONFIG", str(tmp_path / "no-config.toml"))
    monkeypatch.setenv("FACEEDIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("FACEEDIT_RECIPE", "smoke/inpaint")

    def go(*words: object) -> Ran:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO()))
        capsysbinary.readouterr()
        code = main([str(word) for word in words])
        out, err = capsysbinary.readouterr()
        return Ran(code, out.decode("utf-8", "surrogateescape").splitlines(), err.decode("utf-8"))

    return go


@pytest.fixture(scope="session")
def portraits() -> list[Image.Image]:
    """Eight portraits, each with a face that is found."""
    from faceedit.portraits.render import render

    return [Image.fromarray(render(seed, 160, regions=False).image) for seed in range(8)]


@pytest.fixture
def pictures(tmp_path: Path, portraits: list[Image.Image]) -> Path:
    """A folder with `a.png` and `sub/b.jpg`."""
    folder = tmp_path / "in"
    (folder / "sub").mkdir(parents=True)
    portraits[0].save(folder / "a.png")
    portraits[1].save(folder / "sub" / "b.jpg", quality=95)
    return folder


@pytest.fixture
def files() -> Files:
    """Name -> hash of every result below a folder; journals are no results."""

    def listed(folder: Path) -> dict[str, str]:
        found = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".jsonl")
        return {path.relative_to(folder).as_posix(): digest(path) for path in sorted(found)}

    return listed


@pytest.fixture
def lines() -> Lines:
    """The item records of a folder's journals, in order."""

    def read(folder: Path) -> list[dict[str, Any]]:
        found = [json.loads(line) for path in sorted(folder.glob("faceedit-batch*.jsonl")) for line in path.open("rb")]
        return [line for line in found if line["schema"] == "faceedit.batch.item/1"]

    return read
