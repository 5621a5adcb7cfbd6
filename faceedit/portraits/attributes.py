"""The attributes of one portrait and how they are drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.random import Generator

from faceedit.errors import UsageError
from faceedit.portraits.attribute_value import AttributeValue
from faceedit.portraits.vocabulary import ATTRIBUTES, FIELDS, NEVER_PLAIN


@dataclass(frozen=True)
class Attributes:
    """One value for every field of `FIELDS`."""

    age: str
    gender: str
    skin_tone: str
    eyebrows: str
    eye_color: str
    eyes: str
    expression: str
    under_eyes: str
    forehead: str
    nose: str
    face_shape: str
    chin: str
    ears: str
    hair_style: str
    hair_color: str
    bangs: str
    hairline: str
    beard: str
    mustache: str
    lip_color: str
    lips: str
    cheeks: str
    freckles: str
    eyeshadow: str
    glasses: str
    hat: str
    earring: str
    necklace: str

    def as_dict(self) -> dict[str, str]:
        """Field -> value, in the order of `FIELDS`."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    def with_value(self, field: str, value: str) -> Attributes:
        """These attributes with one field changed.

        Raises:
            UsageError: there is no such field, or the field has no such value.
        """
        if field not in FIELDS:
            raise UsageError(f"unknown portrait attribute {field!r}", f"the attributes are: {', '.join(FIELDS)}")
        if value not in FIELDS[field]:
            raise UsageError(f"{field} has no value {value!r}", f"its values are: {', '.join(FIELDS[field])}")
        return replace(self, **{field: value})


# Share of the plain value; the other values of the field divide the rest evenly.
PLAIN_SHARE = {
    "eyebrows": 0.5, "eyes": 0.75, "expression": 0.26, "under_eyes": 0.6, "forehead": 0.6, "nose": 0.45,
    "chin": 0.55, "ears": 0.65, "bangs": 0.6, "hairline": 0.65, "beard": 0.5, "mustache": 0.65, "lip_color": 0.45,
    "lips": 0.45, "cheeks": 0.55, "freckles": 0.65, "eyeshadow": 0.55, "glasses": 0.5, "hat": 0.62, "earring": 0.5,
    "necklace": 0.5,
}  # fmt: skip


def stream(seed: int, component: int) -> Generator:
    """Random numbers of one component of one portrait, independent of every other component's."""
    return np.random.default_rng([seed, component])


def _plain_share(field: str, chosen: dict[str, str]) -> float:
    share = PLAIN_SHARE[field]
    gender, old = chosen["gender"], chosen["age"] == "old"
    if field in ("beard", "mustache"):
        return min(share + {"feminine": 0.22, "masculine": -0.15, "androgynous": 0.0}[gender], 0.9)
    if field in ("lip_color", "eyeshadow"):
        return min(share + {"feminine": -0.15, "masculine": 0.25, "androgynous": 0.0}[gender], 0.9)
    if field == "forehead":
        return share + {"young": 0.15, "middle-aged": 0.0, "old": -0.2}[chosen["age"]]
    return share - 0.1 if old and field == "hairline" else share


def sample_attributes(seed: int) -> Attributes:
    """The attributes of portrait `seed`: nearly independent fields with balanced values.

    Only mild dependences are kept: beards are rarer on feminine faces, lipstick and eyeshadow on masculine ones,
    old faces have more wrinkles and more gray and white hair, bald heads have no bangs.
    """
    rng = stream(seed, 0)
    chosen: dict[str, str] = {}
    for field, values in FIELDS.items():
        luck, pick = rng.random(), rng.random()
        if field in NEVER_PLAIN:
            weights = np.ones(len(values))
            if field == "hair_color" and chosen["age"] == "old":
                weights[-2:] = 1.8
            if field == "hair_style":
                weights[0] = 0.6
            chosen[field] = values[int(np.searchsorted(np.cumsum(weights / weights.sum()), pick))]
        elif luck < _plain_share(field, chosen):
            chosen[field] = values[0]
        else:
            chosen[field] = values[1 + int(pick * (len(values) - 1))]
    if chosen["hair_style"] == "bald":
        chosen |= {"bangs": "no", "hairline": "normal"}
    if chosen["bangs"] == "yes":
        chosen["hairline"] = "normal"
    return Attributes(**chosen)


def visible_fields(attributes: Attributes) -> frozenset[str]:
    """Fields whose value can be seen: no eye colour behind sunglasses, no bangs on a bald head, and the like."""
    a = attributes
    hidden: set[str] = set()
    if a.glasses == "sunglasses":
        hidden |= {"eyes", "eye_color", "eyeshadow", "under_eyes"}
    if a.eyes == "closed":
        hidden |= {"eye_color"}
    if a.hair_style == "bald":
        hidden |= {"hair_color", "bangs", "hairline"}
    if a.hat != "none":
        hidden |= {"hairline", "bangs", "forehead"} | ({"hair_style"} if a.hair_style in ("bald", "short") else set())
    if a.bangs == "yes" and a.hair_style != "bald":
        hidden |= {"hairline", "forehead"}
    if a.bangs == "yes" and a.hair_style != "bald" and a.expression == "surprised":
        hidden |= {"eyebrows"}
    if a.beard == "full":
        hidden |= {"chin", "face_shape"}
    if a.beard == "goatee":
        hidden |= {"chin"}
    return frozenset(FIELDS) - hidden


def visible_values(attributes: Attributes) -> tuple[AttributeValue, ...]:
    """Vocabulary entries of everything that can be seen in the portrait, plain values included."""
    seen = visible_fields(attributes)
    return tuple(i for i in ATTRIBUTES if i.field in seen and getattr(attributes, i.field) == i.value)
