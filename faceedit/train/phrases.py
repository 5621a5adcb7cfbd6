"""Captions for training, together with the attribute fields that they speak of."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceedit.portraits.attributes import Attributes, visible_fields
from faceedit.portraits.captions import Kind, caption
from faceedit.portraits.vocabulary import FIELDS

NAMES = tuple(FIELDS)
PERSON = re.compile(r"\b(?:(young|middle-aged|old|elderly) )?(woman|lady|man|gentleman|person)\b")


@dataclass(frozen=True)
class Caption:
    """A sentence and the fields whose values it states."""

    text: str
    fields: tuple[str, ...]


def attributes_of(indices: NDArray[np.int8]) -> Attributes:
    """The attributes whose value indices a cache row holds, int8 [F]."""
    return Attributes(**{name: FIELDS[name][int(i)] for name, i in zip(NAMES, indices, strict=True)})


def draw_caption(
    indices: NDArray[np.int8],
    rng: np.random.Generator,
    sizes: Sequence[int],
    kind: Kind = "direct",
    always: str | None = None,
    plain: float = 1.0,
) -> Caption:
    """A caption that speaks of a random choice of the fields that can be seen.

    Args:
        indices: int8 [F], value index per field.
        rng: random numbers.
        sizes: how many fields to speak of, one is drawn evenly; 0 gives "a person".
        kind: "direct", "indirect" or "subjective".
        always: a field that must be among them, if it can be seen.
        plain: weight, against 1 for the others, of fields that hold their plain value ("no hat").
    """
    attributes = attributes_of(indices)
    seen = visible_fields(attributes)
    names = [name for name in NAMES if name in seen]
    weights = np.array([plain if getattr(attributes, n) == FIELDS[n][0] else 1.0 for n in names])
    size = min(int(rng.choice(sizes)), len(names))
    chosen = list(rng.choice(names, size, replace=False, p=weights / weights.sum())) if size else []
    if always in seen and always not in chosen and chosen:
        chosen[0] = always
    text = caption(attributes, rng, kind, [str(name) for name in chosen])
    return Caption(text, tuple(dict.fromkeys([*(str(name) for name in chosen), *_said_of_the_person(text)])))


def _said_of_the_person(text: str) -> list[str]:
    """ "A young woman" states age and gender, whatever fields were asked for."""
    match = PERSON.search(text)
    if match is None:
        return []
    age, noun = match.groups()
    return ["age"] * (age is not None) + ["gender"] * (noun != "person")


def required(captions: Sequence[Caption], indices: NDArray[np.int8]) -> NDArray[np.int8]:
    """What each caption demands of a picture: int8 [B, F], the value index of its own row, or -1 = anything."""
    stated = np.array([[name in c.fields for name in NAMES] for c in captions])
    return np.where(stated, indices, np.int8(-1))


def compatible(required: NDArray[np.int8], indices: NDArray[np.int8], visible: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which captions are true of which pictures.

    Args:
        required: int8 [A, F] from `required`.
        indices: int8 [B, F] value indices of the pictures.
        visible: bool [B, F], what can be seen in them.

    Returns:
        bool [A, B].
    """
    wanted = required[:, None]
    return np.asarray(((wanted < 0) | ((wanted == indices) & visible)).all(-1))
