"""`faceedit cache`: the inverted pictures on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from cli_harness import Call

from faceedit.recipe_schema import CacheOptions
from faceedit.trajectories import open_cache


def test_it_is_shown_and_cleared(call: Call, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Breaks if a user could not find out what is kept of his pictures, or not get rid of it."""
    monkeypatch.setenv("FACEEDIT_CACHE", str(tmp_path))
    folder = str(tmp_path / "trajectories")
    assert call("cache", "show", "--json").documents[0]["entries"] == 0
    open_cache(CacheOptions()).write("0" * 64, {"chain": torch.zeros(1000)}, {"source": "a person"})
    (shown,) = call("cache", "show", "--json").documents
    assert (shown["folder"], shown["entries"]) == (folder, 1)
    assert shown["bytes"] > 4000
    assert "1 inverted pictures" in call("doctor").out
    (cleared,) = call("cache", "clear", "--json").documents
    assert (cleared["folder"], cleared["deleted"]) == (folder, 1)
    assert call("cache", "show", "--json").documents[0]["entries"] == 0


def test_it_is_told_in_words(call: Call) -> None:
    assert "entries  0" in call("cache", "show").out
    assert call("cache", "clear").out.startswith("0 deleted from ")
