"""What is read from outside ends in a documented error or in a valid result: nothing else comes out, no file stays."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from fuzzing import FOLDER


@pytest.fixture(autouse=True, scope="module")
def nothing_is_left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Every test runs in an empty folder, which is empty afterwards."""
    folder = tmp_path_factory.mktemp("fuzz") / "here"
    folder.mkdir()
    before = Path.cwd()
    os.chdir(folder)
    FOLDER.mkdir()
    yield
    os.chdir(before)
    assert list(folder.iterdir()) == []
