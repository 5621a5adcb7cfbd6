"""From clauses to attribute phrases with their regions, and from those to source and target sentences."""

from __future__ import annotations

import re

from faceedit import grammar as gr
from faceedit import lexicon as lx
from faceedit.instructions import Clause, Words
from faceedit.lexicon import find_terms
from faceedit.request import AttributePhrase, EditText

DEFAULT_SUBJECT = "a person"

_FUNCTION_WORDS = gr.DETERMINERS | gr.PREPOSITIONS | {"and", "or", "nor", "but", "while", "then", "plus", "also"}


def phrase_of(wish: Clause) -> AttributePhrase:
    """The attribute phrase of one clause, with its regions and new words."""
    words, remove = wish.words, wish.remove
    key = " ".join(bare(words))
    if gone_key(key):
        if remove:
            return phrase_of(Clause(tuple(lx.GONE[gone_key(key)].split())))
        text = with_article(words)
        return AttributePhrase(text, regions_of(words), True, content_words(text))
    if key in lx.STATE_REWRITES:
        words = tuple(lx.STATE_REWRITES[key].split())
    if remove and key in lx.STATE_NOUNS:
        words = tuple(lx.STATE_NOUNS[key].split())
    text = " ".join(bare(words)) if is_state(words) else with_article(words)
    content = content_words(text)
    return AttributePhrase(text, regions_of(words), remove, ("without", *content) if remove else content)


def gone_key(text: str) -> str:
    """The entry of `GONE` that a phrase is ("a bare head" -> "bare head"), or "" when it is none."""
    key = " ".join(word for word in text.split() if word not in gr.DETERMINERS)
    return key if key in lx.GONE else ""


def content_words(text: str) -> tuple[str, ...]:
    """The words of a phrase that carry meaning, all of them where none does."""
    words = tuple(text.split())
    return tuple(word for word in words if word not in _FUNCTION_WORDS) or words


def regions_of(words: Words) -> tuple[str, ...]:
    """Regions that a phrase names: its thing, else its mark at the place said, else a part, else a state."""
    words = bare(words)
    found = find_terms(words)
    edge = next((i for i, word in enumerate(words) if i and word in gr.PREPOSITIONS), len(words))
    head = [item for item in found if item.start < edge]
    tail = [item for item in found if item.start >= edge]
    kinds = ("thing", "mark", "body", "whole", "state")
    by_kind = {kind: [item.term for item in head if item.term.kind == kind] for kind in kinds}
    places = [item.term for item in tail if item.term.kind == "body"]
    if by_kind["thing"]:
        chosen = by_kind["thing"][-1:] if "and" not in words else by_kind["thing"]
    elif by_kind["mark"]:
        chosen = by_kind["body"] or places or by_kind["mark"][-1:]
    elif by_kind["body"]:
        chosen = by_kind["body"] if "and" in words else by_kind["body"][-1:]
        if chosen[-1].regions == ("hair",):
            chosen = [*chosen, *places]
    else:
        chosen = places or by_kind["state"] or by_kind["whole"] or [item.term for item in tail]
    return tuple(dict.fromkeys(region for term in chosen for region in term.regions))


def is_state(words: Words) -> bool:
    """Whether a phrase is said of the person ("smiling", "very angry") and not had by the person ("a smile")."""
    found = find_terms(words)
    return bool(found) and all(item.term.kind == "state" for item in found)


def canonical(phrase: AttributePhrase) -> str:
    """A prompt that parses to this phrase again: "no glasses" for glasses to be removed."""
    if phrase.remove and not gone_key(phrase.text):
        return f"no {drop_article(phrase.text)}"
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
    gone = tuple(lx.GONE.get(gone_key(phrase.text), phrase.text) for phrase in phrases if phrase.remove)
    if source_prompt is not None and source_prompt.strip():
        source = source_prompt.strip()
        base = _without(source.rstrip(" ."), (*gone, *before))
    else:
        base = subject
        source = _had(subject, (*before, *gone))
    said = [phrase.text for phrase in phrases if not phrase.remove or gone_key(phrase.text)]
    states = [text for text in said if is_state(tuple(text.split()))]
    had = [text for text in said if text not in states]
    lost = [phrase.text for phrase in phrases if phrase.remove and not gone_key(phrase.text)]
    target = _had(_described(base, states), tuple(had))
    if lost:
        target += (", without " if had else " without ") + _listed(lost, "or")
    negative = _had(subject, gone) if gone else ""
    return EditText(phrases, source, target, negative)


def _described(base: str, states: list[str]) -> str:
    """Adjectives go before the noun of a plain subject, and behind where the sentence or the phrase is longer."""
    for state in states:
        words = base.split(" ")
        if (
            words[0].lower() in gr.DETERMINERS
            and len(words) <= 4
            and "with" not in words
            and not set(state.split()) & gr.PREPOSITIONS
        ):
            base = fix_article(" ".join((words[0], state, *words[1:])))
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
        plain = rf"(?:(?:an?|the|her|his|their) )?{re.escape(drop_article(thing))}(?!\w)"
        for pattern, left in (
            (rf" with {plain}(?:,| and) ", " with "),
            (rf"(?:,| and) {plain}", ""),
            (rf" with {plain}", ""),
        ):
            shorter = re.sub(pattern, left, sentence, count=1, flags=re.IGNORECASE)
            if shorter != sentence:
                sentence = shorter
                break
    return sentence


def _listed(items: list[str], joint: str) -> str:
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} {joint} {items[-1]}"


def with_article(words: Words) -> str:
    """The phrase with "a" or "an" where a single thing wants one ("full beard" -> "a full beard"), else bare."""
    plain = bare(words)
    edge = next((i for i, word in enumerate(plain) if i and word in gr.PREPOSITIONS), len(plain))
    said = bool(words) and words[0] in ("a", "an")
    numbered = bool(plain) and (
        plain[0] in ("more", "less", "fewer", "no", "one", "two", "many", "several", "few") or plain[0].isdigit()
    )
    if said or (plain and plain[edge - 1] in gr.COUNT_NOUNS and not numbered):
        return fix_article(" ".join(("a", *plain)))
    return " ".join(plain)


def bare(words: Words) -> Words:
    """The words without leading articles and possessives; at least one is left."""
    start = 0
    while start < len(words) - 1 and words[start] in gr.DETERMINERS:
        start += 1
    return words[start:]


def drop_article(text: str) -> str:
    """The text without a leading "a" or "an"."""
    return re.sub(r"^an? ", "", text)


def fix_article(text: str) -> str:
    """The text with the "a" or "an" that its first word wants, where it has one."""
    first, _, rest = text.partition(" ")
    if first.lower() not in ("a", "an") or not rest:
        return text
    vowel = rest[0].lower() in "aeiou" and not re.match(r"(uni|use|eu|one\b)", rest.lower())
    article = "an" if vowel else "a"
    return f"{article.capitalize() if first[0].isupper() else article} {rest}"
