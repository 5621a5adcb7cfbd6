"""Round trips: glasses on, glasses off, again and again, each edit on the last one's result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from faceedit.evaluate.report import RoundTrips
from faceedit.evaluate.runner import Setup, prepare_task, words_of
from faceedit.evaluate.scores import outside_max_abs_diff, ssim_map
from faceedit.evaluate.tasks import EditTask, make_tasks
from faceedit.run import edit_prepared

FIELD, VALUE, PLAIN = "glasses", "eyeglasses", "none"


def round_trip_task(seed: int = 0, split: str = "held-out", size: int = 256) -> EditTask:
    """The first portrait of the run without glasses, and its counterfactual with them."""
    tasks = make_tasks(1000, seed, [f"{FIELD}={VALUE}"], split=split, size=size)
    return next(task for task in tasks if task.kind == "added")


def round_trips(
    setup: Setup, task: EditTask, trips: int = 10, progress: Callable[[int, int], None] | None = None
) -> RoundTrips:
    """Add and remove glasses `trips` times, in the very same place, each time with fresh noise.

    Args:
        setup: loaded networks; its editor does every edit.
        task: adds glasses to a portrait that has none, as `round_trip_task` gives it.
        trips: number of round trips.
        progress: called with (trips done, trips).
    """
    start = task.before.image
    removal = replace(task, phrase="no glasses", before=task.after, after=task.before)
    whole: list[float] = []
    inside: list[float] = []
    added: list[bool] = []
    removed: list[bool] = []
    picture, touched = start, np.zeros(start.shape[:2], dtype=np.float32)
    for trip in range(trips):
        for step, (way, seen) in enumerate(((task, added), (removal, removed))):
            now = replace(way, index=2 * trip + step, before=replace(way.before, image=picture))
            prepared, request = prepare_task(now, setup, words_of(now, setup.choice.recipe))
            result = edit_prepared(prepared, request, editor=setup.editor)
            picture, touched = result.rgb, np.maximum(touched, result.mask.values)
            wanted = VALUE if way is task else PLAIN
            seen.append(setup.judge.predict([picture])[0][FIELD] == wanted)
        similarity = ssim_map(start, picture)
        whole.append(float(similarity.mean()))
        inside.append(float(similarity[prepared.mask.values > 0].mean()))
        if progress is not None:
            progress(trip + 1, trips)
    return RoundTrips(
        seed=task.before.seed,
        trips=trips,
        ssim=tuple(whole),
        ssim_inside=tuple(inside),
        added=float(np.mean(added)),
        removed=float(np.mean(removed)),
        outside_max_abs_diff=outside_max_abs_diff(start, picture, touched),
    )
