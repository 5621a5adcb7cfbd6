"""Captions of drawn portraits: short and long, direct, indirect and subjective, for a region or the whole."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from numpy.random import Generator

from faceedit.portraits.attribute_value import AttributeValue
from faceedit.portraits.attributes import Attributes, visible_values
from faceedit.portraits.vocabulary import is_plain

Kind = Literal["direct", "indirect", "subjective"]
KINDS: tuple[Kind, ...] = ("direct", "indirect", "subjective")

_NOUNS = {"feminine": ("woman", "lady"), "masculine": ("man", "gentleman"), "androgynous": ("person",)}
_AGES = {"young": ("young",), "middle-aged": ("middle-aged",), "old": ("old", "elderly")}
_FORMS = (
    "{who} with {what}", "a portrait of {who} with {what}", "a photo of {who} with {what}",
    "the face of {who} with {what}", "{who} who has {what}", "a picture of {who} with {what}",
)  # fmt: skip
_BARE_FORMS = ("{what}", "the face has {what}", "a face with {what}", "there is {what}", "one sees {what}")
# These are said by "a young woman" at the head of a sentence.
_LEAD_FIELDS = ("age", "gender")
_PLAIN_CHANCE = 0.18


def wordings(item: AttributeValue, kind: Kind = "direct", held_out: bool = False) -> tuple[str, ...]:
    """The wordings of one value: of the kind asked for, or the held-out direct ones."""
    if held_out and kind == "direct":
        return item.held_out
    return {"direct": item.phrases, "indirect": item.indirect, "subjective": item.subjective}[kind]


def _pick(rng: Generator, choices: Sequence[str]) -> str:
    return choices[int(rng.integers(len(choices)))]


def phrase(item: AttributeValue, rng: Generator, kind: Kind = "direct", held_out: bool = False) -> str:
    """One wording of a value; the canonical one in two fifths of the direct cases."""
    choices = wordings(item, kind, held_out)
    if kind == "direct" and not held_out and rng.random() < 0.4:
        return choices[0]
    return _pick(rng, choices)


def _join(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def _who(attributes: Attributes, rng: Generator, held_out: bool) -> str:
    if held_out or rng.random() < 0.6:
        return "a person"
    noun = _pick(rng, _NOUNS[attributes.gender]) if rng.random() < 0.8 else "person"
    age = f"{_pick(rng, _AGES[attributes.age])} " if rng.random() < 0.6 else ""
    return f"{'an' if age.startswith(('o', 'e')) else 'a'} {age}{noun}"


def _candidates(attributes: Attributes, fields: Sequence[str] | None, rng: Generator) -> list[AttributeValue]:
    shown = [item for item in visible_values(attributes) if fields is None or item.field in fields]
    if fields is not None:
        return shown
    shown = [item for item in shown if item.field not in _LEAD_FIELDS]
    return [item for item in shown if not is_plain(item.field, item.value) or rng.random() < _PLAIN_CHANCE]


def _sentence(who: str, parts: list[str], rng: Generator, plain_form: bool) -> str:
    absent = [part for part in parts if part.startswith("no ")]
    if len(parts) == 1 and absent and rng.random() < 0.6:
        return f"{who} without {parts[0].removeprefix('no ')}"
    if len(absent) == 1 and len(parts) > 1 and rng.random() < 0.5:
        rest = [part for part in parts if part not in absent]
        return f"{who} with {_join(rest)}, without {absent[0].removeprefix('no ')}"
    form = _FORMS[0] if plain_form else _pick(rng, _FORMS)
    return form.format(who=who, what=_join(parts))


def caption(
    attributes: Attributes,
    rng: Generator,
    kind: Kind = "direct",
    fields: Sequence[str] | None = None,
    held_out: bool = False,
) -> str:
    """One lower-case caption that is true of the portrait.

    Args:
        attributes: what the portrait shows; only what can be seen is said.
        rng: chooses the sentence form, the fields and the wordings.
        kind: "direct" ("red lips"), "indirect" ("lips like cherries") or "subjective" ("seductive lips").
        fields: attribute fields to tell, all of them in random order; `None` lets `rng` choose one to six.
        held_out: use the wordings kept out of training.

    Returns:
        The caption, such as "a person with rosy cheeks" or "a young woman with blue eyes, bangs and no hat".
    """
    candidates = _candidates(attributes, fields, rng)
    if not candidates or (fields is None and rng.random() < 0.04):
        return "a person" if held_out or rng.random() < 0.5 else _who(attributes, rng, held_out)
    order = [candidates[int(i)] for i in rng.permutation(len(candidates))]
    if fields is None:
        short = rng.random() < 0.4
        order = order[: 1 if short else int(rng.integers(2, 7))]
    parts = [phrase(item, rng, kind, held_out) for item in order]
    if fields is not None and len(parts) == 1 and rng.random() < 0.25:
        return _pick(rng, _BARE_FORMS).format(what=parts[0])
    plain_form = rng.random() < 0.6
    who = "a person" if plain_form and len(parts) <= 2 and rng.random() < 0.7 else _who(attributes, rng, held_out)
    return _sentence(who, parts, rng, plain_form)


def region_caption(
    attributes: Attributes, region: str, rng: Generator, kind: Kind = "direct", held_out: bool = False
) -> str | None:
    """A caption about one region, or `None` where nothing can be said about it."""
    fields = [item.field for item in visible_values(attributes) if item.regions[0] == region]
    return caption(attributes, rng, kind, fields, held_out) if fields else None
