"""The cache of rendered portraits and the batches drawn from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceedit.errors import UsageError
from faceedit.portraits.split import HELD_OUT_FROM
from faceedit.portraits.vocabulary import FIELDS
from faceedit.train import data
from faceedit.train.data import build_cache, shuffled
from faceedit.train.settings import DataSettings


def test_same_seed_gives_the_same_cache_in_any_process(tmp_path: Path) -> None:
    """Breaks when a row depends on the worker, on the rows before it, or cannot be rendered in a spawned process."""
    here = build_cache(tmp_path / "here", 4, seed=5, size=32, grid=16, twins=0.5, workers=0)
    there = build_cache(tmp_path / "there", 4, seed=5, size=32, grid=16, twins=0.5, workers=1)
    assert here.images.shape == (6, 32, 32, 3)
    for name in ("images", "attributes", "visible", "masks", "seeds", "twin", "changed"):
        assert np.array_equal(getattr(here, name), getattr(there, name)), name


def test_twins_differ_in_one_field_and_know_each_other(tmp_path: Path) -> None:
    """Breaks when twins are linked to the wrong people, or differ in more than the field they name."""
    cache = build_cache(tmp_path / "cache", 4, seed=0, size=32, grid=16, twins=1.0, workers=0)
    for row in range(4):
        other = int(cache.twin[row])
        assert int(cache.twin[other]) == row
        assert cache.seeds[row] == cache.seeds[other]
        assert np.flatnonzero(cache.attributes[row] != cache.attributes[other]).tolist() == [int(cache.changed[row])]
    assert len(FIELDS) == cache.attributes.shape[1]


def test_interrupted_build_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks when a build that was stopped starts anew, or leaves rows unrendered."""
    whole = build_cache(tmp_path / "whole", 6, seed=0, size=32, grid=16, twins=0.0, workers=0)
    monkeypatch.setattr(data, "CHUNK", 2)
    render, calls = data._render_rows, []

    def stops_at_third(*task: int) -> dict[str, np.ndarray]:
        calls.append(task[2])
        if len(calls) == 3:
            raise KeyboardInterrupt
        return render(*task)

    monkeypatch.setattr(data, "_render_rows", stops_at_third)
    with pytest.raises(KeyboardInterrupt):
        build_cache(tmp_path / "cache", 6, seed=0, size=32, grid=16, twins=0.0, workers=0)
    assert not (tmp_path / "cache").exists()
    again = build_cache(tmp_path / "cache", 6, seed=0, size=32, grid=16, twins=0.0, workers=0)
    assert calls == [0, 2, 4, 4]
    assert np.array_equal(again.images, whole.images)


@pytest.mark.parametrize(("seed", "count"), [(HELD_OUT_FROM, 1), (HELD_OUT_FROM - 3, 4), (-1, 2)])
def test_held_out_seeds_are_refused(tmp_path: Path, seed: int, count: int) -> None:
    """Breaks when training could see a portrait of the benchmark."""
    with pytest.raises(UsageError, match="benchmark"):
        build_cache(tmp_path / "cache", count, seed=seed)
    assert not (tmp_path / "cache").exists()


def test_validation_seeds_are_neither_trained_on_nor_held_out() -> None:
    """Breaks when the default splits touch."""
    defaults = DataSettings()
    assert defaults.seed + defaults.count <= defaults.validation_seed
    assert defaults.validation_seed + defaults.validation_count <= HELD_OUT_FROM


def test_another_cache_in_the_folder_is_refused(tmp_path: Path) -> None:
    """Breaks when a training would silently use portraits of another size or number."""
    build_cache(tmp_path / "cache", 2, seed=0, size=32, grid=16, twins=0.0, workers=0)
    with pytest.raises(UsageError, match="other portraits"):
        build_cache(tmp_path / "cache", 3, seed=0, size=32, grid=16, twins=0.0, workers=0)


@given(st.integers(1, 40), st.integers(1, 60), st.integers(0, 5))
def test_every_pass_visits_every_row_once(count: int, batch: int, seed: int) -> None:
    """Breaks when batches skip or repeat rows within a pass, or depend on anything but their number."""
    batches = 2 * count
    rows = np.concatenate([shuffled(count, batch, index, seed) for index in range(batches)])
    for start in range(0, len(rows) - count + 1, count):
        assert sorted(rows[start : start + count]) == list(range(count))
    assert np.array_equal(shuffled(count, batch, 1, seed), rows[batch : 2 * batch])
