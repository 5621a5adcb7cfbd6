"""From a prompt as typed to clauses: one attribute each, instructions turned into phrases, removals recognised."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace

from faceedit import grammar as gr
from faceedit.lexicon import find_terms

Words = tuple[str, ...]

_TOKEN = re.compile(r"[,;.!?:&+/\n]|[^\s,;.!?:&+/\-\"“”„«»()\[\]{}<>*_#…=|\\~^`‐‑‒–—―]+")
_SEPARATORS = frozenset(",;.!?:&+/\n") | {"and", "plus", "with", "but", "while", "also", "then", "or", "nor"}
_REMOVERS = tuple(sorted((tuple(phrase.split()) for phrase in gr.REMOVERS), key=len, reverse=True))


@dataclass(frozen=True)
class Clause:
    """One wish: `words` without instruction words; `before` is what they replace; `subject` is who it is said of."""

    words: Words
    remove: bool = False
    before: Words = ()
    subject: Words = ()


def tokenize(text: str) -> list[str]:
    """Lower-case words and separators of a text: NFC, control characters and quotes dropped, hyphens split."""
    text = "".join(_readable(char) for char in unicodedata.normalize("NFC", text))
    text = unicodedata.normalize("NFC", text.lower()).replace("’", "'")
    text = re.sub(r"\bw/o\b", "without", re.sub(r"\bmake[- ]up\b", "makeup", text))
    text = re.sub(r"\bfree (of|from)\b", "without", text)
    text = re.sub(r"\b(do|does|is|are|has|have|should)( not|n't)\b", "not", text)
    tokens = (token if token == "\n" else token.strip("'") for token in _TOKEN.findall(text))
    return [token for token in tokens if token]


def _readable(char: str) -> str:
    if char in "\n\t\r":
        return char
    category = unicodedata.category(char)
    if category == "Cf":
        return ""
    return " " if category[0] in "CZ" else char


def clauses(text: str) -> list[Clause]:
    """The wishes of a prompt, in order. Parts that ask to keep something say nothing new and are dropped."""
    pieces = [(before, words) for before, words in _pieces(tokenize(text)) if not _asks_to_keep(words)]
    subject: Words = ()
    if len(pieces) > 1 and _is_subject(pieces[0][1]):
        subject = _without_frame(pieces[0][1])
        pieces = pieces[1:]
    found: list[Clause] = []
    verbal = False
    for before, words in _merge(pieces):
        marked = _removal(words)
        clause = understand(words)
        if marked:
            verbal = " ".join(marked) in gr.VERBAL_REMOVERS
        elif found and found[-1].remove and not clause.remove and _carries(before, words, verbal):
            clause = replace(clause, remove=True)
        else:
            verbal = verbal and clause.remove
        if subject and not clause.subject:
            clause = replace(clause, subject=subject)
        if clause.words:
            found.append(clause)
    return found


def _pieces(tokens: list[str]) -> Iterator[tuple[str, Words]]:
    """(separator before, words) for every stretch between separators."""
    before, first = "", True
    words: list[str] = []
    for i, token in enumerate(tokens):
        pair = tuple(tokens[max(i - 1, 0) : i + 2]) in gr.FIXED_PAIRS
        replacing = token == "with" and any(word in gr.REPLACERS for word in words)
        said = tuple(words)
        new_part = token in ("without", "no", "wearing") and (find_terms(said) or _is_subject(said))
        new_part = new_part and (token == "wearing" or (first and _is_subject(said)) or not _is_bare_body(said))
        if (token in _SEPARATORS and not pair and not replacing) or new_part:
            if words:
                yield before, tuple(words)
                first = False
            before, words = ("and" if new_part else token), ([token] if new_part and token != "wearing" else [])
        else:
            words.append(token)
    if words:
        yield before, tuple(words)


def _merge(pieces: list[tuple[str, Words]]) -> list[tuple[str, Words]]:
    """Joins what says nothing on its own ("long" + "curly hair", "red lips" + "cheeks", "hat" + "a feather")."""
    merged: list[tuple[str, Words]] = []
    for i, (before, words) in enumerate(pieces):
        if merged:
            last_before, last = merged[-1]
            loose_before = not find_terms(last) and not _names_state(last) and words[0] not in ("a", "an")
            loose = not _names_state(words) and not find_terms(words)
            after = pieces[i + 1] if i + 1 < len(pieces) else None
            backward = loose and (
                before == "with"
                or after is None
                or (before == "and" and after[0] != "and" and words[0] not in ("a", "an"))
            )
            detail = before == "with" and not _removal(words) and _details(last, words)
            shared = _is_bare_body(last) and last[0] in gr.CHANGERS and words[0] not in ("a", "an")
            listed = (
                _is_bare_body(words) and words[0] not in ("a", "an") and not _removal(last) and bool(find_terms(last))
            )
            if loose_before or backward or detail or shared or listed:
                joint = before if before.isalpha() else "and"
                merged[-1] = (last_before, (*last, joint, *words))
                continue
        merged.append((before, words))
    return merged


def understand(words: Words) -> Clause:
    """Strips politeness, subjects, auxiliaries and instruction verbs until only the attribute is left."""
    clause = Clause(words)
    for _ in range(2 * len(words) + 4):
        after = _step(clause)
        if after == clause:
            break
        clause = after
    return clause


def _step(clause: Clause) -> Clause:
    words = clause.words
    if len(words) < 2:
        return _single(clause)
    removal = _removal(words)
    if removal and len(removal) < len(words):
        return replace(clause, words=words[len(removal) :], remove=True)
    for k in range(1, len(words) - 1):
        if words[k] in ("without", "no") and _is_bare_body(words[:k]):
            part = _bare(words[:k])
            joint = {"hair": "in", "neck": "around"}.get(part[-1], "on")
            return replace(clause, words=(*words[k + 1 :], joint, "the", *part), remove=True)
    if words[-1] in ("off", "away") and words[0] in ("take", "cut", "wipe", "shave", "pull"):
        return replace(clause, words=words[1:-1], remove=True)
    if words[-1] in ("removed", "gone", "free") and find_terms(words[:-1]):
        return replace(clause, words=words[:-1], remove=True)
    if words[-1] in gr.TRAILERS:
        return replace(clause, words=words[:-1])
    if words[0] in gr.REPLACERS:
        for joint in ("with", "by", "for"):
            if joint in words[2:-1]:
                k = words.index(joint, 2)
                return replace(clause, words=words[k + 1 :], before=_bare(words[1:k]))
    if words[0] in gr.CHANGERS:
        return _change(clause, words[1:])
    if words[0] in gr.ADDERS:
        particle = len(words) > 2 and words[1] in ("on", "in")
        return replace(clause, words=_placed(words[1 + particle :]))
    if words[0] in gr.VERB_ADJECTIVES and any(found.start == 0 for found in find_terms(_bare(words[1:]))):
        adjective = gr.VERB_ADJECTIVES[words[0]]
        rest = _bare(words[1:])
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
        return replace(clause, words=_bare(words[:-1]), subject=clause.subject or words[-1:])
    if words[-1] in gr.SUFFIX_NOUNS:
        return replace(clause, words=(*_bare(words[:-1]), gr.SUFFIX_NOUNS[words[-1]]))
    tail = next((k for k in range(1, len(words)) if words[k] in ("to", "from", "onto", "on", "of")), None)
    if tail is not None and find_terms(words[:tail]):
        rest = _bare(words[tail + 1 :])
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
    while said and said[0] in ("look", "be", "appear", "to", "into", "become"):
        said = said[1:]
    if not said:
        return replace(clause, words=rest)
    own = [term for term in find_terms(noun) if term.term.kind != "state"]
    bare_noun = tuple(word for word in noun[own[0].start :]) if own else _bare(noun)
    adjectives = _bare(noun[: own[0].start]) if own else ()
    replaces = bool(adjectives) or own[0].term.kind == "thing"
    if any(term.term.kind in ("thing", "body") for term in find_terms(said)) and said[0] not in gr.PREPOSITIONS:
        return replace(clause, words=said, before=_bare(noun) if replaces else ())
    k = next((i for i, word in enumerate(said) if word in gr.PREPOSITIONS), len(said))
    words = (*_bare(said[:k]), *bare_noun, *said[k:])
    return replace(clause, words=words, before=(*adjectives, *bare_noun) if adjectives else ())


def _placed(words: Words) -> Words:
    """ "blush to her cheeks" -> "blush on her cheeks"."""
    for k in range(1, len(words) - 1):
        rest = _bare(words[k + 1 :])
        if words[k] in ("to", "onto") and find_terms(rest) and find_terms(words[:k]):
            return (*words[:k], "on", "the", *rest)
    return words


def _bare(words: Words) -> Words:
    while words and (words[0] in gr.DETERMINERS or (words[0].endswith("'s") and words[0][:-2] in gr.PEOPLE)):
        words = words[1:]
    return words


def _without_frame(words: Words) -> Words:
    """ "a photo of a woman" -> "a woman"."""
    if "of" in words and any(word in gr.PICTURES for word in words[: words.index("of")]):
        return words[words.index("of") + 1 :]
    return words


def _details(words: Words, more: Words) -> bool:
    """Whether what follows "with" only describes the thing before it ("earrings with pearls")."""
    thing = [found.term for found in find_terms(words) if found.term.kind == "thing"]
    said = [found.term for found in find_terms(more)]
    return bool(thing and said) and all(term.kind == "mark" or term.regions == thing[-1].regions for term in said)


def _is_subject(words: Words) -> bool:
    words = _without_frame(words)
    if _bare(words) == ("face",):
        return True
    return bool(words) and words[-1] in gr.PEOPLE and words[0] in gr.DETERMINERS | gr.PEOPLE


def _is_bare_body(words: Words) -> bool:
    while words and words[0] in gr.CHANGERS | gr.DETERMINERS:
        words = words[1:]
    found = find_terms(words)
    return (
        len(found) == 1
        and found[0].term.kind in ("body", "whole")
        and (found[0].start, found[0].stop) == (0, len(words))
    )


def _names_state(words: Words) -> bool:
    return any(word in gr.VERB_STATES for word in words)


def _asks_to_keep(words: Words) -> bool:
    return words[0] in gr.KEEPERS or (words[0] == "not" and len(words) > 1 and words[1] in gr.TOUCHES)


def _removal(words: Words) -> Words:
    """The removing words that a stretch starts with, if any."""
    for phrase in _REMOVERS:
        if words[: len(phrase)] == phrase:
            return phrase
    return ()


def _carries(before: str, words: Words, verbal: bool) -> bool:
    """Whether a removal goes on to the next member of a list."""
    if (
        words[0]
        in gr.ADDERS | gr.CHANGERS | gr.VERB_STATES.keys() | gr.VERB_ADJECTIVES.keys() | gr.AUXILIARIES | gr.REPLACERS
    ):
        return False
    if before in ("or", "nor"):
        return True
    return verbal and before in ("and", ",", "&", "+", "/")
