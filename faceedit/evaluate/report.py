"""What the portrait benchmark finds: one score per edit, figures per group, one report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from typing import Any

import numpy as np

from faceedit import __version__
from faceedit.evaluate.scores import mean, psnr_db
from faceedit.request import Bytes3, Float2

DEFINITIONS = 1
"""Version of the scores' definitions in `docs/evaluation.md`; figures of two versions must not be compared."""


@dataclass(frozen=True)
class EditScore:
    """The scores of one edit. MSE is of values in [0, 1]; None where a score is undefined for this edit.

    Attributes:
        seed: seed of the portrait.
        key, kind, phrase: target `field=value`; "added", "changed" or "removed"; the prompt.
        mse_before, mse_after: error against the counterfactual inside the mask, of the input and of the result.
        reached, truth_reached: the judge sees the target value on the result; on the counterfactual.
        kept, kept_labels: share of the other fields kept, by the judge's view of the input; by the true labels.
        outside_max_abs_diff: grey levels of 255, where the feathered mask is 0.
        ssim_outside: over the same pixels.
        mask_share: share of the picture inside the mask.
        change_in_mask: share of the counterfactual's change that lies inside the mask.
        clip_score, clip_direction: by the bundled CLIP pair.
        seconds: crop, invert, edit, decode and paste back; no loading, rendering or judging.
    """

    seed: int
    key: str
    kind: str
    phrase: str
    mse_before: float
    mse_after: float
    reached: bool
    truth_reached: bool
    kept: float | None
    kept_labels: float | None
    outside_max_abs_diff: int
    ssim_outside: float | None
    mask_share: float
    change_in_mask: float
    clip_score: float | None
    clip_direction: float | None
    seconds: float


@dataclass(frozen=True)
class Figures:
    """The scores of a group of edits: means over the edits, except where the name says otherwise.

    Attributes:
        attr_edit: share of edits whose target the judge sees; `attr_edit_truth` is its share on the counterfactuals.
        attr_preserve, attr_preserve_labels: share of the other attributes kept.
        psnr_before_db, psnr_after_db, psnr_gain_db: mean of the edits' PSNR inside the mask; the gain is their
            difference, which is also the mean of the edits' own gains.
        pooled_before_db, pooled_after_db, pooled_gain_db: PSNR of the mean error, which the worst edits rule.
        gain_share: share of edits that came closer to the counterfactual.
        outside_max_abs_diff: the largest of all edits.
    """

    count: int
    attr_edit: float
    attr_edit_truth: float
    attr_preserve: float | None
    attr_preserve_labels: float | None
    psnr_before_db: float
    psnr_after_db: float
    psnr_gain_db: float
    pooled_before_db: float
    pooled_after_db: float
    pooled_gain_db: float
    gain_share: float
    outside_max_abs_diff: int
    ssim_outside: float | None
    mask_share: float
    change_in_mask: float
    clip_score: float | None
    clip_direction: float | None
    seconds_per_edit: float


@dataclass(frozen=True)
class Sample:
    """One edit to look at: uint8 [S, S, 3] pictures, the mask float32 [S, S], and what was asked."""

    phrase: str
    before: Bytes3
    mask: Float2
    result: Bytes3
    truth: Bytes3


@dataclass(frozen=True)
class RoundTrips:
    """What was left of one portrait after every trip.

    Attributes:
        seed: seed of the portrait, which wears no glasses.
        ssim: structural similarity to the start after each trip, over the whole picture.
        ssim_inside: the same, over the pixels inside the mask, where all of the damage is.
        added, removed: share of trips on which the judge saw the glasses come, and go again. An editor that does
            nothing keeps an SSIM of 1, so the SSIM counts only together with these two.
        outside_max_abs_diff: between the start and the end, in grey levels of 255, where the feathered masks are 0.
    """

    seed: int
    trips: int
    ssim: tuple[float, ...]
    ssim_inside: tuple[float, ...]
    added: float
    removed: float
    outside_max_abs_diff: int


@dataclass(frozen=True)
class PortraitReport:
    """One run of `eval portraits`.

    Attributes:
        options: the resolved recipe, every option as it ran.
        figures: over all edits.
        by_attribute: target `field=value` -> its figures.
        by_kind: "added", "changed", "removed" -> their figures.
        references: the same edits by the same code with nothing done ("identity"), with the counterfactual through the
            editor's own encoder and decoder ("autoencoder"), and with the counterfactual itself ("truth").
        rejected: portraits passed over because the counterfactual's change could not be seen.
        not_understood: prompts that the walk refused; they are in no figure.
        judge_accuracy, judge_field_accuracy: the judge against the true labels on the plain renders of this run.
        edits: every single edit.
        samples: the first edits as pictures, for `evaluate.sheet`.
        round_trips: where they were asked for.
    """

    backend: str
    recipe: str
    options: dict[str, Any]
    locator: str
    wordings: str
    split: str
    seed: int
    size: int
    figures: Figures
    by_attribute: dict[str, Figures]
    by_kind: dict[str, Figures]
    references: dict[str, Figures]
    rejected: int
    not_understood: tuple[str, ...]
    judge_accuracy: float
    judge_field_accuracy: dict[str, float]
    edits: tuple[EditScore, ...]
    samples: tuple[Sample, ...] = field(default=(), repr=False)
    round_trips: RoundTrips | None = None

    def to_json(self) -> dict[str, Any]:
        """One flat object of plain JSON values; undefined scores are null, pictures are left out."""
        head = {
            "schema": "faceedit.eval.portraits/1",
            "definitions": DEFINITIONS,
            "version": __version__,
            "backend": self.backend,
            "recipe": self.recipe,
            "locator": self.locator,
            "wordings": self.wordings,
            "split": self.split,
            "seed": self.seed,
            "size": self.size,
        }
        names = [item.name for item in fields(self) if item.name not in (*head, "figures", "samples")]
        return head | asdict(self.figures) | {name: _plain(getattr(self, name)) for name in names}


def summarise(edits: Sequence[EditScore]) -> Figures:
    """The figures of a group of at least one edit."""
    before = [psnr_db(edit.mse_before) for edit in edits]
    after = [psnr_db(edit.mse_after) for edit in edits]
    pooled = [
        psnr_db(float(np.mean(values))) for values in ([e.mse_before for e in edits], [e.mse_after for e in edits])
    ]
    return Figures(
        count=len(edits),
        attr_edit=float(np.mean([edit.reached for edit in edits])),
        attr_edit_truth=float(np.mean([edit.truth_reached for edit in edits])),
        attr_preserve=mean([edit.kept for edit in edits]),
        attr_preserve_labels=mean([edit.kept_labels for edit in edits]),
        psnr_before_db=float(np.mean(before)),
        psnr_after_db=float(np.mean(after)),
        psnr_gain_db=float(np.mean(after) - np.mean(before)),
        pooled_before_db=pooled[0],
        pooled_after_db=pooled[1],
        pooled_gain_db=pooled[1] - pooled[0],
        gain_share=float(np.mean([edit.mse_after < edit.mse_before for edit in edits])),
        outside_max_abs_diff=max(edit.outside_max_abs_diff for edit in edits),
        ssim_outside=mean([edit.ssim_outside for edit in edits]),
        mask_share=float(np.mean([edit.mask_share for edit in edits])),
        change_in_mask=float(np.mean([edit.change_in_mask for edit in edits])),
        clip_score=mean([edit.clip_score for edit in edits]),
        clip_direction=mean([edit.clip_direction for edit in edits]),
        seconds_per_edit=float(np.mean([edit.seconds for edit in edits])),
    )


def grouped(edits: Sequence[EditScore], name: str) -> dict[str, Figures]:
    """Figures per value of one of the edits' own fields ("key" or "kind"), in alphabetical order."""
    values = sorted({getattr(edit, name) for edit in edits})
    return {value: summarise([edit for edit in edits if getattr(edit, name) == value]) for value in values}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return _plain(asdict(value)) if is_dataclass(value) and not isinstance(value, type) else value
