"""Rendered portraits in the Text2Mask form: their masks are exact."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np

from faceedit.errors import UsageError
from faceedit.portraits.render import render
from faceedit.portraits.split import HELD_OUT_FROM
from faceedit.regions import TEXT2MASK_REGIONS
from faceedit.text2mask.form import SAMPLES, Sample, Text2Mask, open_text2mask
from faceedit.text2mask.write import SMALLEST_SHARE, begin, describe, finish, on_grid, write_sample, written

CHUNK = 16


def write_portraits(
    out: Path,
    count: int,
    seed: int = 0,
    size: int = 256,
    grid: int = 0,
    regions: tuple[str, ...] = TEXT2MASK_REGIONS,
    held_out: bool = False,
    workers: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Text2Mask:
    """Write `count` portraits from `seed` on, and read the folder back; what an earlier run finished is kept.

    A mask is where a thing is or would be: every face has a place for a beard and for glasses.

    Args:
        out: folder to write; may hold an earlier run's work with the same settings.
        count: number of portraits.
        seed: seed of the first; the next ones count up.
        size: side of the pictures in pixels, a multiple of `grid`.
        grid: side of the masks; 0 is an eighth of `size`, PASL's own.
        regions: which masks.
        held_out: render the portraits that no training may see, instead of being kept from them.
        workers: processes that render; 0 renders in this one.
        progress: called with the number of portraits that are done.

    Raises:
        OutputError: the folder holds something else, was begun with other settings, or cannot be written.
        UsageError: seed or size is out of range, or the seeds are held-out ones.
    """
    first, last = seed, seed + count - 1
    if last >= HELD_OUT_FROM and not held_out:
        raise UsageError(
            f"seeds {first} to {last} reach into those kept for the benchmark",
            f"seeds of training lie between 0 and {HELD_OUT_FROM - 1}; --held-out takes the others",
        )
    if first < HELD_OUT_FROM and held_out:
        raise UsageError(f"seed {first} is none of the held-out ones", f"those start at {HELD_OUT_FROM}")
    description = describe(size, grid or size // 8, "held-out portraits" if held_out else "portraits", regions)
    begin(out, description)
    (out / SAMPLES).unlink(missing_ok=True)
    kept = (written(out, _name(s)) for s in range(first, last + 1))
    samples = {sample.image: sample for sample in kept if sample is not None}
    missing = [s for s in range(first, last + 1) if f"images/{_name(s)}.png" not in samples]
    chunks = [missing[start : start + CHUNK] for start in range(0, len(missing), CHUNK)]
    for drawn in _drawn([(out, chunk, size, description.grid, regions) for chunk in chunks], workers):
        samples |= {sample.image: sample for sample in drawn}
        if progress is not None:
            progress(len(samples))
    finish(out, [samples[image] for image in sorted(samples)])
    return open_text2mask(out)


_Task = tuple[Path, Sequence[int], int, int, tuple[str, ...]]


def _drawn(tasks: Sequence[_Task], workers: int) -> Iterator[list[Sample]]:
    """What each task drew, in the order in which they are finished."""
    if not workers:
        yield from (_draw(*task) for task in tasks)
        return
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))
    try:
        for future in as_completed([pool.submit(_draw, *task) for task in tasks]):
            yield future.result()
    finally:  # an interruption does not wait for what was not begun
        pool.shutdown(cancel_futures=True)


def _draw(out: Path, seeds: Sequence[int], size: int, grid: int, regions: tuple[str, ...]) -> list[Sample]:
    """Render and write some portraits; runs in a worker process."""
    import cv2

    cv2.setNumThreads(1)
    samples = []
    for seed in seeds:
        portrait = render(seed, size, regions=regions)
        masks = np.stack([on_grid(portrait.regions[name], grid) for name in regions])
        shown = [name for name in regions if portrait.regions[name].mean() >= SMALLEST_SHARE]
        samples.append(write_sample(out, _name(seed), portrait.image, masks, shown, f"portrait {seed}"))
    return samples


def _name(seed: int) -> str:
    return f"{seed:010d}"
