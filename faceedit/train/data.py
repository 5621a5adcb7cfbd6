"""Rendered portraits in memory-mapped files: drawn once, read at no cost, and the same batch for the same number."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceedit.errors import UsageError
from faceedit.regions import REGIONS

CHUNK = 64
SECONDS_BETWEEN_LINES = 20.0


@dataclass(frozen=True)
class PortraitCache:
    """N rendered portraits, memory-mapped.

    Rows `0..count-1` are people; the rows after them are counterfactual twins of the first people: the same person
    with one attribute changed. `twin[i]` is the row of i's counterpart or -1, `changed[i]` the index in FIELDS of the
    field in which the two differ or -1.

    Attributes:
        images: uint8 [N, S, S, 3] sRGB.
        attributes: int8 [N, F], index of the value in FIELDS[field], fields in FIELDS' order.
        visible: bool [N, F], whether the field's value can be seen (no eye colour behind sunglasses).
        masks: uint8 [N, R, G, G], every region of REGIONS averaged onto the latent grid, 255 = wholly inside.
        seeds: int64 [N].
        twin: int32 [N].
        changed: int8 [N].
    """

    images: NDArray[np.uint8]
    attributes: NDArray[np.int8]
    visible: NDArray[np.bool_]
    masks: NDArray[np.uint8]
    seeds: NDArray[np.int64]
    twin: NDArray[np.int32]
    changed: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.images)


def build_cache(
    path: Path, count: int, seed: int, size: int = 64, grid: int = 16, twins: float = 0.5, workers: int = 2
) -> PortraitCache:
    """Render `count` portraits and the twins of the first `twins * count` into `path`; what is there is kept.

    An interrupted build goes on where it stopped; the folder gets its name only when it is whole.

    Args:
        path: the cache's folder.
        count: people, seeds `seed .. seed + count - 1`.
        seed: first seed; the last one must stay below `HELD_OUT_FROM`.
        size: picture size in pixels, a multiple of `grid`.
        grid: mask size, the latents' size.
        twins: share of people that get a counterfactual twin, in [0, 1].
        workers: processes that render; 0 renders in this one.

    Raises:
        UsageError: a held-out seed would be rendered, or the folder holds another cache.
    """
    wanted = {"count": count, "seed": seed, "size": size, "grid": grid, "twins": twins}
    _refuse_held_out(seed, count)
    if size % grid:
        raise UsageError(f"portraits of {size} px do not divide into a grid of {grid}", "choose a multiple of the grid")
    if path.exists():
        expected = {**wanted, "renderer": _renderer_hash()}
        found = {k: v for k, v in _description(path).items() if k in expected}
        if found != expected:
            raise UsageError(
                f"{path} holds other portraits: {found}", "set data.folder to another folder or delete this one"
            )
        return open_cache(path)
    partial = path.with_name(f".{path.name}.partial")
    pairs = round(count * twins)
    arrays, done = _partial_arrays(partial, wanted, count + pairs)
    jobs = [start for start in range(0, count + pairs, CHUNK) if not done[start // CHUNK]]
    tasks = [(seed, count, start, min(start + CHUNK, count + pairs), size, grid) for start in jobs]
    began = last = time.monotonic()
    for finished, (start, drawn) in enumerate(_render_chunks(tasks, workers), 1):
        for name, rows in drawn.items():
            arrays[name][start : start + len(rows)] = rows
        done[start // CHUNK] = True
        if time.monotonic() - last > SECONDS_BETWEEN_LINES:
            last = time.monotonic()
            speed = finished * CHUNK / (last - began)
            left = (len(jobs) - finished) * CHUNK / speed
            print(f"portraits: {finished}/{len(jobs)} chunks, {speed:.0f}/s, {left:.0f} s left", file=sys.stderr)
    arrays["twin"][:], arrays["changed"][:] = -1, -1
    people = np.arange(pairs)
    arrays["twin"][people], arrays["twin"][count:] = people + count, people
    differs = arrays["attributes"][:pairs] != arrays["attributes"][count:]
    arrays["changed"][people] = arrays["changed"][count:] = differs.argmax(1)
    for array in (*arrays.values(), done):
        array.flush()
    (partial / "done.npy").unlink()
    partial.rename(path)
    return open_cache(path)


def open_cache(path: Path) -> PortraitCache:
    """Map a finished cache into memory, read-only."""
    _description(path)
    return PortraitCache(**{name: np.load(path / f"{name}.npy", mmap_mode="r") for name in _shapes(0, 1, 1)})


def shuffled(count: int, batch: int, index: int, seed: int) -> NDArray[np.int64]:
    """Rows of the index-th batch: whole passes over `count` rows, each in an order of its own, no state kept.

    Args:
        count: rows to choose from, at least `batch`.
        batch: rows per batch.
        index: the batch's number, from 0.
        seed: the training's seed.

    Returns:
        int64 [batch].
    """
    first = index * batch
    passes = range(first // count, (first + batch - 1) // count + 1)
    order = np.concatenate([_permutation(count, seed, number) for number in passes])
    start = first - passes[0] * count
    return order[start : start + batch]


def batch_rng(seed: int, index: int) -> np.random.Generator:
    """The random numbers of the index-th batch, whatever was drawn before."""
    return np.random.default_rng([seed, index])


@lru_cache(maxsize=4)
def _permutation(count: int, seed: int, number: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, number, count]).permutation(count)


def _refuse_held_out(seed: int, count: int) -> None:
    from faceedit.portraits.split import HELD_OUT_FROM

    if seed < 0 or seed + count > HELD_OUT_FROM:
        raise UsageError(
            f"seeds {seed} to {seed + count - 1} reach into those kept for the benchmark",
            f"training and validation seeds lie between 0 and {HELD_OUT_FROM - 1}",
        )


def _shapes(rows: int, size: int, grid: int) -> dict[str, tuple[tuple[int, ...], type]]:
    from faceedit.portraits.vocabulary import FIELDS

    return {
        "images": ((rows, size, size, 3), np.uint8),
        "attributes": ((rows, len(FIELDS)), np.int8),
        "visible": ((rows, len(FIELDS)), np.bool_),
        "masks": ((rows, len(REGIONS), grid, grid), np.uint8),
        "seeds": ((rows,), np.int64),
        "twin": ((rows,), np.int32),
        "changed": ((rows,), np.int8),
    }


def _partial_arrays(folder: Path, wanted: dict[str, Any], rows: int) -> tuple[dict[str, Any], Any]:
    """Open the arrays of an unfinished build, or lay out new ones."""
    shapes = _shapes(rows, wanted["size"], wanted["grid"])
    chunks = -(-rows // CHUNK)
    description = {**wanted, "renderer": _renderer_hash()}
    marker = folder / "cache.json"
    if marker.is_file() and json.loads(marker.read_text()) == description:
        arrays = {name: np.load(folder / f"{name}.npy", mmap_mode="r+") for name in shapes}
        return arrays, np.load(folder / "done.npy", mmap_mode="r+")
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {
        name: np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype, shape)
        for name, (shape, dtype) in shapes.items()
    }
    done = np.lib.format.open_memmap(folder / "done.npy", "w+", np.bool_, (chunks,))
    marker.write_text(json.dumps(description, indent=1))
    return arrays, done


def _description(path: Path) -> dict[str, Any]:
    marker = path / "cache.json"
    if not marker.is_file():
        raise UsageError(f"{path} is no cache of portraits", "set data.folder to another folder")
    loaded: dict[str, Any] = json.loads(marker.read_text())
    return loaded


def _renderer_hash() -> str:
    """Which renderer drew a cache: sources changed in between must not be mixed in one."""
    import faceedit.portraits

    digest = hashlib.sha256()
    for source in sorted(Path(faceedit.portraits.__path__[0]).glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def _render_chunks(tasks: Sequence[tuple[int, ...]], workers: int) -> Iterator[tuple[int, dict[str, NDArray[Any]]]]:
    """(first row, arrays) of every chunk, in the order in which they are finished."""
    if not workers:
        for task in tasks:
            yield task[2], _render_rows(*task)
        return
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        futures = {pool.submit(_render_rows, *task): task[2] for task in tasks}
        for future in as_completed(futures):
            yield futures[future], future.result()


def _render_rows(seed: int, count: int, start: int, stop: int, size: int, grid: int) -> dict[str, NDArray[Any]]:
    """Rows start..stop of a cache; runs in a worker process. Row `count + i` is the twin of row i."""
    import cv2

    from faceedit.portraits.attributes import visible_fields
    from faceedit.portraits.render import counterfactual, render
    from faceedit.portraits.vocabulary import FIELDS

    cv2.setNumThreads(1)
    out: dict[str, NDArray[Any]] = {
        name: np.empty(shape, dtype) for name, (shape, dtype) in _shapes(stop - start, size, grid).items()
    }
    for place, row in enumerate(range(start, stop)):
        person = seed + row % count
        drawn = render(person, size=size) if row < count else counterfactual(person, size, *_change(person))
        shown = visible_fields(drawn.attributes)
        masks = [cv2.resize(drawn.regions[name], (grid, grid), interpolation=cv2.INTER_AREA) for name in REGIONS]
        out["images"][place] = drawn.image
        out["masks"][place] = np.round(np.clip(masks, 0, 1) * 255)
        out["seeds"][place] = person
        for i, (field, values) in enumerate(FIELDS.items()):
            out["attributes"][place, i] = values.index(getattr(drawn.attributes, field))
            out["visible"][place, i] = field in shown
    del out["twin"], out["changed"]
    return out


def _change(seed: int) -> tuple[str, str]:
    """The one attribute in which a person's twin differs: drawn evenly over the editable values it does not have."""
    from faceedit.portraits.attributes import sample_attributes
    from faceedit.portraits.vocabulary import ATTRIBUTES

    own = sample_attributes(seed)
    others = [a for a in ATTRIBUTES if a.editable and getattr(own, a.field) != a.value]
    chosen = others[int(np.random.default_rng([seed, 7]).integers(len(others)))]
    return chosen.field, chosen.value


def batches(count: int, batch: int) -> Iterator[NDArray[np.int64]]:
    """Every row once, in order; the last batch may be short."""
    for start in range(0, count, batch):
        yield np.arange(start, min(start + batch, count))
