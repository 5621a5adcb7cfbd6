"""From attribute phrases to full sentences and the places on the face that they mean."""

from __future__ import annotations

import re
from collections.abc import Sequence

from faceedit import lexicon as lx
from faceedit.errors import UsageError
from faceedit.lexicon import find_terms
from faceedit.phrases import Clause, Words, clauses
from faceedit.regions import REGIONS
from faceedit.request import AttributePhrase, EditText

DEFAULT_SOURCE = "a person"

_FUNCTION_WORDS = lx.DETERMINERS | lx.PREPOSITIONS | {"and", "or", "nor", "but", "while", "then", "plus", "also"}


def parse(prompts: Sequence[str], source_prompt: str | None = None, regions_given: bool = False) -> EditText:
    """Reads attribute phrases or simple instructions.

    "rosy cheeks" gives the region "cheeks", the source "a person", the target "a person with rosy cheeks" and the tokens
    ("rosy", "cheeks"). A removal such as "no glasses" goes from "a person with glasses" to "a person without glasses", away from
    the negative "a person with glasses".

    Args:
        prompts: one or more phrases ("rosy cheeks", "no glasses", "make her lips red"); all of them make one edit.
        source_prompt: the source sentence; by default "a person", with what is removed or replaced.
        regions_given: the place is known from elsewhere (a mask, region names), so a phrase may name none.

    Raises:
        UsageError: no words, nothing to change, or a phrase that names no region while `regions_given` is false.
    """
    if not any(prompt.strip() for prompt in prompts):
        raise UsageError("the prompt is empty", 'say what to change, such as "rosy cheeks" or "no glasses"')
    wishes: list[Clause] = []
    for prompt in prompts:
        wishes += clauses(prompt)
    if not wishes:
        raise UsageError(f"the prompt {' '.join(prompts)!r} asks for no change", 'say what to change, such as "rosy cheeks"')
    phrases = tuple(dict.fromkeys(phrase_of(wish) for wish in wishes))
    for phrase in phrases:
        if not phrase.regions and not regions_given:
            raise UsageError(
                f"{phrase.text!r} names no place on the face",
                f"name one of {', '.join(REGIONS)} in the phrase, or give --region NAME or --mask FILE",
            )
    before = tuple(with_article(wish.before) for wish in wishes if wish.before)
    subject = next((" ".join(("a", *_bare(wish.subject))) for wish in wishes if wish.subject), DEFAULT_SOURCE)
    return sentences(phrases, _fix_article(subject), source_prompt, before)


def phrase_of(wish: Clause) -> AttributePhrase:
    """The attribute phrase of one clause, with its regions and new words."""
    words, remove = wish.words, wish.remove
    key = " ".join(_bare(words))
    if key in lx.GONE:
        if remove:
            return phrase_of(Clause(tuple(lx.GONE[key].split())))
        return AttributePhrase(key, regions_of(words), True, tuple(key.split()))
    if key in lx.STATE_REWRITES:
        words = tuple(lx.STATE_REWRITES[key].split())
    if remove and key in lx.STATE_NOUNS:
        words = tuple(lx.STATE_NOUNS[key].split())
    text = " ".join(_bare(words)) if is_state(words) else with_article(words)
    content = tuple(word for word in text.split() if word not in _FUNCTION_WORDS) or tuple(text.split())
    return AttributePhrase(text, regions_of(words), remove, ("without", *content) if remove else content)


def regions_of(words: Words) -> tuple[str, ...]:
    """Regions that a phrase names: its thing, else its mark at the place said, else a part of the face, else a state."""
    found = find_terms(words)
    edge = next((i for i, word in enumerate(words) if i and word in lx.PREPOSITIONS), len(words))
    head = [item for item in found if item.start < edge]
    tail = [item for item in found if item.start >= edge]
    by_kind = {kind: [item.term for item in head if item.term.kind == kind] for kind in ("thing", "mark", "body", "state")}
    places = [item.term for item in tail if item.term.kind == "body"]
    if by_kind["thing"]:
        chosen = by_kind["thing"][-1:] if "and" not in words else by_kind["thing"]
    elif by_kind["mark"]:
        chosen = by_kind["body"] or places or by_kind["mark"][-1:]
    elif by_kind["body"]:
        chosen = by_kind["body"] if "and" in words else by_kind["body"][-1:]
    elif by_kind["state"]:
        chosen = places or by_kind["state"]
    else:
        chosen = places or [item.term for item in tail]
    return tuple(dict.fromkeys(region for term in chosen for region in term.regions))


def is_state(words: Words) -> bool:
    """Whether a phrase is said of the person ("smiling", "very angry") and not had by the person ("a smile")."""
    found = find_terms(words)
    return bool(found) and all(item.term.kind == "state" for item in found)


def canonical(phrase: AttributePhrase) -> str:
    """A prompt that parses to this phrase again: "no glasses" for glasses to be removed."""
    if phrase.remove and phrase.text not in lx.GONE:
        return f"no {_drop_article(phrase.text)}"
    return phrase.text


def sentences(
    phrases: tuple[AttributePhrase, ...], subject: str, source_prompt: str | None = None, before: tuple[str, ...] = ()
) -> EditText:
    """Puts phrases into a source and a target sentence.

    Args:
        phrases: what to add and to remove.
        subject: who it is about ("a person"), for sentences of our own.
        source_prompt: the user's source sentence, kept as it is; the target is built from it.
        before: what is replaced, as it reads in the source ("brown eyes").
    """
    gone = tuple(lx.GONE.get(phrase.text, phrase.text) for phrase in phrases if phrase.remove)
    if source_prompt is not None and source_prompt.strip():
        source = source_prompt.strip()
        base = _without(source.rstrip(" ."), (*gone, *before))
    else:
        base = subject
        source = _had(subject, (*before, *gone))
    states = [phrase.text for phrase in phrases if phrase.text in lx.GONE or (not phrase.remove and is_state(tuple(phrase.text.split())))]
    had = [phrase.text for phrase in phrases if not phrase.remove and phrase.text not in states]
    lost = [phrase.text for phrase in phrases if phrase.remove and phrase.text not in states]
    target = _had(_described(base, states), tuple(had))
    if lost:
        target += (" and without " if had else " without ") + _listed(lost, "or")
    negative = _had(subject, gone) if gone else ""
    return EditText(phrases, source, target, negative)


def _described(base: str, states: list[str]) -> str:
    """Adjectives go before the noun of a plain subject, and behind where the sentence or the phrase is longer."""
    for state in states:
        words = base.split(" ")
        if words[0].lower() in lx.DETERMINERS and len(words) <= 4 and "with" not in words and not set(state.split()) & lx.PREPOSITIONS:
            base = _fix_article(" ".join((words[0], state, *words[1:])))
        else:
            base = f"{base}, {state}"
    return base


def _had(base: str, things: tuple[str, ...]) -> str:
    if not things:
        return base
    return f"{base}{' and ' if re.search(r' with(out)? ', base) else ' with '}{_listed(list(things), 'and')}"


def _without(sentence: str, things: tuple[str, ...]) -> str:
    """Takes "with glasses" out of a sentence that says it."""
    for thing in things:
        plain = rf"(?:(?:an?|the|her|his|their) )?{re.escape(_drop_article(thing))}(?!\w)"
        for pattern, left in ((rf" with {plain}(?:,| and) ", " with "), (rf"(?:,| and) {plain}", ""), (rf" with {plain}", "")):
            shorter = re.sub(pattern, left, sentence, count=1, flags=re.IGNORECASE)
            if shorter != sentence:
                sentence = shorter
                break
    return sentence


def _listed(items: list[str], joint: str) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {joint} {items[-1]}"


def with_article(words: Words) -> str:
    """The phrase with "a" or "an" where a single thing wants one ("full beard" -> "a full beard"); other articles go."""
    plain = _bare(words)
    edge = next((i for i, word in enumerate(plain) if i and word in lx.PREPOSITIONS), len(plain))
    said = bool(words) and words[0] in ("a", "an")
    numbered = bool(plain) and (plain[0] in ("more", "less", "fewer", "no", "one", "two", "many", "several", "few") or plain[0].isdigit())
    if said or (plain and plain[edge - 1] in lx.COUNT_NOUNS and not numbered):
        return _fix_article(" ".join(("a", *plain)))
    return " ".join(plain)


def _bare(words: Words) -> Words:
    start = 0
    while start < len(words) - 1 and words[start] in lx.DETERMINERS:
        start += 1
    return words[start:]


def _drop_article(text: str) -> str:
    return re.sub(r"^an? ", "", text)


def _fix_article(text: str) -> str:
    first, _, rest = text.partition(" ")
    if first.lower() not in ("a", "an") or not rest:
        return text
    vowel = rest[0].lower() in "aeiou" and not re.match(r"(uni|use|eu|one\b)", rest.lower())
    article = "an" if vowel else "a"
    return f"{article.capitalize() if first[0].isupper() else article} {rest}"
