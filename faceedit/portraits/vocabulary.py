"""Every attribute of a drawn portrait, where it lies on the face, and the words for it (pure Python)."""

from __future__ import annotations

from faceedit.portraits.attribute_value import AttributeValue
from faceedit.portraits.words_face import FACE_WORDS
from faceedit.portraits.words_hair import HAIR_WORDS
from faceedit.portraits.words_makeup import MAKEUP_WORDS
from faceedit.portraits.words_worn import WORN_WORDS

ATTRIBUTES: tuple[AttributeValue, ...] = (*FACE_WORDS, *HAIR_WORDS, *MAKEUP_WORDS, *WORN_WORDS)


def _fields() -> dict[str, tuple[str, ...]]:
    fields: dict[str, tuple[str, ...]] = {}
    for item in ATTRIBUTES:
        fields[item.field] = (*fields.get(item.field, ()), item.value)
    return fields


FIELDS: dict[str, tuple[str, ...]] = _fields()
_BY_KEY = {item.key: item for item in ATTRIBUTES}


def attribute_value(field: str, value: str) -> AttributeValue:
    """The entry of one value of one field.

    Raises:
        KeyError: there is no such field or value.
    """
    return _BY_KEY[f"{field}={value}"]


def is_plain(field: str, value: str) -> bool:
    """Whether `value` is the plain or absent one of a field that has such a value."""
    return field not in NEVER_PLAIN and FIELDS[field][0] == value


NEVER_PLAIN = frozenset({"age", "gender", "skin_tone", "hair_style", "hair_color", "eye_color", "face_shape"})
