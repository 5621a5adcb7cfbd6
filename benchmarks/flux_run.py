"""Many variants of Flux-Sculptor on the same rendered portraits, scored before anything is pasted back.

Pasting back makes all variants equal outside the mask. What a fusion itself keeps shows on the picture that the decoder
gives, held against what the decoder gives for the unedited latents.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from flux_masks import PLACE, mask_of
from flux_scores import AUTOENCODER, RECONSTRUCTION, Made, Score, score_portrait

from faceedit.editors.base import Trajectory, build_editor, unused_parts
from faceedit.editors.flux_sculptor.editor import FluxSculptorEditor
from faceedit.errors import NothingToEditError, UsageError
from faceedit.evaluate.runner import words_of
from faceedit.evaluate.scorers import ClipPair, JudgedPictures
from faceedit.evaluate.tasks import EditTask
from faceedit.evaluate.trivial import EncodedAnswer
from faceedit.models.loader import load_components
from faceedit.models.plan import device_plan
from faceedit.recipe import load_recipe
from faceedit.recipe_schema import Recipe
from faceedit.request import Bytes3, EditText, Float2


@dataclass(frozen=True)
class Variant:
    """What is measured: settings over the recipe, and the kind of mask that the editor is given."""

    name: str
    settings: Mapping[str, str] = field(default_factory=dict)
    mask: str = PLACE


@dataclass(frozen=True)
class Shown:
    """One portrait for the sheet: variant -> its mask and picture."""

    phrase: str
    before: Bytes3
    truth: Bytes3
    made: Mapping[str, tuple[Float2, Bytes3]]


@dataclass
class Found:
    """What a run gave.

    Attributes:
        scores: variant, or one of the references -> its scores, one per portrait.
        inversions: (seconds, transformer rows) of every inversion.
        shown: the first portraits.
        left_out: prompts that were not understood, or whose place was not found.
    """

    scores: dict[str, list[Score]] = field(default_factory=dict)
    inversions: list[tuple[float, int]] = field(default_factory=list)
    shown: list[Shown] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Bench:
    """Loaded once: the recipe, an editor per variant over the same networks, and the networks that score."""

    recipe: Recipe
    variants: tuple[Variant, ...]
    editors: Mapping[str, FluxSculptorEditor]
    judge: JudgedPictures
    clip: ClipPair
    locator: str
    rough: str

    @property
    def size(self) -> int:
        """Side of the portraits: that of the model, so that nothing is resized."""
        return self.recipe.size

    @property
    def many_masks(self) -> bool:
        """Whether the variants are told apart by their masks."""
        return len({variant.mask for variant in self.variants}) > 1

    def mask(self, kind: str, task: EditTask, text: EditText) -> Float2:
        """As `mask_of`."""
        return mask_of(kind, task, text, self.recipe, self.locator, self.rough)


def load_bench(
    recipe: str,
    settings: Mapping[str, str],
    variants: Sequence[Variant],
    judge: JudgedPictures,
    clip: ClipPair,
    locator: str = "dilate",
    rough: str = "",
) -> Bench:
    """The networks of `recipe` over `settings`, with one editor per variant; `rough` "" is the recipe's locator."""
    base = load_recipe(recipe, settings)
    components = load_components(base.weights, device_plan(base.device), skip=unused_parts(base))
    editors = {v.name: build_editor(load_recipe(recipe, {**settings, **v.settings}), components) for v in variants}
    return Bench(base, tuple(variants), editors, judge, clip, locator, rough or base.locator.name)


def run(bench: Bench, tasks: Iterator[EditTask], sheet: int, progress: Callable[[int], None]) -> Found:
    """Every variant on every portrait; each portrait is inverted once for all variants that can share it.

    Args:
        bench: loaded networks.
        tasks: edits on portraits of `bench.size`.
        sheet: how many of the first portraits to keep as pictures.
        progress: called with the number of portraits done.

    Raises:
        UsageError: not one edit could be made.
    """
    found = Found()
    stranger: Bytes3 | None = None
    for done, task in enumerate(tasks):
        progress(done)
        try:
            text = words_of(task, bench.recipe)
            masks = {kind: bench.mask(kind, task, text) for kind in {PLACE, *(v.mask for v in bench.variants)}}
        except (UsageError, NothingToEditError):
            found.left_out.append(task.phrase)
            continue
        made = edit_portrait(bench, task, text, masks, found.inversions)
        scored = score_portrait(task, text, made, stranger, masks[PLACE], bench.judge, bench.clip)
        for name, score in scored.items():
            found.scores.setdefault(name, []).append(score)
        stranger = task.before.image
        if len(found.shown) < sheet:
            pictures = {name: (each.mask, each.picture) for name, each in made.items()}
            found.shown.append(Shown(task.phrase, task.before.image, task.after.image, pictures))
    if not found.scores:
        raise UsageError("no prompt was understood, or no place was found", "leave --locator at dilate")
    return found


def edit_portrait(
    bench: Bench, task: EditTask, text: EditText, masks: Mapping[str, Float2], inversions: list[tuple[float, int]]
) -> dict[str, Made]:
    """The pictures of all variants, and of the input and the truth through the autoencoder."""
    pixels = task.before.image / np.float32(255)
    known: dict[str, tuple[Trajectory, int]] = {}
    made = {}
    for variant in bench.variants:
        editor, mask = bench.editors[variant.name], masks[variant.mask]
        key = inversion_key(editor)
        if key not in known:
            sharing = [e for e in bench.editors.values() if inversion_key(e) == key]
            # The one that needs the most of the source's values keeps them for all.
            inverter = max(sharing, key=lambda e: len(e.plan.keys))
            with counted(inverter) as cost:
                inverted = inverter.invert(pixels, text.source)
            known[key] = inverted, cost.evaluations
            inversions.append((cost.seconds, cost.evaluations))
        trajectory, inversion = known[key]
        with counted(editor) as cost:
            *_, last = editor.edit(trajectory, text, mask, torch.Generator().manual_seed(task.index))
            picture = editor.decode(last.latents)
        made[variant.name] = Made(as_bytes(picture), mask, cost.seconds, cost.evaluations, inversion)
    editor = next(iter(bench.editors.values()))
    for name, shown in ((RECONSTRUCTION, task.before), (AUTOENCODER, task.after)):
        encoded = EncodedAnswer(editor, shown.image).invert(shown.image / np.float32(255), text.source)
        made[name] = Made(as_bytes(editor.decode(encoded.latents)), masks[PLACE])
    return made


def inversion_key(editor: FluxSculptorEditor) -> str:
    """Editors with the same one can share an inverted portrait."""
    return json.dumps(editor.trajectory_settings(), sort_keys=True)


@dataclass
class Cost:
    """Seconds, of the processor where that is what computes, and rows that went through the transformer."""

    seconds: float = 0.0
    evaluations: int = 0


@contextmanager
def counted(editor: FluxSculptorEditor) -> Iterator[Cost]:
    """What the block costs; a call with two rows counts as two evaluations."""
    cost = Cost()

    def note(_: Any, __: Any, named: Mapping[str, Any]) -> None:
        cost.evaluations += len(named["hidden_states"])

    handle = editor.flux.transformer.register_forward_pre_hook(note, with_kwargs=True)
    clock = time.process_time if editor.flux.device.type == "cpu" else time.perf_counter
    start = clock()
    try:
        yield cost
    finally:
        cost.seconds = clock() - start
        handle.remove()


def as_bytes(picture: np.ndarray) -> Bytes3:
    """Float32 in [0, 1] as uint8."""
    return np.round(picture * 255).astype(np.uint8)
