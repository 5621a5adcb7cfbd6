"""Throughput of a batch against the bare edit loop, and its memory over many items.

    python benchmarks/batch_throughput.py                # mini: 3 x 40 edits, and 500 for the memory
    python benchmarks/batch_throughput.py --recipe smoke/inpaint --count 10 --memory-items 40

The bare loop has every portrait prepared beforehand and calls the editor alone: invert, edit, decode. The batch reads,
decodes, hashes, finds face and place, edits, pastes, encodes, writes and records. Both take turns in one process; the
median of the rounds counts. `processor_ratio` compares processor time, which other work on the machine
stretches less. Prints JSON; -o also writes it, with the memory after every item, and draws the curve (matplotlib, the
extra "plot").
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import torch
from PIL import Image

from faceedit import faces
from faceedit.batch.plan import Plan, make_plan
from faceedit.batch.ready import Options
from faceedit.batch.runner import run_shard
from faceedit.batch.shards import Shard
from faceedit.batch.sources import read_source
from faceedit.batch.stopping import Stop
from faceedit.portraits.render import render
from faceedit.request import Request
from faceedit.run import Prepared, load_editor, prepare

PROMPT = "rosy cheeks"
WARM_UP = 20


def arguments() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--recipe", default="mini/inpaint")
    parser.add_argument("--count", type=int, default=40, help="edits of one round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory-items", type=int, default=500)
    parser.add_argument("--size", type=int, default=256, help="side of the portraits in pixels")
    parser.add_argument("-o", "--output", type=Path, help="JSON file to write; the curve goes beside it as PNG")
    options = parser.parse_args()
    if min(options.count, options.memory_items // 5) < 2:
        parser.error("too few edits to measure anything")
    return options


def plan_of(folder: Path, out: Path, recipe: str) -> Plan:
    """The plan of a batch over a folder."""
    base = Request(image=b"", prompts=(), recipe=recipe)
    return make_plan(read_source(str(folder), out), [(PROMPT,)], base, out, "{stem}.png")


def per_item(times: list[tuple[float, float]]) -> tuple[float, float]:
    """Clock and processor seconds per item, from readings after every item."""
    clock, processor = ((last - first) / (len(times) - 1) for first, last in zip(times[0], times[-1], strict=True))
    return clock, processor


def batch_seconds(plan: Plan) -> tuple[float, float]:
    """Seconds per item of a batch, by clock and processor, from its first result (models loaded) to its last."""
    times = []
    for outcome in run_shard(plan, Shard(), Options(), Stop()):
        assert outcome.state == "ok", outcome.record.error
        times.append((time.perf_counter(), time.process_time()))
    return per_item(times)


def bare_seconds(editor: Any, work: list[tuple[Prepared, Request]]) -> tuple[float, float]:
    """Seconds per edit of the editor alone, measured as the batch is: from the first edit's end to the last's."""
    times = []
    for prepared, request in work:
        pixels = np.asarray(faces.crop_pixels(prepared.portrait, editor.size), dtype=np.float32) / np.float32(255)
        mask = faces.crop_mask(prepared.mask.values, prepared.portrait, editor.size)
        trajectory = editor.invert(pixels, prepared.text.source)
        latents = trajectory.latents
        for step in editor.edit(trajectory, prepared.text, mask, torch.Generator().manual_seed(request.seed)):
            latents = step.latents
        editor.decode(latents)
        if prepared.recipe.paste.mode != "full":
            editor.decode(trajectory.latents)
        times.append((time.perf_counter(), time.process_time()))
    return per_item(times)


def memory_curve(plan: Plan) -> list[int]:
    """Resident bytes of this process after every item."""
    process = psutil.Process()
    return [process.memory_info().rss for _ in run_shard(plan, Shard(), Options(), Stop())]


def draw(curve: list[int], path: Path) -> None:
    """The memory over the items, as a picture."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.5), layout="constrained")
    axes = figure.subplots()
    axes.plot([value / 2**20 for value in curve])
    axes.set(xlabel="items", ylabel="resident memory (MiB)", ylim=(0, None), title="Memory of a batch")
    figure.savefig(path, dpi=120)


def main() -> int:
    """Run it."""
    options = arguments()
    with tempfile.TemporaryDirectory() as root:
        source, many = Path(root) / "in", Path(root) / "many"
        for folder, count in ((source, options.count), (many, options.memory_items)):
            folder.mkdir()
            for number in range(count):
                pixels = render(number, options.size, regions=False).image
                Image.fromarray(pixels).save(folder / f"{number:04d}.png")
        plan = plan_of(source, Path(root) / "plan", options.recipe)
        editor = load_editor(plan.items[0].recipe)
        work = [(prepare(item.request, item.choice), item.request) for item in plan.items]
        rounds = []
        for number in range(options.rounds):
            batch = batch_seconds(plan_of(source, Path(root) / f"out{number}", options.recipe))
            rounds.append((batch, bare_seconds(editor, work)))
        del editor, work
        curve = memory_curve(plan_of(many, Path(root) / "out-many", options.recipe))
    settled = curve[min(WARM_UP, len(curve) // 2) :]
    slope = float(np.polyfit(np.arange(len(settled)), settled, 1)[0])
    report = {
        "recipe": options.recipe,
        "threads": torch.get_num_threads(),
        "size": options.size,
        "batch_seconds_per_edit": [round(batch[0], 4) for batch, _ in rounds],
        "bare_seconds_per_edit": [round(bare[0], 4) for _, bare in rounds],
        "throughput_ratio": round(statistics.median(bare[0] / batch[0] for batch, bare in rounds), 3),
        "processor_ratio": round(statistics.median(bare[1] / batch[1] for batch, bare in rounds), 3),
        "memory_items": len(curve),
        "memory_mib_first": round(settled[0] / 2**20, 1),
        "memory_mib_last": round(settled[-1] / 2**20, 1),
        "memory_mib_highest": round(max(curve) / 2**20, 1),
        "memory_slope_kib_per_item": round(slope / 2**10, 2),
    }
    print(json.dumps(report, indent=2))
    if options.output is not None:
        options.output.write_text(json.dumps({**report, "memory_bytes": curve}, indent=1) + "\n", encoding="utf-8")
        draw(curve, options.output.with_suffix(".png"))
    return 0


if __name__ == "__main__":
    sys.exit(main())
