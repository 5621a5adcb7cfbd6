"""Flux-Sculptor on rendered portraits: the paper's table 3 and figure 8, noisy masks, and the other editors beside it.

python benchmarks/flux_sculptor.py grid -o OUT      # locator off and on x none, latent, value and s2d-ec fusion
python benchmarks/flux_sculptor.py stages -o OUT    # T against reach and preservation; --steps 30 is the paper's N
python benchmarks/flux_sculptor.py masks -o OUT     # precise, rough, noisy and coarse masks
python benchmarks/flux_sculptor.py sweep sampling.guidance=2,3,4 flux_sculptor.value_blocks=0,2,4 -o OUT  # options
python benchmarks/flux_sculptor.py editors -o OUT   # the other bundled editors on the same edits, all pasted back

Each prints a table and writes it with its JSON, a chart and a sheet of pictures into OUT.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from flux_masks import KINDS
from flux_report import Asked, curves, scatter, write
from flux_run import Variant, load_bench, run

from faceedit.backend import Choice
from faceedit.evaluate.portraits import make_report
from faceedit.evaluate.report import Figures, PortraitReport
from faceedit.evaluate.runner import Setup, run_edits
from faceedit.evaluate.scorers import bundled_clip, bundled_judge
from faceedit.evaluate.table import share
from faceedit.evaluate.tasks import EditTask, make_tasks
from faceedit.recipe import load_recipe
from faceedit.run import load_editor

FUSIONS = ("latent", "value", "s2d-ec")
EVERYWHERE = {"flux_sculptor.mask": "whole"}
# Shares of N that the paper's figure 8 takes: T = 1, 3, 5, 7, 9 of 30.
STAGES = (1, 3, 5, 7, 9)
PAPER_STEPS = 30
EDITORS = ("mini/inpaint", "mini/ca-edit", "mini/mag-edit")
LARGE = 256


def fused(fusion: str, **settings: str) -> dict[str, str]:
    """Settings of a fusion, and others."""
    return {"flux_sculptor.fusion": fusion, **settings}


def grid_variants() -> dict[str, list[Variant]]:
    """Table 3, off and on. Without a locator fusion acts over the whole map, M = 0; no fusion asks for no locator."""
    off = [Variant(f"{fusion}, everywhere", fused(fusion, **EVERYWHERE)) for fusion in FUSIONS]
    on = [Variant(f"{fusion}, located", fused(fusion)) for fusion in FUSIONS]
    return {"locator off": [Variant("no fusion", fused("none")), *off], "locator on": on}


def stage_variants(steps: int, stages: list[int] | None) -> dict[str, dict[int, Variant]]:
    """Figure 8: strategy -> T -> variant."""
    chosen = stages or sorted({max(1, round(steps * t / PAPER_STEPS)) for t in STAGES})
    return {
        fusion: {
            t: Variant(f"{fusion}, T = {t}", fused(fusion, **{"flux_sculptor.structure_steps": str(t)})) for t in chosen
        }
        for fusion in FUSIONS
    }


def sweep_variants(options: list[str]) -> list[Variant]:
    """Every combination of `KEY=VALUE,VALUE` options, over the recipe as it is."""
    axes = [
        [(key, value) for value in values.split(",")] for key, values in (option.split("=", 1) for option in options)
    ]
    made = (dict(combination) for combination in itertools.product(*axes))
    return [
        Variant(", ".join(f"{key.split('.')[-1]} {v}" for key, v in settings.items()), settings) for settings in made
    ]


def measured(asked: argparse.Namespace) -> None:
    """Grid, stages, masks or sweep."""
    settings = settings_of(asked)
    steps = load_recipe(asked.recipe, settings).sampling.steps
    grid, stages = grid_variants(), stage_variants(steps, asked.stages)
    variants = {
        "grid": [variant for group in grid.values() for variant in group],
        "stages": [variant for points in stages.values() for variant in points.values()],
        "masks": [Variant(kind, fused("s2d-ec"), kind) for kind in KINDS],
        "sweep": sweep_variants(asked.options),
    }[asked.what]
    bench = load_bench(asked.recipe, settings, variants, bundled_judge(), bundled_clip(), asked.locator, asked.rough)
    tasks = make_tasks(asked.count, asked.seed, asked.attributes, split=asked.split, size=bench.size)
    found = run(bench, limited(tasks, asked.minutes), asked.sheet, lambda done: told(done, asked.count))
    write(bench, found, Asked(asked.what, asked.count, asked.seed, asked.split, asked.threads), asked.output)
    chart = asked.output / f"{asked.what}.png"
    if asked.what == "grid":
        scatter(found, {title: [variant.name for variant in group] for title, group in grid.items()}, chart)
    elif asked.what == "stages":
        curves(found, {fusion: {t: v.name for t, v in points.items()} for fusion, points in stages.items()}, chart)


def editors(asked: argparse.Namespace) -> None:
    """The walk of `faceedit edit` with every editor on the same edits of 256 px portraits, pasted back."""
    judge, clip = bundled_judge(), bundled_clip()
    rows = [*((name, {}) for name in asked.editors), (asked.recipe, settings_of(asked))]
    reports: dict[str, PortraitReport] = {}
    for name, settings in rows:
        recipe = load_recipe(name, settings)
        setup = Setup(Choice(recipe, ""), load_editor(recipe), judge, clip, asked.locator)
        tasks = make_tasks(asked.count, asked.seed, asked.attributes, split=asked.split, size=LARGE)
        findings = run_edits(setup, tasks, asked.count, progress=lambda done, _: told(done, asked.count))
        reports[name] = make_report(
            setup, findings, wordings="canonical", split=asked.split, seed=asked.seed, size=LARGE
        )
    text = editor_table(reports, asked)
    print(text)
    asked.output.mkdir(parents=True, exist_ok=True)
    (asked.output / "editors.md").write_text(text, encoding="utf-8")
    values = {name: report.to_json() for name, report in reports.items()}
    (asked.output / "editors.json").write_text(json.dumps(values, indent=1, allow_nan=False), encoding="utf-8")


def editor_table(reports: dict[str, PortraitReport], asked: argparse.Namespace) -> str:
    """Markdown: every recipe and, beneath, the truth through its autoencoder, which is the most it could score."""
    titles = ("recipe", "reached", "kept", "gain inside, dB", "CLIP", "directional CLIP", "outside", "s")
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for name, report in reports.items():
        ceiling = report.references["autoencoder"]
        for title, f in ((name, report.figures), (f"({name}: the truth through its autoencoder)", ceiling)):
            lines.append(f"| {title} | {' | '.join(cells(f))} |")
    edits = next(iter(reports.values())).figures.count
    heading = (
        f"editors: {edits} {asked.split} edits of {LARGE} px, seed {asked.seed}, place: {asked.locator}; pasted back"
    )
    return f"{heading}\n\n" + "\n".join(lines) + "\n"


def cells(f: Figures) -> tuple[str, ...]:
    """One row's figures."""
    clip, direction = f.clip_score, f.clip_direction
    return (
        share(f.attr_edit),
        share(f.attr_preserve),
        f"{f.psnr_gain_db:+.2f}",
        "-" if clip is None else f"{clip:.2f}",
        "-" if direction is None else f"{direction:.3f}",
        str(f.outside_max_abs_diff),
        f"{f.seconds_per_edit:.2f}",
    )


def limited(tasks: Iterator[EditTask], minutes: float) -> Iterator[EditTask]:
    """The tasks until the time is up."""
    end = time.monotonic() + 60 * minutes
    return itertools.takewhile(lambda _: time.monotonic() < end, tasks)


def told(done: int, count: int) -> None:
    """Progress on the error stream."""
    print(f"\r{done} of {count} portraits", end="", file=sys.stderr, flush=True)


def settings_of(asked: argparse.Namespace) -> dict[str, str]:
    """Recipe settings from the command line."""
    settings = dict(pair.split("=", 1) for pair in asked.set)
    return settings if asked.steps is None else {**settings, "sampling.steps": str(asked.steps)}


def main() -> None:
    """Run one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("grid", "stages", "masks", "sweep", "editors"))
    parser.add_argument("options", nargs="*", metavar="KEY=VALUE,VALUE", help="what to try (sweep)")
    parser.add_argument("--recipe", default="mini/flux-sculptor")
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--split", default="validation", choices=("validation", "held-out"))
    parser.add_argument("--attributes", nargs="*", help="only these, FIELD or FIELD=VALUE")
    parser.add_argument("--locator", default="dilate", help="exact, dilate, hull, or a locator: template, pasl")
    parser.add_argument("--rough", default="", help="the locator of the rough mask (masks); default: the recipe's")
    parser.add_argument("--steps", type=int, help="N in place of the recipe's")
    parser.add_argument("--stages", type=int, nargs="*", help="T (stages); default: the paper's shares of N")
    parser.add_argument("--editors", nargs="*", default=EDITORS, help="recipes beside --recipe (editors)")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="over the recipe; may recur")
    parser.add_argument("--sheet", type=int, default=6, help="portraits on the sheet of pictures")
    parser.add_argument("--minutes", type=float, default=600.0, help="start no further portrait after so long")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, default=Path("flux-sculptor-bench"))
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    editors(asked) if asked.what == "editors" else measured(asked)


if __name__ == "__main__":
    main()
