"""The closed vocabulary of the mini models: which attribute value a phrase means, and the wording they know."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, replace
from functools import lru_cache

from faceedit import grammar as gr
from faceedit import lexicon as lx
from faceedit.errors import UsageError
from faceedit.phrases import tokenize
from faceedit.portraits.attribute_value import AttributeValue
from faceedit.portraits.vocabulary import ATTRIBUTES, FIELDS, attribute_value, is_plain
from faceedit.request import AttributePhrase, EditText
from faceedit.sentences import DEFAULT_SUBJECT, canonical, content_words, drop_article, gone_key, sentences

# Words that say the same thing; applied after `singular`.
_SAME = {
    "without": "no",
    "moustache": "mustache",
    "grey": "gray",
    "blonde": "blond",
    "colour": "color",
    "colored": "color",
    "coloured": "color",
    "brow": "eyebrow",
    "spectacle": "glass",
    "eyeglass": "glass",
    "spec": "glass",
    "fringe": "bang",
    "rouge": "blush",
    "blusher": "blush",
    "grin": "smile",
    "scowl": "frown",
    "beret": "hat",
    "bonnet": "hat",
    "thicker": "thick",
    "thinner": "thin",
    "fuller": "full",
    "bigger": "big",
    "larger": "big",
    "smaller": "small",
    "redder": "red",
    "rosier": "rosy",
    "bushier": "bushy",
    "shorter": "short",
    "pinker": "pink",
    "eyelid": "lid",
    "shut": "closed",
    "whisker": "beard",
    "haircut": "hair",
    "hairstyle": "hair",
}
# States without a wording of their own in the vocabulary.
_STATES = {
    "happy": "a smile",
    "cheerful": "a smile",
    "joyful": "a smile",
    "sad": "a frown",
    "angry": "a frown",
    "grumpy": "a frown",
    "unhappy": "a frown",
    "serious": "a neutral expression",
    "neutral": "a neutral expression",
    "calm": "a neutral expression",
    "surprise": "a surprised expression",
    "surprised": "a surprised expression",
    "astonished": "a surprised expression",
    "shocked": "a surprised expression",
    "flushed": "rosy cheeks",
    "blushing": "rosy cheeks",
    "balding": "a receding hairline",
    "unshaven": "stubble",
    "stubbly": "stubble",
}
_HARMLESS = frozenset(
    ("very", "slightly", "slight", "subtle", "really", "quite", "bit", "soft", "bright", "nice", "beautiful", "pretty")
) | {"some", "pair", "more", "of", "color", "head", "face"}
# What only carries a state: "a very sad face" is "sad".
_CARRIERS = _HARMLESS | {"expression", "look", "mood"}

# Fields whose change moves what lies next to them, so that the places the vocabulary names are edited as well.
_SHAPES = ("face_shape", "chin", "ears")
_UNHEARD = gr.DETERMINERS | {"on", "of", "in", "and", "with", "around"}


@dataclass(frozen=True)
class _Wording:
    """A wording of one value: normalised words, and whether captions of training use it as a direct one."""

    words: tuple[str, ...]
    value: AttributeValue
    direct: bool


def match_attribute(phrase: str) -> AttributeValue | None:
    """The attribute value that a phrase means: by its exact wording, by the same words, or by its content words.

    A negated phrase ("no glasses") means the plain value of what it negates.
    """
    found = _match(phrase)
    return found[0] if found else None


def known_to_mini(edit: EditText) -> tuple[AttributeValue | None, ...]:
    """For every phrase of the edit the value of the mini vocabulary that it asks for, or `None`."""
    return tuple(_target(phrase) for phrase in edit.phrases)


def for_vocabulary(edit: EditText, source_prompt: str | None = None) -> EditText:
    """The edit in words that the mini models were trained on. Places stay as parsed, except that a new
    shape of face, chin or ears takes along what it moves.

    Direct wordings become the canonical one. A wording that the vocabulary keeps out of training stays as it was
    typed, so that understanding it is left to the model.

    Args:
        edit: what `parse` read.
        source_prompt: the user's own source sentence, if there was one; it is kept as it is.

    Raises:
        UsageError: a phrase lies outside the vocabulary; the hint lists what is known.
    """
    subject = re.split(r",| with(?:out)? ", edit.source, maxsplit=1)[0] or DEFAULT_SUBJECT
    phrases: list[AttributePhrase] = []
    removing = any(phrase.remove for phrase in edit.phrases)
    replaced: list[str] = [] if removing or source_prompt else edit.source.split(" with ", 1)[1:]
    for phrase in edit.phrases:
        value = _target(phrase)
        if value is None or not value.editable:
            raise UsageError(f"the mini models do not know {canonical(phrase)!r}", _known_hint(phrase.text))
        thing = _thing(phrase)
        regions = phrase.regions
        if not regions or value.field in _SHAPES:
            regions = tuple(dict.fromkeys((*regions, *value.regions)))
        if not phrase.remove:
            text = _kept_wording(phrase.text, value)
            phrases.append(AttributePhrase(text, regions, False, content_words(text)))
        elif value.phrases[0].startswith("no ") and thing is not None:
            text = _kept_thing(phrase, thing)
            phrases.append(AttributePhrase(text, regions, True, ("without", *content_words(text))))
        else:
            text = value.phrases[0]
            phrases.append(AttributePhrase(text, regions, bool(gone_key(text)), content_words(text)))
            if thing is not None:
                replaced.append(_kept_thing(phrase, thing))
    built = sentences(tuple(phrases), subject, source_prompt, tuple(replaced))
    if removing and replaced:
        lost = [phrase.text for phrase in phrases if phrase.remove and not gone_key(phrase.text)]
        built = replace(built, negative=sentences((), subject, None, (*lost, *replaced)).source)
    return built


def _target(phrase: AttributePhrase) -> AttributeValue | None:
    if not phrase.remove or gone_key(phrase.text):
        found = _match(phrase.text)
        if found is None and phrase.remove:
            found = _match(f"no {drop_article(lx.GONE[gone_key(phrase.text)])}")
        return found[0] if found else None
    return match_attribute(canonical(phrase))


def _thing(phrase: AttributePhrase) -> AttributeValue | None:
    """The value that a removal takes away."""
    found = _match(lx.GONE.get(gone_key(phrase.text), phrase.text))
    return found[0] if found and not is_plain(found[0].field, found[0].value) else None


def _kept_wording(text: str, value: AttributeValue) -> str:
    return text if any(_normal(text) == _normal(held) for held in value.held_out) else value.phrases[0]


def _kept_thing(phrase: AttributePhrase, thing: AttributeValue) -> str:
    """What is taken away, as typed where the vocabulary has it so, else canonical."""
    text = lx.GONE.get(gone_key(phrase.text), phrase.text)
    known = {_normal(wording) for wording in (*thing.phrases, *thing.held_out)}
    negated = _index()[0].get(_normal(f"no {text}"))
    named = negated is not None and is_plain(negated.field, negated.value)
    return text if named or _normal(text) in known else thing.phrases[0]


def _match(phrase: str) -> tuple[AttributeValue, int] | None:
    gist = " ".join(word for word in phrase.split() if word not in _CARRIERS | gr.DETERMINERS)
    text = _STATES.get(gist, "") or lx.STATE_NOUNS.get(phrase, phrase)
    words = _normal(text)
    exact, by_bag = _index()
    if words in exact:
        return exact[words], 0
    bag = frozenset(words)
    if bag in by_bag:
        return by_bag[bag], 1
    best = _by_content(bag)
    if best is not None:
        return best, 2
    if words[:1] == ("no",) and len(words) > 1:
        thing = _match(" ".join(words[1:]))
        if thing is not None:
            plain = FIELDS[thing[0].field][0]
            if is_plain(thing[0].field, plain):
                return attribute_value(thing[0].field, plain), 3
    return None


def _by_content(bag: frozenset[str]) -> AttributeValue | None:
    """A value whose wording says all but harmless words of the phrase, or of whose wording the phrase is the gist."""
    direct = [item for item in _wordings() if item.direct]
    spare = _HARMLESS | ({word for word in bag if _is_part(word)} if "no" in bag else set())
    within = [
        item
        for item in direct
        if frozenset(item.words) <= bag
        and all(word in spare or _lies_in(word, item.value) for word in bag - frozenset(item.words))
    ]
    if within:
        return max(within, key=lambda item: len(item.words)).value
    terms = lx.find_terms(tuple(sorted(bag)))
    if not any(found.term.kind in ("thing", "mark", "state") for found in terms):
        return None
    gist = bag - {"head", "face"}
    around = [item for item in direct if gist < frozenset(item.words) and ("no" in bag) == ("no" in item.words)]
    return min(around, key=lambda item: len(item.words)).value if around else None


def _lies_in(word: str, value: AttributeValue) -> bool:
    """Whether a word only names a place of the value ("freckles on the nose")."""
    return _is_part(word) and set(lx.TERMS[(word,)].regions) <= set(value.regions)


def _is_part(word: str) -> bool:
    term = lx.TERMS.get((word,))
    return term is not None and term.kind in ("body", "whole")


def _normal(text: str) -> tuple[str, ...]:
    words = (word for word in tokenize(text) if word[0].isalnum() and word not in _UNHEARD)
    return tuple(_SAME.get(word, word) for word in map(lx.singular, words))


@lru_cache(maxsize=1)
def _wordings() -> tuple[_Wording, ...]:
    listed: list[_Wording] = []
    for value in ATTRIBUTES:
        listed += [_Wording(_normal(text), value, True) for text in value.phrases]
        listed += [
            _Wording(_normal(text), value, False) for text in (*value.held_out, *value.indirect, *value.subjective)
        ]
    return tuple(listed)


@lru_cache(maxsize=1)
def _index() -> tuple[dict[tuple[str, ...], AttributeValue], dict[frozenset[str], AttributeValue]]:
    """Values by the words of their wordings in order, and by the same words in any order; direct wordings win."""
    exact: dict[tuple[str, ...], AttributeValue] = {}
    by_bag: dict[frozenset[str], AttributeValue] = {}
    for wording in sorted(_wordings(), key=lambda item: not item.direct):
        exact.setdefault(wording.words, wording.value)
        by_bag.setdefault(frozenset(wording.words), wording.value)
    return exact, by_bag


def known_wordings() -> tuple[str, ...]:
    """The canonical wording of everything that the mini models can edit."""
    return tuple(value.phrases[0] for value in ATTRIBUTES if value.editable)


def _known_hint(text: str) -> str:
    known = known_wordings()
    near = difflib.get_close_matches(text, known, n=1)
    return f"{f'nearest: {near[0]}; ' if near else ''}known: {', '.join(known)}; the published backbones take any words"
