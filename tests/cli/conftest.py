"""Command lines in this process, over a picture with one face."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cli_harness import Call, Outcome
from PIL import Image

from faceedit.cli import main


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes], tmp_path: Path) -> Call:
    """Runs `faceedit WORDS...`, with `stdin` as bytes, away from the user's own settings."""
    monkeypatch.setenv("FACEEDIT_CONFIG", str(tmp_path / "no-config.toml"))

    def run(*words: object, stdin: bytes = b"") -> Outcome:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capsysbinary.readouterr()
        code = main([str(word) for word in words])
        out, err = capsysbinary.readouterr()
        return Outcome(code, out, err.decode("utf-8"))

    return run


@pytest.fixture(scope="session")
def face_pixels() -> np.ndarray[Any, np.dtype[np.uint8]]:
    """uint8 [256, 256, 3]: the head in scikit-image's astronaut picture (NASA, public domain)."""
    from skimage import data

    return np.ascontiguousarray(data.astronaut()[:256, 96:352])


@pytest.fixture
def portrait(tmp_path: Path, face_pixels: np.ndarray[Any, np.dtype[np.uint8]]) -> Path:
    """A picture with one face, alone in its folder."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    path = folder / "portrait.png"
    Image.fromarray(face_pixels).save(path)
    return path
