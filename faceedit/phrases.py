"""From a prompt as typed to clauses: one attribute each, instructions turned into phrases, removals recognised."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace

from faceedit import grammar as gr
from faceedit.instructions import Clause, Words, drop_determiners, is_bare_part, leading_removal, understand
from faceedit.lexicon import find_terms

_TOKEN = re.compile(r"[,;.!?:=&+/\n]|[^\s,;.!?:=&+/\-\"“”„«»()\[\]{}<>*_#…|\\~^`‐‑‒–—―]+")
# One word that is often written as two ("eye shadow" is no shadow under an eye).
_SPLIT_WORDS = re.compile(r"\b(?:(eye)[- ](shadow|brow|lid|lash|liner)|(sun)[- ](glass))")
_SEPARATORS = frozenset(",;.!?:=&+/\n") | gr.JOINTS


def tokenize(text: str) -> list[str]:
    """Lower-case words and separators of a text: NFC, control characters and quotes dropped, hyphens split."""
    text = "".join(_readable(char) for char in unicodedata.normalize("NFC", text))
    text = unicodedata.normalize("NFC", text.lower()).replace("’", "'")
    text = re.sub(r"\bw/o\b", "without", re.sub(r"\bmake[- ]up\b", "makeup", text))
    text = _SPLIT_WORDS.sub(r"\1\2\3\4", text)
    text = re.sub(r"\b(he|she|it|who|that|there)'s\b", r"\1 is", text)
    text = re.sub(r"\b(i|you|we|they|he|she)'(d|ve|ll|re|m)\b", lambda found: f"{found[1]} would", text)
    text = re.sub(r"\bfree (of|from)\b", "without", text)
    text = re.sub(r"\b(do|does|is|are|has|have|should|must|can)( not|n't)\b|\bcannot\b", "not", text)
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
    for before, words in _merge(pieces):
        clause = understand(words)
        if not clause.words or (clause.words[0] in gr.KEEPERS and not clause.remove):
            continue
        if found and found[-1].remove and not clause.remove and _carries(before, words, found[-1]):
            clause = replace(clause, remove=True, remover=found[-1].remover)
        found.append(replace(clause, subject=clause.subject or subject))
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
        new_part = new_part and (token == "wearing" or (first and _is_subject(said)) or not is_bare_part(said))
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
            if loose and before in (":", "=") and is_bare_part(last):
                merged[-1] = (last_before, (*words, *drop_determiners(last)))
                continue
            after = pieces[i + 1] if i + 1 < len(pieces) else None
            backward = loose and (
                before == "with"
                or after is None
                or (before == "and" and after[0] != "and" and words[0] not in ("a", "an"))
            )
            detail = before == "with" and not leading_removal(words) and _details(last, words)
            shared = is_bare_part(last) and last[0] in gr.CHANGERS and words[0] not in ("a", "an")
            listed = (
                is_bare_part(words)
                and words[0] not in ("a", "an")
                and not leading_removal(last)
                and bool(find_terms(last))
            )
            if loose_before or backward or detail or shared or listed:
                joint = before if before.isalpha() else "and"
                merged[-1] = (last_before, (*last, joint, *words))
                continue
        merged.append((before, words))
    return merged


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
    if drop_determiners(words) == ("face",):
        return True
    return bool(words) and words[-1] in gr.PEOPLE and words[0] in gr.DETERMINERS | gr.PEOPLE


def _names_state(words: Words) -> bool:
    return any(word in gr.VERB_STATES or word in gr.SUFFIX_NOUNS for word in words)


def _asks_to_keep(words: Words) -> bool:
    return words[0] in gr.KEEPERS or (words[0] == "not" and len(words) > 1 and words[1] in gr.TOUCHES)


def _carries(before: str, words: Words, last: Clause) -> bool:
    """Whether a removal goes on to the next member of a list."""
    if (
        words[0]
        in gr.ADDERS | gr.CHANGERS | gr.VERB_STATES.keys() | gr.VERB_ADJECTIVES.keys() | gr.AUXILIARIES | gr.REPLACERS
    ):
        return False
    if before in ("or", "nor"):
        return True
    return last.remover in gr.VERBAL_REMOVERS and before in ("and", ",", "&", "+", "/")
