"""A command line and a rendered portrait for it."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from security_harness import Call

from faceedit.cli import main


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path) -> Call:
    """Runs a command line in an empty folder of its own: (exit code, stdout, stderr)."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("FACEEDIT_CONFIG", str(tmp_path / "none.toml"))

    def run(*words: object, stdin: bytes = b"") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capfdbinary.readouterr()
        code = main([str(word) for word in words])
        out, err = capfdbinary.readouterr()
        return code, out.decode("utf-8"), err.decode("utf-8")

    return run


@pytest.fixture(scope="session")
def face() -> NDArray[np.uint8]:
    """A rendered portrait, uint8 [192, 192, 3]."""
    from faceedit.portraits.render import render

    return render(0, 192, regions=False).image


@pytest.fixture
def portrait(tmp_path: Path, face: NDArray[np.uint8]) -> Path:
    """The portrait as a file, alone in its folder."""
    (tmp_path / "pictures").mkdir()
    Image.fromarray(face).save(tmp_path / "pictures" / "p.png")
    return tmp_path / "pictures" / "p.png"
