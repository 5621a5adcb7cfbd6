"""A run's diary: JSON lines, a plotted curve, and a progress line on stderr."""

from __future__ import annotations

import importlib.util
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SECONDS_BETWEEN_LINES = 30.0


class Diary:
    """Writes `log.jsonl` and `curve.png` of one run and says on stderr how it goes."""

    def __init__(self, folder: Path, title: str, steps: int, start: int) -> None:
        self.folder, self.title, self.steps = folder, title, steps
        self.path = folder / "log.jsonl"
        self._drop_lines_after(start)
        self.last_line = 0.0
        self.bar: Any = None
        if sys.stderr.isatty():
            self._open_bar(start)

    def write(self, row: Mapping[str, Any]) -> None:
        """Append one JSON object as a line."""
        with self.path.open("a") as file:
            file.write(json.dumps(dict(row)) + "\n")

    def progress(self, step: int, loss: float, samples_per_second: float, seconds_left: float) -> None:
        """Move the bar, or print a line every half minute where stderr is no terminal."""
        if self.bar is not None:
            self.bar.update(self.bar.task_ids[0], completed=step, loss=f"{loss:.4f}", speed=f"{samples_per_second:.1f}")
        elif time.monotonic() - self.last_line > SECONDS_BETWEEN_LINES:
            self.last_line = time.monotonic()
            left = time.strftime("%H:%M:%S", time.gmtime(seconds_left))
            self.say(f"{step}/{self.steps} loss {loss:.4f} {samples_per_second:.1f} samples/s {left} left")

    def say(self, text: str) -> None:
        """One line on stderr."""
        if self.bar is not None:
            self.bar.console.print(f"{self.title}: {text}", highlight=False)
        else:
            print(f"{self.title}: {text}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Stop the bar and draw the curve."""
        if self.bar is not None:
            self.bar.stop()
        plot_curve(self.path, self.folder / "curve.png", self.title)

    def _open_bar(self, start: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        self.bar = Progress(
            TextColumn(self.title),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}"),
            TextColumn("{task.fields[speed]} samples/s"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
        )
        self.bar.add_task(self.title, total=self.steps, completed=start, loss="", speed="")
        self.bar.start()

    def _drop_lines_after(self, step: int) -> None:
        """A resumed run overwrites what was logged after its checkpoint; a fresh one starts empty."""
        rows = read_log(self.path) if step and self.path.is_file() else []
        lines = "".join(json.dumps(row) + "\n" for row in rows if row["step"] <= step)
        self.path.write_text(lines)


def read_log(path: Path) -> list[dict[str, Any]]:
    """The rows of a `log.jsonl`; a last line cut off by a crash is left out."""
    rows = []
    for line in path.read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows


def plot_curve(log: Path, target: Path, title: str) -> bool:
    """Draw every logged loss part over the steps, evaluation figures below. Needs matplotlib (extra `plot`).

    Returns:
        Whether a picture was drawn.
    """
    rows = read_log(log)
    if not rows or importlib.util.find_spec("matplotlib") is None:
        return False
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 7), layout="constrained")
    FigureCanvasAgg(figure)
    losses, figures = figure.subplots(2, 1, sharex=True)
    for axes, group, logarithmic in ((losses, "loss", True), (figures, "evaluation", False)):
        names = sorted({name for row in rows for name in row.get(group, {})})
        for name in names:
            points = [(row["step"], row[group][name]) for row in rows if name in row.get(group, {})]
            axes.plot(*zip(*points, strict=True), label=name, linewidth=1)
        if logarithmic and all(v > 0 for row in rows for v in row.get(group, {}).values()):
            axes.set_yscale("log")
        axes.set_ylabel(group)
        axes.grid(alpha=0.3)
        if names:
            axes.legend(fontsize=7)
    losses.set_title(title)
    figures.set_xlabel("step")
    figure.savefig(target, dpi=110)
    return True
