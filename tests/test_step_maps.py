"""Pictures of what a method saw: names, scale, and the sheet over the steps."""

from __future__ import annotations

import numpy as np

from faceedit.step_maps import OWN_NAME, coloured, map_names, map_pictures, maps_sheet

YELLOW, BLUE = (253, 231, 37), (68, 1, 84)


def flat(value: float) -> np.ndarray:
    return np.full((16, 16), value, dtype=np.float32)


def test_scales() -> None:
    """Score and boundary as they are; attention, which is a share of many words, against its largest value."""
    seen = {1: {"score": flat(0.5), "attention": flat(0.01)}, 2: {"score": flat(1.0), "attention": flat(0.02)}}
    pictures = map_pictures(seen)
    assert set(pictures) == {f"step-00{n}-{kind}.png" for n in (1, 2) for kind in ("score", "attention")} | {
        "sheet.png"
    }
    for name in ("step-002-score.png", "step-002-attention.png"):
        assert np.abs(pictures[name].astype(int) - YELLOW).max() <= 2
    assert np.array_equal(pictures["step-001-score.png"], pictures["step-001-attention.png"])
    assert np.abs(coloured(flat(0.0)).astype(int) - BLUE).max() <= 2


def test_every_written_name_is_known_as_ours() -> None:
    """--force clears away what is named like this; breaks when a map's odd name slips past, or a stranger's matches."""
    pictures = map_pictures({7: {'word "red/green"': flat(1.0), "score": flat(1.0)}})
    assert all(OWN_NAME.fullmatch(name) for name in pictures)
    assert not any("/" in name for name in pictures)
    assert not OWN_NAME.fullmatch("holiday.png")


def test_cells_are_drawn_as_they_are() -> None:
    values = np.zeros((16, 16), dtype=np.float32)
    values[3, 5] = 1
    picture = coloured(values)
    assert picture.shape == (256, 256, 3)
    lit = np.abs(picture.astype(int) - YELLOW).max(axis=2) <= 2
    assert lit[48:64, 80:96].all() and lit.sum() == 256


def test_the_sheet_has_a_row_per_map_and_six_steps_at_most() -> None:
    """The first and the last step are on it; a step that lacks a map leaves its place grey."""
    seen = {n: {"zebra": flat(1.0), "score": flat(1.0)} for n in range(1, 51)}
    del seen[50]["score"]
    assert map_names(seen) == ("score", "zebra")
    page = maps_sheet(seen)
    assert page.shape[1] == 6 * (160 + 8) + 8
    assert ((page == 200).all(axis=2)).sum() >= 160 * 160
    assert map_pictures({}) == {}
