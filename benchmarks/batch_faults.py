"""Kills a batch with SIGKILL at random moments, resumes it every time, and compares with an undisturbed run.

    python benchmarks/batch_faults.py                     # 200 portraits, 10 kills, 3 shards
    python benchmarks/batch_faults.py --count 20 --kills 3

Prints what was found as JSON; exit 1 where a promise of docs/batch.md did not hold.
"""

from __future__ import annotations

import argparse
import json
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from PIL import Image

from faceedit.models.manifest import digest
from faceedit.portraits.render import render
from faceedit.temporary import TEMPORARY

POLL_SECONDS = 0.01


def arguments() -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200, help="portraits")
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--shards", type=int, default=3)
    parser.add_argument("--size", type=int, default=192, help="side of the portraits in pixels")
    parser.add_argument("--recipe", default="smoke/inpaint")
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    return parser.parse_args()


def command(source: Path, out: Path, recipe: str, *more: str) -> list[str]:
    """The command line of a batch."""
    words = [
        "batch",
        str(source),
        "--prompt",
        "rosy cheeks",
        "-o",
        str(out),
        "-r",
        recipe,
        "--name",
        "{stem}.png",
        "-q",
    ]
    return [sys.executable, "-m", "faceedit", *words, *more]


def results(out: Path) -> dict[str, str]:
    """Name -> SHA-256 of every result."""
    return {path.relative_to(out).as_posix(): digest(path) for path in sorted(out.rglob("*.png"))}


def records(out: Path) -> list[dict[str, Any]]:
    """All whole lines of all journals."""
    found = []
    for path in sorted(out.glob("faceedit-batch*.jsonl")):
        for line in path.read_bytes().splitlines():
            try:
                found.append(json.loads(line))
            except ValueError:
                continue  # the line that a kill tore
    return found


def statuses(out: Path, status: str) -> Counter[str]:
    """Item id -> number of its records with this status."""
    return Counter(record["id"] for record in records(out) if record.get("status") == status)


def temporary_files(out: Path) -> list[str]:
    """Temporary files in the output folder."""
    return [path.name for path in out.rglob("*") if TEMPORARY.fullmatch(path.name)]


def kill_in_the_midst(words: list[str], out: Path, lines: int, pause: float) -> bool:
    """Start a batch, kill it a moment after its journal has grown by so many lines; whether it still ran."""
    before = len(records(out))
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None and len(records(out)) < before + lines:
            time.sleep(POLL_SECONDS)
        time.sleep(pause)
        running = process.poll() is None
        if running:
            process.send_signal(signal.SIGKILL)
    return running


def main() -> int:
    """Run it."""
    options = arguments()
    chance = random.Random(options.seed)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as root:
        source, quiet, killed, parts = (Path(root) / name for name in ("in", "quiet", "killed", "shards"))
        source.mkdir()
        for number in range(options.count):
            pixels = render(number, options.size, regions=False).image
            Image.fromarray(pixels).save(source / f"{number:04d}.png")

        began = time.perf_counter()
        subprocess.run(command(source, quiet, options.recipe), check=True, stdout=subprocess.DEVNULL)
        seconds_per_item = (time.perf_counter() - began) / options.count
        expected = results(quiet)

        words = command(source, killed, options.recipe)
        # Two lines an item; on average the kills are spread over nine tenths of the work.
        longest = round(2 * 0.9 * 2 * options.count / max(options.kills, 1))
        landed, left_behind = 0, 0
        for _ in range(options.kills):
            moment = chance.uniform(0, 2 * seconds_per_item)
            landed += kill_in_the_midst(words, killed, chance.randint(0, longest), moment)
            left_behind += len(temporary_files(killed))
        last = subprocess.run(words, check=False, stdout=subprocess.DEVNULL).returncode

        for index in range(options.shards):
            more = ("--shard", f"{index}/{options.shards}")
            subprocess.run(command(source, parts, options.recipe, *more), check=True, stdout=subprocess.DEVNULL)

        finished, made = statuses(killed, "ok"), statuses(killed, "made")
        report = {
            "portraits": options.count,
            "recipe": options.recipe,
            "kills_that_met_a_running_batch": landed,
            "results": len(results(killed)),
            "bit_equal_to_undisturbed": results(killed) == expected and len(expected) == options.count,
            "finished_twice": sum(count - 1 for count in finished.values()),
            "edits_recorded": sum(made.values()),
            "edits_lost_in_hand": sum(count - 1 for count in made.values()),
            "temporary_files_found_after_kills": left_behind,
            "temporary_files_at_the_end": len(temporary_files(killed)),
            "last_exit_code": last,
            "shards": options.shards,
            "shards_equal_single_run": results(parts) == expected,
            "items_of_two_shards": sum(count - 1 for count in statuses(parts, "ok").values()),
            "seconds": round(time.perf_counter() - start, 1),
        }
    held = (
        report["bit_equal_to_undisturbed"]
        and report["shards_equal_single_run"]
        and last == 0
        and not report["finished_twice"]
        and not report["temporary_files_at_the_end"]
        and not report["items_of_two_shards"]
        and len(finished) == options.count
        and report["edits_lost_in_hand"] <= landed
    )
    print(json.dumps({**report, "held": bool(held)}, indent=2))
    return 0 if held else 1


if __name__ == "__main__":
    sys.exit(main())
