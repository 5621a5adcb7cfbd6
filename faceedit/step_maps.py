"""What a method saw at its steps, as pictures: one per step and map, and a sheet over the steps (CA-Edit figure 5)."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from faceedit.compare import sheet
from faceedit.request import Bytes3, Float2

SIDE = 256
COLUMNS = 6
# Shown first, and on a scale from 0 to 1; any other map is stretched to its largest value over all steps.
ORDER = ("score", "boundary", "attention")
ABSOLUTE = ("score", "boundary")
OWN_NAME = re.compile(r"(?:step-\d{3,}-[\w-]+|sheet)\.png")

Seen = Mapping[int, Mapping[str, Float2]]


def map_pictures(seen: Seen) -> dict[str, Bytes3]:
    """File name -> picture, uint8 [h, w, 3], of every map, and of the sheet; nothing where nothing was seen.

    Cells are drawn as they are, dark blue for 0 and yellow for the most (viridis).

    Args:
        seen: step number -> map name -> float32 [h, w].
    """
    tops = {name: _top(name, seen) for name in map_names(seen)}
    pictures = {
        f"step-{number:03}-{_plain(name)}.png": coloured(values, tops[name])
        for number, maps in seen.items()
        for name, values in maps.items()
    }
    return pictures | ({"sheet.png": maps_sheet(seen)} if tops else {})


def maps_sheet(seen: Seen) -> Bytes3:
    """Rows are maps, columns up to six of the steps from first to last; a step that lacks a map stays grey."""
    names = map_names(seen)
    steps = sorted(seen)
    chosen = [steps[i] for i in np.unique(np.linspace(0, len(steps) - 1, min(COLUMNS, len(steps))).round().astype(int))]
    missing = np.full((SIDE, SIDE, 3), 200, dtype=np.uint8)
    tops = {name: _top(name, seen) for name in names}
    tiles = [
        coloured(seen[number][name], tops[name]) if name in seen[number] else missing
        for name in names
        for number in chosen
    ]
    labels = [f"{name}, step {number}" for name in names for number in chosen]
    return sheet(tiles, labels, height=160, columns=len(chosen))


def map_names(seen: Seen) -> tuple[str, ...]:
    """Names of all maps, score, boundary and attention first."""
    found = {name for maps in seen.values() for name in maps}
    return (*(name for name in ORDER if name in found), *sorted(found.difference(ORDER)))


def coloured(values: Float2, top: float = 1.0) -> Bytes3:
    """A map [h, w] as a picture of `SIDE` pixels or, where it has more cells, of its own size."""
    import cv2

    h, w = values.shape
    grey = np.rint(np.clip(values / top, 0, 1) * 255).astype(np.uint8)
    size = (w * max(1, SIDE // w), h * max(1, SIDE // w))
    grown = cv2.resize(grey, size, interpolation=cv2.INTER_NEAREST)
    return np.ascontiguousarray(cv2.applyColorMap(grown, cv2.COLORMAP_VIRIDIS)[:, :, ::-1])


def _top(name: str, seen: Seen) -> float:
    """What is drawn yellow."""
    if name in ABSOLUTE:
        return 1.0
    return max(float(maps[name].max()) for maps in seen.values() if name in maps) or 1.0


def _plain(name: str) -> str:
    return re.sub(r"[^\w-]+", "-", name)
