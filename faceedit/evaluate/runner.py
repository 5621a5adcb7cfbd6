"""One pass of the portrait benchmark: every edit through the walk of `faceedit edit`, then scored."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from faceedit import faces
from faceedit.backend import Choice
from faceedit.editors.base import Editor
from faceedit.errors import UsageError
from faceedit.evaluate import scores
from faceedit.evaluate.places import rough_place, with_locator
from faceedit.evaluate.report import EditScore, Sample
from faceedit.evaluate.scorers import Classifier, ClipPair
from faceedit.evaluate.tasks import EditTask
from faceedit.evaluate.trivial import EncodedAnswer, KnownAnswer
from faceedit.portraits.render import Rendered
from faceedit.prompts import for_vocabulary, parse
from faceedit.recipe_schema import Recipe
from faceedit.request import EditText, Face, Picture, Portrait, Request, Result
from faceedit.run import Prepared, edit_prepared, find_mask

BRACKETS = ("identity", "autoencoder", "truth")
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Setup:
    """What is run, and the two networks that score.

    Attributes:
        choice: the recipe, as the walk takes it.
        editor: its editor, loaded once.
        judge: classifier of the attributes.
        clip: CLIP pair, or None to leave the CLIP scores undefined.
        locator: how the place is found; see `rough_place` and `with_locator`.
    """

    choice: Choice
    editor: Editor
    judge: Classifier
    clip: ClipPair | None
    locator: str = "dilate"


@dataclass
class Findings:
    """What the edits of one pass gave, in order.

    Attributes:
        edits: "editor" and the names of `BRACKETS` -> the scores of every edit by them.
        hits: field -> whether the judge saw its true value, for every plain render on which it can be seen.
        samples: the first edits as pictures.
        rejected: portraits passed over because the change could not be seen.
        not_understood: prompts that the walk refused; no edit was made of them.
    """

    edits: dict[str, list[EditScore]] = field(default_factory=lambda: {"editor": [], **{name: [] for name in BRACKETS}})
    hits: dict[str, list[bool]] = field(default_factory=dict)
    samples: list[Sample] = field(default_factory=list)
    rejected: int = 0
    not_understood: list[str] = field(default_factory=list)


def run_edits(
    setup: Setup, tasks: Iterable[EditTask], count: int, samples: int = 0, progress: Progress | None = None
) -> Findings:
    """Make and score every edit by the editor, and by the trivial ones that bracket it.

    Args:
        setup: loaded networks.
        tasks: the edits.
        count: how many there are, for `progress`.
        samples: how many to keep as pictures.
        progress: called with (edits done, count).

    Raises:
        UsageError: no prompt was understood, or no such locator.
    """
    findings = Findings()
    for done, task in enumerate(tasks):
        if progress is not None:
            progress(done, count)
        try:
            text = words_of(task, setup.choice.recipe)
        except UsageError:
            findings.not_understood.append(task.phrase)
            continue
        prepared, request = prepare_task(task, setup, text)
        made = {name: _timed(prepared, request, editor) for name, editor in editors_of(task, setup.editor).items()}
        pictures = [task.before.image, task.after.image, *(result.rgb for result, _ in made.values())]
        before, after, *judged = setup.judge.predict(pictures)
        for (name, (result, seconds)), seen in zip(made.items(), judged, strict=True):
            score = score_edit(task, prepared, result, (before, after, seen), setup.clip, seconds)
            findings.edits[name].append(score)
        _note_hits(findings.hits, task, before)
        findings.rejected += task.rejected
        if len(findings.samples) < samples:
            shown = prepared.mask.values, made["editor"][0].rgb
            findings.samples.append(Sample(task.phrase, task.before.image, *shown, task.after.image))
    if progress is not None:
        progress(count, count)
    if not findings.edits["editor"]:
        raise UsageError("the walk understood none of the prompts", "leave the wordings canonical")
    return findings


def editors_of(task: EditTask, editor: Editor) -> dict[str, Editor]:
    """The editor, and those that bracket it on this edit."""
    answer = faces.crop_pixels(portrait_of_render(task.after), editor.size)
    return {
        "editor": editor,
        "identity": KnownAnswer(task.before.image),
        "autoencoder": EncodedAnswer(editor, answer),
        "truth": KnownAnswer(task.after.image),
    }


def words_of(task: EditTask, recipe: Recipe) -> EditText:
    """Step 2 of the walk.

    Raises:
        UsageError: the prompt is not understood.
    """
    text = parse([task.phrase], regions_given=True)
    return for_vocabulary(text) if recipe.vocabulary == "portraits" else text


def prepare_task(task: EditTask, setup: Setup, text: EditText) -> tuple[Prepared, Request]:
    """Steps 1 to 4 of the walk for a rendered portrait: it is used whole, and its face is known."""
    recipe = with_locator(setup.choice.recipe, setup.locator)
    request = Request(image=b"", prompts=(task.phrase,), recipe=recipe.name, seed=task.index)
    portrait = portrait_of_render(task.before)
    place = rough_place(task, setup.locator)
    mask, warnings = find_mask(recipe, portrait, text, (), place)
    choice = replace(setup.choice, recipe=recipe)
    return Prepared(choice, portrait.picture, portrait, text, mask, place, warnings), request


def portrait_of_render(rendered: Rendered) -> Portrait:
    """A rendered portrait as the walk takes one, with the renderer's own face box and landmarks."""
    sha256 = hashlib.sha256(rendered.image.tobytes()).hexdigest()
    picture = Picture(rendered.image, None, "RGB", "PNG", None, None, None, sha256)
    return faces.whole_portrait(picture, Face(rendered.face_box, landmarks=dict(rendered.landmarks)))


def score_edit(
    task: EditTask,
    prepared: Prepared,
    result: Result,
    judged: tuple[Mapping[str, str], Mapping[str, str], Mapping[str, str]],
    clip: ClipPair | None,
    seconds: float,
) -> EditScore:
    """All scores of one result; `judged` holds the judge's view of the input, the counterfactual and the result."""
    before, after, edited = task.before.image, task.after.image, result.rgb
    hard, soft = prepared.mask.values, result.mask.values
    name, value = task.target.field, task.target.value
    seen_before, seen_after, seen_edited = judged
    in_sight = task.fields_in_sight
    keep = [item for item in scores.fields_to_keep(seen_before, seen_after, name) if item in in_sight]
    labels = task.before.attributes.as_dict()
    others = [item for item in seen_before if item in in_sight and item != name]
    clip_score, clip_direction = clip_scores(task, prepared, result, clip)
    return EditScore(
        seed=task.before.seed,
        key=task.target.key,
        kind=task.kind,
        phrase=task.phrase,
        mse_before=scores.inside_mse(before, after, hard),
        mse_after=scores.inside_mse(edited, after, hard),
        reached=scores.reached(seen_edited, name, value),
        truth_reached=scores.reached(seen_after, name, value),
        kept=scores.kept(seen_edited, seen_before, keep),
        kept_labels=scores.kept(seen_edited, labels, others),
        outside_max_abs_diff=scores.outside_max_abs_diff(before, edited, soft),
        ssim_outside=scores.outside_ssim(before, edited, soft),
        mask_share=float(np.mean(hard > 0)),
        change_in_mask=scores.change_inside(before, after, hard),
        clip_score=clip_score,
        clip_direction=clip_direction,
        seconds=seconds,
    )


def clip_scores(
    task: EditTask, prepared: Prepared, result: Result, clip: ClipPair | None
) -> tuple[float | None, float | None]:
    """CLIP score of the result and directional CLIP of the edit; None without a CLIP pair, or where undefined."""
    if clip is None:
        return None, None
    source, edited = clip.images([task.before.image, result.rgb])
    source_text, target_text = clip.sentences([prepared.text.source, prepared.text.target])
    return scores.clip_score(edited, target_text), scores.directional_clip(source, edited, source_text, target_text)


def _timed(prepared: Prepared, request: Request, editor: Editor) -> tuple[Result, float]:
    start = time.perf_counter()
    result = edit_prepared(prepared, request, editor=editor)
    return result, time.perf_counter() - start


def _note_hits(hits: dict[str, list[bool]], task: EditTask, seen: Mapping[str, str]) -> None:
    labels = task.before.attributes.as_dict()
    for name in task.visible_before & seen.keys():
        hits.setdefault(name, []).append(seen[name] == labels[name])
