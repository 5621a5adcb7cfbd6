"""MAG-Edit against its ablations on rendered portraits with the bundled models, and a sheet of its edits.

python benchmarks/mag_edit_table.py table --count 100 --split held-out
python benchmarks/mag_edit_table.py sheet portrait.png sheet.png
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from faceedit.backend import Choice
from faceedit.compare import sheet
from faceedit.editors.base import build_editor
from faceedit.evaluate.portraits import make_report
from faceedit.evaluate.report import PortraitReport
from faceedit.evaluate.runner import Setup, run_edits
from faceedit.evaluate.scorers import bundled_judge
from faceedit.evaluate.tasks import EditTask, make_tasks
from faceedit.models.loader import load_components
from faceedit.models.plan import device_plan
from faceedit.recipe import load_recipe
from faceedit.request import Bytes3, Request
from faceedit.run import edit, load_editor

RECIPE = "mini/mag-edit"
# Name -> recipe and what is set in it.
ROWS: dict[str, tuple[str, dict[str, str]]] = {
    "inpaint": ("mini/inpaint", {}),
    "P2P + blend": (RECIPE, {"constraint": "none"}),
    # More guidance also reaches more; this row tells it apart from what the constraints do.
    "P2P + blend, guidance 8": (RECIPE, {"constraint": "none", "sampling.guidance": "8"}),
    "MAG, auto": (RECIPE, {}),
    "MAG, token ratio": (RECIPE, {"constraint": "token"}),
    "MAG, spatial ratio": (RECIPE, {"constraint": "spatial"}),
    "MAG, null-text": (RECIPE, {"inversion": "null-text"}),
    "MAG, npi": (RECIPE, {"inversion": "npi"}),
}
# Changes against a colour that is there, whose word the prompt says.
HARD = ("hair_color=blond", "hair_color=white", "hair_color=black", "lip_color=pink")
HARD_ROWS = {
    "hard: P2P + blend": (RECIPE, {"constraint": "none"}),
    "hard: MAG": (RECIPE, {}),
    "hard: MAG, negative": (RECIPE, {"negative": "replaced"}),
}


def hard_tasks(tasks: Iterator[EditTask]) -> Iterator[EditTask]:
    """The tasks with prompts that say what is replaced ("turn black hair blond")."""
    for task in tasks:
        part = "hair" if task.target.field == "hair_color" else "lips"
        before = str(getattr(task.before.attributes, task.target.field))
        yield replace(task, phrase=f"turn {before} {part} {task.target.value}")


def measured(recipe: str, settings: Mapping[str, str], asked: argparse.Namespace, hard: bool) -> PortraitReport:
    """One row."""
    resolved = load_recipe(recipe, settings)
    setup = Setup(Choice(resolved, ""), load_editor(resolved), bundled_judge(), None, "dilate")
    tasks = make_tasks(asked.count, asked.seed, HARD if hard else asked.attributes, split=asked.split)
    findings = run_edits(setup, hard_tasks(tasks) if hard else tasks, asked.count)
    return make_report(setup, findings, wordings="canonical", split=asked.split, seed=asked.seed, size=256)


def table(asked: argparse.Namespace) -> None:
    """Print both tables as they come out."""
    for hard, rows in ((False, ROWS), (True, HARD_ROWS)):
        print("hard changes, prompts that say what is replaced" if hard else f"{asked.count} edits, {asked.split}")
        for name, (recipe, settings) in rows.items():
            if asked.rows and name not in asked.rows:
                continue
            figures = measured(recipe, settings, asked, hard).figures
            print(
                f"{name:20s} reached {figures.attr_edit:.3f}, kept {figures.attr_preserve:.3f}, "
                f"gain {figures.psnr_gain_db:+.2f} dB, {figures.seconds_per_edit:.2f} s",
                flush=True,
            )


def drawn(picture: Path, output: Path) -> None:
    """Three rows of edits beside the picture: granularity, one edit after the other, shares of two phrases."""
    recipe = load_recipe(RECIPE)
    components = load_components(recipe.weights, device_plan(recipe.device))
    original = np.asarray(Image.open(picture).convert("RGB"))

    def made(source: Bytes3, *prompts: str, **settings: str) -> Bytes3:
        buffer = io.BytesIO()
        Image.fromarray(source).save(buffer, "PNG")
        request = Request(image=buffer.getvalue(), prompts=prompts, recipe=RECIPE, settings=settings)
        return edit(request, editor=build_editor(load_recipe(RECIPE, settings), components)).rgb

    pictures, labels = [original], ["input"]
    for strength in ("0", "0.35", "0.7", "1"):
        pictures.append(made(original, "red lips", **{"sampling.strength": strength}))
        labels.append(f"red lips, --strength {strength}")
    pictures.append(original)
    labels.append("input")
    for prompt in ("red lips", "rosy cheeks", "blond hair", "sunglasses"):
        pictures.append(made(pictures[-1], prompt))
        labels.append(f"then {prompt}")
    pictures.append(original)
    labels.append("input")
    for share in (0.9, 0.6, 0.4, 0.1):
        pictures.append(made(original, "red lips", "blond hair", shares=f"{share},{1 - share:g}"))
        labels.append(f"red lips {share}, blond hair {1 - share:g}")
    Image.fromarray(sheet(pictures, labels, height=256, columns=5)).save(output, quality=88)


def main() -> None:
    """Measure or draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="what", required=True)
    tabled = commands.add_parser("table")
    tabled.add_argument("--count", type=int, default=100)
    tabled.add_argument("--seed", type=int, default=0)
    tabled.add_argument("--split", default="validation", choices=("validation", "held-out"))
    tabled.add_argument("--attributes", nargs="*", help="only these, FIELD or FIELD=VALUE")
    tabled.add_argument("--rows", nargs="*", help="only these, by name")
    sheets = commands.add_parser("sheet")
    sheets.add_argument("picture", type=Path)
    sheets.add_argument("output", type=Path)
    asked = parser.parse_args()
    if asked.what == "table":
        table(asked)
    else:
        drawn(asked.picture, asked.output)


if __name__ == "__main__":
    main()
