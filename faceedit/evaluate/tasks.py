"""The edits of the portrait benchmark: which portrait, which attribute, which words, and the true answer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from faceedit.errors import FaceEditError, UsageError
from faceedit.evaluate.scores import visible_change
from faceedit.portraits.attribute_value import AttributeValue
from faceedit.portraits.attributes import Attributes, sample_attributes, visible_fields
from faceedit.portraits.render import Rendered, counterfactual, render
from faceedit.portraits.split import HELD_OUT_FROM, held_out_seed
from faceedit.portraits.vocabulary import ATTRIBUTES, FIELDS, NEVER_PLAIN, attribute_value, is_plain
from faceedit.request import Float2

SPLITS = ("held-out", "validation")
WORDINGS = ("canonical", "held-out")
VALIDATION_FROM = 900_000_000
"""Validation seeds lie below the held-out ones: settings are tuned on them, never on the reported portraits."""

ATTEMPTS = 1000
MIN_VISIBLE_CHANGE = 0.002
"""Share of the picture's pixels: a counterfactual that visibly changes fewer cannot be judged (brows under a cap)."""


@dataclass(frozen=True)
class EditTask:
    """One edit with its answer.

    Attributes:
        index: number of the edit in its run, from 0; also the seed of the edit's noise.
        target: field and value that the edit should reach.
        phrase: the prompt.
        kind: "added" (from plain), "changed" (between values) or "removed" (to plain).
        before: the portrait as it is.
        after: its counterfactual: same person, light and camera, the one field changed.
        region: float32 [S, S] in [0, 1], the exact place of the attribute before and after.
        rejected: portraits passed over for this edit because the change could not be seen.
    """

    index: int
    target: AttributeValue
    phrase: str
    kind: str
    before: Rendered
    after: Rendered
    region: Float2
    rejected: int

    @property
    def visible_before(self) -> frozenset[str]:
        """Fields whose value can be seen on the portrait as it is."""
        return visible_fields(self.before.attributes)

    @property
    def fields_in_sight(self) -> frozenset[str]:
        """Fields whose value can be seen before and after: no bangs under a hat, no eye colour behind sunglasses."""
        return self.visible_before & visible_fields(self.after.attributes)


def edit_targets(attributes: Sequence[str] | None = None) -> tuple[AttributeValue, ...]:
    """The editable attribute values, or those that are asked for by field ("glasses") or key ("glasses=sunglasses").

    Raises:
        UsageError: an unknown or not editable attribute.
    """
    editable = tuple(item for item in ATTRIBUTES if item.editable)
    if not attributes:
        return editable
    known = {name for item in editable for name in (item.field, item.key)}
    for name in attributes:
        if name not in known:
            fields = ", ".join(dict.fromkeys(item.field for item in editable))
            raise UsageError(f"unknown or not editable attribute {name!r}", f"FIELD or FIELD=VALUE of: {fields}")
    return tuple(item for item in editable if item.field in attributes or item.key in attributes)


def make_tasks(
    count: int,
    seed: int = 0,
    attributes: Sequence[str] | None = None,
    wordings: str = "canonical",
    split: str = "held-out",
    size: int = 256,
) -> Iterator[EditTask]:
    """Draw `count` edits, one after the other: the targets in a shuffled cycle, each on a portrait of its own.

    Args:
        count: number of edits, at least 1.
        seed: run number; the same one gives the same edits, another one other portraits and another order.
        attributes: fields or keys to keep to; `None` takes every editable value.
        wordings: "canonical" (the first wording) or "held-out" (one that no training caption used).
        split: "held-out" or "validation".
        size: side of the portraits in pixels.

    Raises:
        UsageError: an unknown choice, attribute or a count below 1.
        FaceEditError: no portrait was found on which an edit could be seen.
    """
    for value, choices, name in ((wordings, WORDINGS, "wordings"), (split, SPLITS, "split")):
        if value not in choices:
            raise UsageError(f"unknown {name} {value!r}", f"one of: {', '.join(choices)}")
    if count < 1 or seed < 0:
        raise UsageError(
            f"count must be at least 1 and seed at least 0, not {count} and {seed}", "e.g. --count 100 --seed 0"
        )
    targets = edit_targets(attributes)
    order = np.random.default_rng(seed).permutation(len(targets))
    return (_find(targets[order[i % len(targets)]], i, seed, wordings, split, size) for i in range(count))


def portrait_seed(index: int, attempt: int, seed: int, split: str) -> int:
    """The seed of the portrait tried at `attempt` for edit `index` of run `seed`."""
    number = (seed * 1_000_000 + index) * ATTEMPTS + attempt
    return (
        held_out_seed(number) if split == "held-out" else VALIDATION_FROM + number % (HELD_OUT_FROM - VALIDATION_FROM)
    )


def region_of(target: AttributeValue, *pictures: Rendered) -> Float2:
    """Union of the regions over the pictures, float32 [S, S]: where the glasses will be, or where they were."""
    return reduce(np.maximum, (picture.regions[name] for picture in pictures for name in target.regions))


def _find(target: AttributeValue, index: int, seed: int, wordings: str, split: str, size: int) -> EditTask:
    rejected = 0
    for attempt in range(ATTEMPTS):
        number = portrait_seed(index, attempt, seed, split)
        attributes = sample_attributes(number)
        if not _fits(attributes, target):
            continue
        before = render(number, size, regions=target.regions)
        after = counterfactual(number, size, target.field, target.value, regions=target.regions)
        region = region_of(target, before, after)
        if visible_change(before.image, after.image) < MIN_VISIBLE_CHANGE:
            rejected += 1
            continue
        source = getattr(attributes, target.field)
        phrase = _phrase(target, attribute_value(target.field, source), wordings, index)
        return EditTask(index, target, phrase, _kind(target, source), before, after, region, rejected)
    raise FaceEditError(f"no portrait shows the edit {target.key}", "leave the attribute out with --attributes")


def _fits(attributes: Attributes, target: AttributeValue) -> bool:
    """Something to edit, and it can be seen before and after."""
    changed = attributes.with_value(target.field, target.value)
    return (
        getattr(attributes, target.field) != target.value
        and target.field in visible_fields(attributes)
        and target.field in visible_fields(changed)
    )


def _phrase(target: AttributeValue, source: AttributeValue, wordings: str, index: int) -> str:
    if wordings == "held-out":
        return target.held_out[index % len(target.held_out)]
    if is_plain(target.field, target.value) and source.removals:
        return source.removals[0]
    return target.phrases[0]


def _kind(target: AttributeValue, source: str) -> str:
    if target.field in NEVER_PLAIN:
        return "changed"
    plain = FIELDS[target.field][0]
    return "removed" if target.value == plain else "added" if source == plain else "changed"
