"""Tables, JSON, charts and sheets of `flux_run`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from flux_run import Bench, Found
from flux_scores import Score
from PIL import Image

from faceedit.compare import overlay, sheet
from faceedit.evaluate.scores import mean
from faceedit.recipe import recipe_values

COLUMNS = {
    "reached": ("reached", "{:.1%}"),
    "kept": ("kept", "{:.1%}"),
    "gain_db": ("gain inside, dB", "{:+.2f}"),
    "clip_score": ("CLIP", "{:.2f}"),
    "clip_direction": ("directional CLIP", "{:.3f}"),
    "identity": ("identity", "{:.3f}"),
    "whole_db": ("picture, dB", "{:.2f}"),
    "outside_db": ("outside, dB", "{:.2f}"),
    "ssim_outside": ("SSIM outside", "{:.3f}"),
    "inversion": ("NFE before", "{:.0f}"),
    "evaluations": ("NFE", "{:.0f}"),
    "seconds": ("s", "{:.2f}"),
}
MASK = {"mask_share": ("mask", "{:.1%}")}
LEGEND = (
    "Nothing is pasted back. reached, kept: by the judge. gain inside: PSNR to the counterfactual less the input's.\n"
    "identity: cosine of the judge's features of input and result, in place of a face recogniser.\n"
    "picture, outside, SSIM: against the input through the autoencoder. NFE: transformer rows of the inversion before, "
    "and of an edit; s: seconds of an edit, of the processor on a CPU."
)


@dataclass(frozen=True)
class Asked:
    """What a run was asked for, for its heading and its JSON."""

    what: str
    count: int
    seed: int
    split: str
    threads: int


def means(edits: Sequence[Score]) -> dict[str, float | None]:
    """Mean of every column over the edits for which it is defined."""
    return {name: mean([getattr(edit, name) for edit in edits]) for name in (*MASK, *COLUMNS, "identity_clip")}


def heading(bench: Bench, found: Found, asked: Asked) -> str:
    """What was run, and what it cost."""
    edits = len(next(iter(found.scores.values())))
    seconds, rows = (float(np.mean(values)) for values in zip(*found.inversions, strict=True))
    total = sum(seconds for seconds, _ in found.inversions)
    total += sum(score.seconds for scores in found.scores.values() for score in scores)
    return (
        f"{asked.what}: {bench.recipe.name}, {edits} {asked.split} portraits of {bench.size} px, seed {asked.seed}, "
        f"place: {bench.locator}, N = {bench.recipe.sampling.steps}, guidance {bench.recipe.sampling.guidance:g}; "
        f"{len(found.inversions)} inversions of {rows:.0f} NFE, {seconds:.2f} s each; {total:.0f} s for all, "
        f"{asked.threads} threads; {len(found.left_out)} edits left out"
    )


def table(bench: Bench, found: Found) -> str:
    """Markdown, one row per variant and reference."""
    columns = {**MASK, **COLUMNS} if bench.many_masks else COLUMNS
    rows = [f"| variant | {' | '.join(title for title, _ in columns.values())} |", "|---" * (len(columns) + 1) + "|"]
    for name, edits in found.scores.items():
        figures = means(edits)
        made = any(edit.evaluations for edit in edits)
        cells = []
        for column, (_, form) in columns.items():
            value = figures[column]
            told = value is not None and (made or column not in ("mask_share", "inversion", "evaluations", "seconds"))
            cells.append(form.format(value) if told else "-")
        rows.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def document(bench: Bench, found: Found, asked: Asked) -> dict[str, Any]:
    """Everything but the pictures, as plain JSON values."""
    return {
        "schema": f"faceedit.bench.flux-sculptor.{asked.what}/1",
        **asdict(asked),
        "locator": bench.locator,
        "options": recipe_values(bench.recipe),
        "variants": {
            variant.name: {"settings": dict(variant.settings), "mask": variant.mask} for variant in bench.variants
        },
        "inversions": found.inversions,
        "left_out": found.left_out,
        "figures": {name: means(edits) for name, edits in found.scores.items()},
        "edits": {name: [asdict(edit) for edit in edits] for name, edits in found.scores.items()},
    }


def write(bench: Bench, found: Found, asked: Asked, folder: Path) -> None:
    """Print the table and write it, the JSON and the sheet of the first portraits into `folder`."""
    text = f"{heading(bench, found, asked)}\n\n{table(bench, found)}\n{LEGEND}\n"
    print(text)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{asked.what}.md").write_text(text, encoding="utf-8")
    values = json.dumps(document(bench, found, asked), indent=1, allow_nan=False)
    (folder / f"{asked.what}.json").write_text(values, encoding="utf-8")
    if found.shown:
        Image.fromarray(pictures(bench, found)).save(folder / f"{asked.what}-sheet.jpg", quality=88)


def pictures(bench: Bench, found: Found, height: int = 128) -> np.ndarray:
    """A row per portrait: the input, every variant's picture (after its mask where that differs), the truth."""
    images, labels = [], []
    for shown in found.shown:
        images.append(shown.before)
        labels.append(shown.phrase)
        for variant in bench.variants:
            mask, picture = shown.made[variant.name]
            if bench.many_masks:
                images.append(overlay(shown.before, mask))
                labels.append(variant.mask)
            images.append(picture)
            labels.append(variant.name)
        images.append(shown.truth)
        labels.append("truth")
    return sheet(images, labels, height, columns=len(images) // len(found.shown))


def scatter(found: Found, groups: Mapping[str, Sequence[str]], path: Path) -> None:
    """Editing against preservation, as the paper's table 3 sets them; `groups`: title -> variants."""
    pairs = (("identity", "clip_direction"), ("outside_db", "reached"))
    figure, axes = panels(len(pairs))
    for panel, (x, y) in zip(axes, pairs, strict=True):
        for (title, names), marker in zip(groups.items(), "xo", strict=True):
            # The same fusion has the same colour in both groups: each ends in the same ones.
            for colour, name in zip(("C0", "C1", "C2", "C3"), reversed(names), strict=False):
                figures = means(found.scores[name])
                panel.scatter(figures[x], figures[y], marker=marker, color=colour, label=f"{title}: {name}")
        panel.set(xlabel=COLUMNS[x][0], ylabel=COLUMNS[y][0])
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper", fontsize=7)
    save(figure, path)


def curves(found: Found, lines: Mapping[str, Mapping[int, str]], path: Path) -> None:
    """Figure 8 and what the stage costs; `lines`: strategy -> T -> variant."""
    columns = ("clip_direction", "reached", "identity", "outside_db")
    figure, axes = panels(len(columns))
    for panel, column in zip(axes, columns, strict=True):
        for strategy, points in lines.items():
            values = [means(found.scores[name])[column] for name in points.values()]
            panel.plot(list(points), values, marker="o", label=strategy)
        panel.set(xlabel="T", ylabel=COLUMNS[column][0])
        panel.set_xticks(list(next(iter(lines.values()))))
    axes[0].legend(fontsize=7)
    save(figure, path)


def panels(count: int) -> tuple[Any, Any]:
    """A figure of `count` panels in a row. Needs matplotlib."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4 * count, 3.2), layout="constrained")
    return figure, figure.subplots(1, count)


def save(figure: Any, path: Path) -> None:
    """As PNG."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(figure).print_png(str(path))
