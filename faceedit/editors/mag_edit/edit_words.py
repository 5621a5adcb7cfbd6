"""The words of an edit as token columns: which are new, which are lost, which are kept from the source."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from faceedit.attention.align import Alignment, align_sentences, find_words, says
from faceedit.editors.mag_edit.constraints import Word
from faceedit.errors import UsageError
from faceedit.request import AttributePhrase, EditText
from faceedit.sentences import content_words

_REMOVER = "without"


@dataclass(frozen=True)
class EditWords:
    """What the attention maps are read for.

    Attributes:
        alignment: of the target sentence with the source; words of a removal count as new, so that the target's own
            attention replaces the source's.
        new: words of the target that the edit adds.
        negative: sentence that the lost words stand in.
        negative_alignment: of that sentence with the source; the lost words count as new.
        lost: words that the latents are led away from (eq. 7).
    """

    alignment: Alignment
    new: tuple[Word, ...]
    negative: str
    negative_alignment: Alignment
    lost: tuple[Word, ...]


def edit_words(
    tokenizer: Any, edit: EditText, shares: tuple[float, ...], negative: str = "auto", negative_prompt: str = ""
) -> EditWords:
    """Find the words of an edit.

    Args:
        tokenizer: with offsets.
        edit: source, target and phrases.
        shares: λ_i of eq. 9, one per phrase; a phrase's share is divided among its words.
        negative: "auto" (what a removal takes away), "replaced" (all content words of the source that the target
            lost), "none", or words, with commas between.
        negative_prompt: sentence for them; empty: the source, or the edit's negative sentence where a removal's words
            stand in that one only.

    Raises:
        UsageError: a word is not where it should be, a sentence is too long, or nothing is new and nothing is lost.
    """
    alignment = align_sentences(tokenizer, edit.source, edit.target)
    removals = tuple(phrase for phrase in edit.phrases if _removes(phrase))
    for phrase in removals:
        alignment = alignment.releasing(_tokens_said(tokenizer, edit.target, phrase))
    new: list[Word] = []
    for phrase, share in zip(edit.phrases, shares, strict=True):
        if not _removes(phrase):
            found = _new_words(tokenizer, edit.target, phrase, alignment)
            new += [Word(tokens, share / len(found)) for tokens in found]
    sentence, words = _negative(tokenizer, edit, removals, negative, negative_prompt)
    lost = tuple(Word(tokens, 1 / len(words)) for tokens in words)
    if not new and not lost and not removals:
        raise UsageError(
            f"the sentence {edit.target!r} says nothing that {edit.source!r} does not say",
            "describe the picture as it is with --source-prompt",
        )
    beside = align_sentences(tokenizer, edit.source, sentence).releasing([t for word in lost for t in word.tokens])
    return EditWords(alignment, tuple(new), sentence, beside, lost)


def _removes(phrase: AttributePhrase) -> bool:
    """Whether the phrase only takes away; "a bald head" removes hair, but says something itself."""
    return phrase.remove and phrase.tokens[:1] == (_REMOVER,)


def _tokens_said(tokenizer: Any, sentence: str, phrase: AttributePhrase) -> list[int]:
    """Columns of the phrase's words as far as the sentence says them: a target may also just leave them out."""
    return [token for word in phrase.tokens if says(sentence, word) for token in find_words(tokenizer, sentence, word)]


def _new_words(tokenizer: Any, target: str, phrase: AttributePhrase, alignment: Alignment) -> list[tuple[int, ...]]:
    """Columns of the phrase's words that the source does not have, inside the phrase where it stands whole."""
    # The sentence may have taken the phrase apart, as it does with "smiling", which goes before a noun.
    whole = find_words(tokenizer, target, phrase.text) if says(target, phrase.text) else None
    found = (
        alignment.new_among([token for token in find_words(tokenizer, target, word) if whole is None or token in whole])
        for word in phrase.tokens
    )
    return [tokens for tokens in found if tokens]


def _negative(
    tokenizer: Any,
    edit: EditText,
    removals: tuple[AttributePhrase, ...],
    negative: str,
    negative_prompt: str,
) -> tuple[str, list[tuple[int, ...]]]:
    """The negative sentence, and the columns of each lost word in it."""
    sentence = negative_prompt or edit.source
    if negative == "none":
        return sentence, []
    if negative == "auto":
        words = [word for phrase in removals for word in phrase.tokens[1:]]
        if words and not negative_prompt:
            sentence = edit.source if all(says(edit.source, word) for word in words) else edit.negative
        return sentence, [find_words(tokenizer, sentence, word) for word in words]
    if negative == "replaced":
        back = align_sentences(tokenizer, edit.target, sentence)
        columns = (back.new_among(find_words(tokenizer, sentence, word)) for word in content_words(sentence))
        return sentence, [tokens for tokens in columns if tokens]
    return sentence, [find_words(tokenizer, sentence, word) for word in negative.split(",")]
