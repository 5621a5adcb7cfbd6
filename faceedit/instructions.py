"""From one wish as typed to the bare attribute: instruction verbs, subjects, politeness and negations taken off."""

from __future__ import annotations

from dataclasses import dataclass, replace

from faceedit import grammar as gr
from faceedit.lexicon import find_terms

Words = tuple[str, ...]

_REMOVERS = tuple(sorted((tuple(phrase.split()) for phrase in gr.REMOVERS), key=len, reverse=True))


@dataclass(frozen=True)
class Clause:
    """One wish.

    Attributes:
        words: the attribute without instruction words.
        remove: it is to be taken away, said by the words `remover` ("get rid of").
        before: what it replaces.
        subject: who it is said of.
    """

    words: Words
    remove: bool = False
    remover: str = ""
    before: Words = ()
    subject: Words = ()


def understand(words: Words) -> Clause:
    """Strips politeness, subjects, auxiliaries and instruction verbs until only the attribute is left."""
    clause = Clause(words)
    for _ in range(2 * len(words) + 4):
        after = _step(replace(clause, words=_trimmed(clause.words)))
        if after == clause:
            break
        clause = after
    return clause


def _trimmed(words: Words) -> Words:
    while words and words[0] in gr.JOINTS:
        words = words[1:]
    while words and words[-1] in gr.JOINTS:
        words = words[:-1]
    return words


def _step(clause: Clause) -> Clause:
    words = clause.words
    if len(words) < 2:
        return _single(clause)
    removal = leading_removal(words)
    if removal and len(removal) < len(words):
        return replace(clause, words=words[len(removal) :], remove=True, remover=" ".join(removal))
    for k in range(1, len(words) - 1):
        if words[k] in ("without", "no") and is_bare_part(words[:k]):
            part = drop_determiners(words[:k])
            joint = {"hair": "in", "neck": "around"}.get(part[-1], "on")
            return replace(clause, words=(*words[k + 1 :], joint, "the", *part), remove=True)
    if words[-1] in ("off", "away") and words[0] in ("take", "cut", "wipe", "shave", "pull"):
        return replace(clause, words=words[1:-1], remove=True, remover="take off")
    if (
        "free" in words[1:-1]
        and find_terms(words[: words.index("free", 1)])
        and is_bare_part(words[words.index("free", 1) + 1 :])
    ):
        k = words.index("free", 1)
        return replace(clause, words=(*words[:k], "on", "the", *words[k + 1 :]), remove=True)
    if words[-1] in ("removed", "gone", "free", "off") and find_terms(words[:-1]):
        return replace(clause, words=words[:-1], remove=True)
    if words[-1] in gr.TRAILERS:
        return replace(clause, words=words[:-1])
    if words[0] in gr.REPLACERS:
        for joint in ("with", "by", "for"):
            if joint in words[2:-1]:
                k = words.index(joint, 2)
                return replace(clause, words=words[k + 1 :], before=drop_determiners(words[1:k]))
    if words[0] in gr.CHANGERS:
        return _change(clause, words[1:])
    if words[0] in gr.ADDERS:
        particle = len(words) > 2 and words[1] in ("on", "in")
        return replace(clause, words=_placed(words[1 + particle :]))
    if words[0] in gr.VERB_ADJECTIVES and any(found.start == 0 for found in find_terms(drop_determiners(words[1:]))):
        adjective = gr.VERB_ADJECTIVES[words[0]]
        rest = drop_determiners(words[1:])
        return clause if (adjective, *rest) == words else replace(clause, words=(adjective, *rest))
    if words[0] in gr.VERB_STATES and words[1] in gr.PREPOSITIONS:
        return replace(clause, words=(*gr.VERB_STATES[words[0]].split(), *words[1:]))
    if words[0] in gr.POLITE or words[0] in gr.AUXILIARIES or words[0] in gr.PRONOUNS or words[0] in ("to", "into"):
        return replace(clause, words=words[1:])
    if words[0] in gr.DETERMINERS - {"a", "an"} or (words[0].endswith("'s") and words[0][:-2] in gr.PEOPLE):
        return replace(clause, words=words[1:])
    return _ends(clause)


def _single(clause: Clause) -> Clause:
    if clause.words and clause.words[0] in gr.VERB_STATES and not clause.remove:
        return replace(clause, words=tuple(gr.VERB_STATES[clause.words[0]].split()))
    return clause


def _ends(clause: Clause) -> Clause:
    """Subjects in front, persons and receivers behind, and adjectives such as "blue eyed"."""
    words = clause.words
    for stop in range(1, min(5, len(words))):
        if words[stop - 1] in gr.PEOPLE | {f"{who}'s" for who in gr.PEOPLE} and words[0] not in gr.PREPOSITIONS:
            who = (*words[: stop - 1], words[stop - 1].removesuffix("'s"))
            if not any(found.term.kind != "state" for found in find_terms(who)):
                return replace(clause, words=words[stop:], subject=clause.subject or who)
    if words[-1] in gr.PEOPLE and find_terms(words[:-1]):
        for k in range(len(words) - 2, max(len(words) - 5, -1), -1):
            if words[k] in ("to", "from", "of", "on", "onto", "for") and k > 0:
                return replace(clause, words=words[:k])
        return replace(clause, words=drop_determiners(words[:-1]), subject=clause.subject or words[-1:])
    if words[-1] in gr.SUFFIX_NOUNS:
        return replace(clause, words=(*drop_determiners(words[:-1]), gr.SUFFIX_NOUNS[words[-1]]))
    tail = next((k for k in range(1, len(words)) if words[k] in ("to", "from", "onto", "on", "of")), None)
    if tail is not None and find_terms(words[:tail]):
        rest = drop_determiners(words[tail + 1 :])
        onto_whole = words[tail] in ("to", "from", "onto", "of") and rest in {
            ("face",),
            ("picture",),
            ("photo",),
            ("image",),
        }
        onto_whom = len(rest) <= 1 and (not rest or rest[0] in gr.PRONOUNS or rest[0] in gr.PEOPLE)
        if onto_whole or onto_whom:
            return replace(clause, words=words[:tail])
    return clause


def _change(clause: Clause, rest: Words) -> Clause:
    """ "make her lips red", "change the hair to blond", "turn brown eyes blue": the complement goes before its noun."""
    for k, word in enumerate(rest[:-1]):
        if k and word in gr.SEEMING and all(who in gr.PEOPLE | gr.PRONOUNS | gr.DETERMINERS for who in rest[:k]):
            return replace(clause, words=rest[k + 1 :])
    found = [term for term in find_terms(rest) if term.term.kind != "state"]
    joint = next((k for k in range(1, len(rest) - 1) if rest[k] in ("to", "into")), None)
    if joint is not None and any(term.stop <= joint for term in found):
        noun, said = rest[:joint], rest[joint + 1 :]
    elif found and found[0].stop < len(rest):
        stop = found[0].stop
        for later in found[1:]:
            if later.start - stop <= 2 and "and" in rest[stop : later.start]:
                stop = later.stop
        noun, said = rest[:stop], rest[stop:]
    else:
        return replace(clause, words=rest)
    if "of" in noun and not find_terms(noun[: noun.index("of")]):
        noun = noun[noun.index("of") + 1 :]
    while said and said[0] in gr.SEEMING | {"to", "into"}:
        said = said[1:]
    if not said:
        return replace(clause, words=rest)
    own = [term for term in find_terms(noun) if term.term.kind != "state"]
    bare_noun = tuple(word for word in noun[own[0].start :]) if own else drop_determiners(noun)
    adjectives = drop_determiners(noun[: own[0].start]) if own else ()
    replaces = bool(adjectives) or own[0].term.kind == "thing"
    if any(term.term.kind in ("thing", "body") for term in find_terms(said)) and said[0] not in gr.PREPOSITIONS:
        return replace(clause, words=said, before=drop_determiners(noun) if replaces else ())
    k = next((i for i, word in enumerate(said) if word in gr.PREPOSITIONS), len(said))
    words = (*drop_determiners(said[:k]), *bare_noun, *said[k:])
    return replace(clause, words=words, before=(*adjectives, *bare_noun) if adjectives else ())


def _placed(words: Words) -> Words:
    """ "blush to her cheeks" -> "blush on her cheeks"."""
    for k in range(1, len(words) - 1):
        rest = drop_determiners(words[k + 1 :])
        if words[k] in ("to", "onto") and find_terms(rest) and find_terms(words[:k]):
            return (*words[:k], "on", "the", *rest)
    return words


def drop_determiners(words: Words) -> Words:
    """The words without leading articles and possessives; possibly none."""
    while words and (words[0] in gr.DETERMINERS or (words[0].endswith("'s") and words[0][:-2] in gr.PEOPLE)):
        words = words[1:]
    return words


def is_bare_part(words: Words) -> bool:
    """Whether the words only name a part of the face ("her cheeks", "make the lips")."""
    while words and words[0] in gr.CHANGERS | gr.DETERMINERS:
        words = words[1:]
    found = find_terms(words)
    return (
        len(found) == 1
        and found[0].term.kind in ("body", "whole")
        and (found[0].start, found[0].stop) == (0, len(words))
    )


def leading_removal(words: Words) -> Words:
    """The removing words that a stretch starts with, if any."""
    for phrase in _REMOVERS:
        if words[: len(phrase)] == phrase:
            return phrase
    return ()
