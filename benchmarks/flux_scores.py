"""The scores of decoded pictures of one portrait, before anything is pasted back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from faceedit.evaluate import scores
from faceedit.evaluate.scorers import ClipPair, JudgedPictures
from faceedit.evaluate.tasks import EditTask
from faceedit.request import Bytes3, EditText, Float2

RECONSTRUCTION = "(the input through the autoencoder)"
AUTOENCODER = "(the truth through the autoencoder)"
STRANGER = "(another portrait)"


@dataclass(frozen=True)
class Score:
    """One edit by one variant; the picture is the decoder's, nothing is pasted back.

    Attributes:
        key, phrase: target `field=value`; the prompt.
        reached: the judge sees the target value.
        kept: share of the other fields kept, as `eval portraits` has it.
        gain_db: PSNR to the counterfactual inside the place, less that of the input.
        clip_score, clip_direction: by the bundled pair.
        whole_db, outside_db: PSNR to the input through the autoencoder, over the picture and outside the place.
        ssim_outside: to the same, outside the place.
        identity: cosine of the judge's features of the picture and of the input.
        identity_clip: the same of the bundled CLIP's.
        mask_share: mean of the mask that the editor was given.
        seconds, evaluations: of the edit and its decoding, without the inversion; rows of the transformer.
        inversion: rows of the transformer in the inversion, whether or not it was shared.
    """

    key: str
    phrase: str
    reached: bool
    kept: float | None
    gain_db: float
    clip_score: float
    clip_direction: float | None
    whole_db: float
    outside_db: float | None
    ssim_outside: float | None
    identity: float
    identity_clip: float
    mask_share: float
    seconds: float
    evaluations: int
    inversion: int


@dataclass(frozen=True)
class Made:
    """A decoded picture, the mask that the editor was given, and what the edit took, and the inversion before it."""

    picture: Bytes3
    mask: Float2
    seconds: float = 0.0
    evaluations: int = 0
    inversion: int = 0


def score_portrait(
    task: EditTask,
    text: EditText,
    made: Mapping[str, Made],
    stranger: Bytes3 | None,
    place: Float2,
    judge: JudgedPictures,
    clip: ClipPair,
) -> dict[str, Score]:
    """Scores of all pictures; the portrait of somebody else tells what the identity scores are worth.

    Args:
        task, text: the edit and its words.
        made: pictures of every variant and of `RECONSTRUCTION`, [S, S, 3] at the size of the task's.
        stranger: the portrait before this one, or None for the first.
        place: float32 [S, S], the same for all: where it is above 0 is inside.
        judge, clip: the networks that score.
    """
    before, after = task.before.image, task.after.image
    rebuilt = made[RECONSTRUCTION].picture
    entries = dict(made) if stranger is None else {**made, STRANGER: Made(stranger, place)}
    pictures = [before, after, *(each.picture for each in entries.values())]
    seen_before, seen_after, *seen = judge.predict(pictures)
    persons, vectors = judge.identity(pictures), clip.images(pictures)
    source, target = clip.sentences([text.source, text.target])
    name = task.target.field
    keep = [f for f in scores.fields_to_keep(seen_before, seen_after, name) if f in task.fields_in_sight]
    before_db = scores.psnr_db(scores.inside_mse(before, after, place))
    outside, whole = (place <= 0).astype(np.float32), np.ones_like(place)
    found = {}
    for i, (variant, each) in enumerate(entries.items()):
        person, vector, picture = persons[2 + i], vectors[2 + i], each.picture
        found[variant] = Score(
            key=task.target.key,
            phrase=task.phrase,
            reached=scores.reached(seen[i], name, task.target.value),
            kept=scores.kept(seen[i], seen_before, keep),
            gain_db=scores.psnr_db(scores.inside_mse(picture, after, place)) - before_db,
            clip_score=scores.clip_score(vector, target),
            clip_direction=scores.directional_clip(vectors[0], vector, source, target),
            whole_db=scores.psnr_db(scores.inside_mse(picture, rebuilt, whole)),
            outside_db=scores.psnr_db(scores.inside_mse(picture, rebuilt, outside)) if outside.any() else None,
            ssim_outside=scores.outside_ssim(rebuilt, picture, place),
            identity=float(person @ persons[0]),
            identity_clip=float(vector @ vectors[0]),
            mask_share=float(each.mask.mean()),
            seconds=each.seconds,
            evaluations=each.evaluations,
            inversion=each.inversion,
        )
    return found
