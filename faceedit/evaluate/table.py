"""The portrait report as a table for the terminal."""

from __future__ import annotations

from rich.console import Group
from rich.table import Table
from rich.text import Text

from faceedit.evaluate.report import Figures, PortraitReport

COLUMNS = (
    "edits",
    "reached",
    "(truth)",
    "kept",
    "before dB",
    "after dB",
    "gain dB",
    "outside",
    "s/edit",
)


def table(report: PortraitReport) -> Group:
    """Rows per attribute, per kind and in total, the trivial editors beneath, and what the judge is worth.

    Print it with a `rich.console.Console`.
    """
    title = f"{report.recipe} on {report.figures.count} {report.split} portrait edits"
    made = Table(title=title, title_justify="left", caption=caption(report), caption_justify="left")
    made.add_column("attribute", no_wrap=True)
    for name in COLUMNS:
        made.add_column(name, justify="right", no_wrap=True)
    for name, figures in report.by_attribute.items():
        made.add_row(name, *cells(figures))
    made.add_section()
    for name, figures in report.by_kind.items():
        made.add_row(name, *cells(figures))
    made.add_section()
    made.add_row("all", *cells(report.figures), style="bold")
    made.add_section()
    for name, figures in report.references.items():
        made.add_row(f"({name})", *cells(figures), style="dim")
    return Group(made, Text(judge_line(report)))


def cells(figures: Figures) -> tuple[str, ...]:
    """The figures of one row, in the order of `COLUMNS`; "-" where a score is undefined."""
    return (
        str(figures.count),
        share(figures.attr_edit),
        share(figures.attr_edit_truth),
        share(figures.attr_preserve),
        f"{figures.psnr_before_db:.2f}",
        f"{figures.psnr_after_db:.2f}",
        f"{figures.psnr_gain_db:+.2f}",
        str(figures.outside_max_abs_diff),
        f"{figures.seconds_per_edit:.2f}",
    )


def share(value: float | None) -> str:
    """A share as a percentage."""
    return "-" if value is None else f"{100 * value:.1f}%"


def caption(report: PortraitReport) -> str:
    """How the run was set up, and the scores that are no column."""
    figures = report.figures
    clip = "-" if figures.clip_score is None else f"{figures.clip_score:.2f}"
    direction = "-" if figures.clip_direction is None else f"{figures.clip_direction:.3f}"
    return (
        f"seed {report.seed}, {report.size} px, mask: {report.locator}, wordings: {report.wordings}; "
        f"pooled gain {figures.pooled_gain_db:+.2f} dB, closer to the truth in {share(figures.gain_share)}; "
        f"CLIP {clip}, directional {direction} (bundled pair); "
        f"{report.rejected} portraits passed over, their change being invisible; "
        f"{len(report.not_understood)} prompts not understood and left out"
    )


def judge_line(report: PortraitReport) -> str:
    """The judge's accuracy on the plain renders of this run, with its weakest fields."""
    weakest = sorted(report.judge_field_accuracy.items(), key=lambda item: item[1])[:3]
    named = ", ".join(f"{name} {share(value)}" for name, value in weakest)
    return (
        f"judge: {share(report.judge_accuracy)} of the attributes on the plain renders of this run (weakest: {named})"
    )
