"""The sentences that an edit of a drawn portrait makes of a command, so that training sees the ones of inference."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from faceedit.portraits.attribute_value import AttributeValue
from faceedit.portraits.captions import caption
from faceedit.portraits.vocabulary import ATTRIBUTES, FIELDS, attribute_value, is_plain
from faceedit.prompts import for_vocabulary, parse
from faceedit.train.phrases import NAMES, Caption, attributes_of

EDITED = frozenset(item.field for item in ATTRIBUTES if item.editable)
"""Fields that an edit can change; age, gender and the like are no local attributes."""


@lru_cache(maxsize=1024)
def target_sentence(field: str, value: str, before: str | None = None) -> str:
    """The target sentence of the command that puts `value` on, as the walk of an edit makes it.

    Args:
        field: attribute field.
        value: its new value.
        before: the value that it replaces, which a removal names ("no goatee"); `None` where that is not known.

    Returns:
        A sentence such as "a person with rosy cheeks" or "a person without glasses".
    """
    item = attribute_value(field, value)
    command = item.phrases[0]
    if before is not None and is_plain(field, value):
        command = next(iter(attribute_value(field, before).removals), command)
    return for_vocabulary(parse([command], regions_given=True)).target


def draw_fields(
    indices: NDArray[np.int8], visible: NDArray[np.bool_], rng: np.random.Generator, sizes: Sequence[int]
) -> tuple[str, ...]:
    """One or more editable fields whose value can be seen; plain values ("no hat") are drawn less often.

    Args:
        indices: int8 [F], value index per field.
        visible: bool [F].
        rng: random numbers.
        sizes: how many, one is drawn evenly.
    """
    seen = np.array([name in EDITED for name in NAMES]) & visible
    weights = np.where(seen, np.where(indices == 0, 0.6, 1.0), 0.0)
    size = min(int(rng.choice(sizes)), int(seen.sum()))
    chosen = rng.choice(len(NAMES), size, replace=False, p=weights / weights.sum())
    return tuple(NAMES[int(i)] for i in chosen)


def draw_command(
    indices: NDArray[np.int8],
    fields: Sequence[str],
    rng: np.random.Generator,
    command_share: float,
    before: NDArray[np.int8] | None = None,
) -> Caption:
    """A sentence that tells the fields' values: a single one in a share of cases just as a command's target.

    Args:
        indices: int8 [F], value index per field of the picture that the sentence is true of.
        fields: what it speaks of; at least one.
        rng: random numbers.
        command_share: how often a single field is told as `target_sentence` does.
        before: value indices of the picture before the edit, where there is one.
    """
    if len(fields) == 1 and rng.random() < command_share and attribute_of(indices, fields[0]).editable:
        name = fields[0]
        replaced = None if before is None else attribute_of(before, name).value
        return Caption(target_sentence(name, attribute_of(indices, name).value, replaced), tuple(fields))
    return Caption(caption(attributes_of(indices), rng, "direct", fields), tuple(fields))


def attribute_of(indices: NDArray[np.int8], field: str) -> AttributeValue:
    """The vocabulary's entry of a field's value."""
    return attribute_value(field, FIELDS[field][int(indices[NAMES.index(field)])])
