"""`eval portraits`: an editor on held-out rendered portraits, held against their counterfactuals pixel by pixel."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from faceedit.backend import choose_recipe
from faceedit.evaluate.report import PortraitReport, grouped, summarise
from faceedit.evaluate.round_trips import round_trip_task, round_trips
from faceedit.evaluate.runner import BRACKETS, Findings, Progress, Setup, run_edits
from faceedit.evaluate.scorers import bundled_clip, bundled_judge
from faceedit.evaluate.tasks import make_tasks
from faceedit.recipe import recipe_values
from faceedit.request import Request
from faceedit.run import load_editor


def evaluate(
    backend: str = "inpaint",
    recipe: str | None = None,
    count: int = 100,
    seed: int = 0,
    attributes: Sequence[str] | None = None,
    locator: str = "dilate",
    *,
    wordings: str = "canonical",
    split: str = "held-out",
    size: int = 256,
    device: str = "auto",
    dtype: str = "auto",
    memory: str = "auto",
    settings: Mapping[str, str] | None = None,
    samples: int = 0,
    trips: int = 0,
    progress: Progress | None = None,
) -> PortraitReport:
    """Run an editor over rendered portraits and score it against the truth. `docs/evaluation.md` defines every score.

    Args:
        backend, recipe, device, dtype, memory, settings: as in `Request`.
        count: number of edits.
        seed: run number; the same seed gives the same portraits, edits and noise.
        attributes: fields ("glasses") or keys ("glasses=sunglasses") to keep to; `None` takes every editable value.
        locator: "dilate" or "hull" (the exact region, roughened), "exact", "recipe", or a locator's name ("template").
        wordings: "canonical" or "held-out" (wordings that no training caption used).
        split: "held-out" for reports, "validation" for tuning.
        size: side of the portraits in pixels.
        samples: how many of the first edits to keep as pictures for a sheet.
        trips: how many round trips with glasses to make on one portrait; see `round_trips`.
        progress: called with (edits done, count).

    Raises:
        UsageError: an unknown choice, attribute, locator or recipe.
        WeightsError: weights of the recipe, the judge or the CLIP pair are missing or damaged.
    """
    tasks = make_tasks(count, seed, attributes, wordings, split, size)
    request = Request(
        image=b"",
        prompts=(),
        backend=backend,
        recipe=recipe,
        device=device,
        dtype=dtype,
        memory=memory,
        settings=dict(settings or {}),
    )
    choice = choose_recipe(request)
    setup = Setup(choice, load_editor(choice.recipe), bundled_judge(), bundled_clip(), locator)
    findings = run_edits(setup, tasks, count, samples, progress)
    report = make_report(setup, findings, wordings=wordings, split=split, seed=seed, size=size)
    if trips < 1:
        return report
    return replace(report, round_trips=round_trips(setup, round_trip_task(seed, split, size), trips))


def make_report(setup: Setup, findings: Findings, *, wordings: str, split: str, seed: int, size: int) -> PortraitReport:
    """The report of a pass: figures in total, per attribute and per kind, and of the trivial editors."""
    edits = findings.edits["editor"]
    hits = {name: findings.hits[name] for name in sorted(findings.hits)}
    return PortraitReport(
        backend=setup.choice.recipe.editor,
        recipe=setup.choice.recipe.name,
        options=recipe_values(setup.choice.recipe),
        locator=setup.locator,
        wordings=wordings,
        split=split,
        seed=seed,
        size=size,
        figures=summarise(edits),
        by_attribute=grouped(edits, "key"),
        by_kind=grouped(edits, "kind"),
        references={name: summarise(findings.edits[name]) for name in BRACKETS},
        rejected=findings.rejected,
        not_understood=tuple(findings.not_understood),
        judge_accuracy=float(np.mean([hit for row in hits.values() for hit in row])),
        judge_field_accuracy={name: float(np.mean(row)) for name, row in hits.items()},
        edits=tuple(edits),
        samples=tuple(findings.samples),
    )
