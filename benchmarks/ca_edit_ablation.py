"""CA-Edit's ablations (the paper's table 3 and figure 7) on rendered portraits; run by `benchmarks/ca_edit.py`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from faceedit.evaluate.portraits import evaluate
from faceedit.evaluate.report import PortraitReport, Sample
from faceedit.evaluate.spectrum import Curve, cumulative_amplitude_difference
from faceedit.evaluate.table import share
from faceedit.recipe import load_recipe

# Name -> settings over the recipe of CA-Edit. The last row is another recipe.
VARIANTS: dict[str, dict[str, str]] = {
    "full": {},
    "without CA²": {"ca_edit.adapter": "false"},
    "parallel injection": {"ca_edit.score": "none"},
    "without STFG": {"stfg.enabled": "false"},
}
BASELINE = "inpaint"


@dataclass(frozen=True)
class Outcome:
    """A variant's report, and its mean curve over the edits; the same edits for every variant."""

    report: PortraitReport
    curve: Curve


def ablation(
    recipe: str, baseline: str, count: int, split: str, settings: Mapping[str, str] | None = None
) -> dict[str, Outcome]:
    """Every variant of `recipe` over `settings`, and `baseline` as it is, on the same `count` edits."""
    runs = [(name, recipe, {**(settings or {}), **changes}) for name, changes in VARIANTS.items()]
    found = {}
    for name, chosen, values in [*runs, (BASELINE, baseline, {})]:
        backend = load_recipe(chosen).editor
        report = evaluate(backend, chosen, count, split=split, settings=values, samples=count)
        found[name] = Outcome(report, mean_curve(report.samples))
    return found


def mean_curve(samples: tuple[Sample, ...], truth: bool = False) -> Curve:
    """Mean cumulative amplitude difference of results, or of counterfactuals, to their originals inside the mask."""
    curves = [
        cumulative_amplitude_difference(sample.before, sample.truth if truth else sample.result, sample.mask)
        for sample in samples
    ]
    mean: Curve = np.mean(curves, axis=0)
    return mean


def table(found: Mapping[str, Outcome]) -> str:
    """A Markdown table, one row per variant."""
    rows = [
        "| variant | reached | kept | gain inside the mask, dB | CLIP | directional CLIP | largest CAD | s/edit |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, outcome in found.items():
        f = outcome.report.figures
        clip = "-" if f.clip_score is None else f"{f.clip_score:.2f}"
        direction = "-" if f.clip_direction is None else f"{f.clip_direction:.3f}"
        shares = f"{share(f.attr_edit)} | {share(f.attr_preserve)}"
        cad = f"{np.abs(outcome.curve).max():.3f}"
        rest = f"{f.psnr_gain_db:+.2f} | {clip} | {direction} | {cad} | {f.seconds_per_edit:.2f}"
        rows.append(f"| {name} | {shares} | {rest} |")
    return "\n".join(rows) + "\n"


def draw(found: Mapping[str, Outcome], path: Path) -> None:
    """Figure 7: a curve per variant and one of the counterfactuals, over the radius. Needs matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    for name, outcome in found.items():
        axes.plot(outcome.curve, label=name)
    axes.plot(mean_curve(next(iter(found.values())).report.samples, truth=True), "k:", label="truth")
    axes.axhline(0, color="grey", linewidth=0.5)
    axes.set(xlabel="frequency radius, cycles per picture", ylabel="cumulative amplitude difference")
    axes.legend()
    FigureCanvasAgg(figure).print_png(str(path))
