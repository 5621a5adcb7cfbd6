"""Which token of one sentence stands for which of another, and where in a sentence a word stands."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from faceedit.errors import UsageError

NEW = -1
_GAP, _MATCH, _MISMATCH = 0, 1, -1
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")
_NUMBERED = re.compile(r"(.+)#(\d+)", re.DOTALL)


@dataclass(frozen=True)
class Alignment:
    """How the columns of a target sentence's attention maps follow from those of a source sentence.

    Attributes:
        source_of: int64 [N], the source's column for each of the target's; 0 where there is none.
        common: bool [N], True where the target's token stands in the source as well (padding included).
    """

    source_of: Tensor
    common: Tensor

    def releasing(self, tokens: Collection[int]) -> Alignment:
        """The same with these target tokens treated as new, so that their columns are the target's own."""
        common = self.common.clone()
        common[list(tokens)] = False
        return replace(self, common=common)

    def new_among(self, tokens: Sequence[int]) -> tuple[int, ...]:
        """Those of the target's tokens that the source does not have."""
        return tuple(token for token in tokens if not self.common[token])


def align_tokens(source: Sequence[int], target: Sequence[int]) -> tuple[int, ...]:
    """Needleman-Wunsch over token ids as in Prompt-to-Prompt: gap 0, match 1, mismatch -1.

    Where several alignments score alike, one that skips in the target is preferred to one that skips in the source,
    and that to a pair.

    Returns:
        For every target token the position of its partner in the source, or `NEW`.
    """
    rows, columns = len(source), len(target)
    score = [[0] * (columns + 1) for _ in range(rows + 1)]
    steps = [["left"] * (columns + 1), *(["up", *[""] * columns] for _ in range(rows))]
    for i in range(1, rows + 1):
        for j in range(1, columns + 1):
            pair = _MATCH if source[i - 1] == target[j - 1] else _MISMATCH
            left, up, diagonal = score[i][j - 1] + _GAP, score[i - 1][j] + _GAP, score[i - 1][j - 1] + pair
            score[i][j] = max(left, up, diagonal)
            steps[i][j] = "left" if score[i][j] == left else "up" if score[i][j] == up else "pair"
    partners = [NEW] * columns
    i, j = rows, columns
    while i > 0 and j > 0:
        if steps[i][j] == "pair":
            i, j = i - 1, j - 1
            partners[j] = i
        elif steps[i][j] == "left":
            j -= 1
        else:
            i -= 1
    return tuple(partners)


def align_sentences(tokenizer: Any, source: str, target: str) -> Alignment:
    """Align two sentences over all columns that the text encoder reads.

    Padding follows padding: the target's padding takes the source's padding of the same column, or its first where
    the source is longer.

    Raises:
        UsageError: a sentence has more tokens than the encoder reads.
    """
    limit = tokenizer.model_max_length
    before, after = token_ids(tokenizer, source), token_ids(tokenizer, target)
    partners = list(align_tokens(before, after))
    partners += [max(column, len(before)) if len(before) < limit else NEW for column in range(len(after), limit)]
    found = torch.tensor(partners)
    return Alignment(found.clamp(min=0), found != NEW)


def token_ids(tokenizer: Any, sentence: str) -> list[int]:
    """The tokens of a sentence with its start and end.

    Raises:
        UsageError: there are more than the encoder reads.
    """
    ids: list[int] = tokenizer(sentence)["input_ids"]
    if len(ids) > tokenizer.model_max_length:
        raise UsageError(
            f"the text encoder reads {tokenizer.model_max_length} tokens and {sentence[:60]!r}… has {len(ids)}",
            "shorten it",
        )
    return ids


def find_words(tokenizer: Any, sentence: str, wanted: str) -> tuple[int, ...]:
    """Positions of the tokens of a word or phrase in a sentence.

    Case, punctuation and spacing do not matter, pieces of a word all count, a part of a word is no word. A word that
    occurs more than once means all of its places; "red#2" means the second one.

    Raises:
        UsageError: the word is not there, or not so often; the hint lists the sentence's tokens.
    """
    numbered = _NUMBERED.fullmatch(wanted.strip())
    phrase, number = (numbered[1], int(numbered[2])) if numbered else (wanted, 0)
    spans = _spans(sentence, phrase)
    if not spans:
        raise UsageError(f"{phrase!r} is not in the sentence {sentence!r}", _listed(tokenizer, sentence))
    if number > len(spans) or (numbered and number < 1):
        raise UsageError(
            f"{wanted!r}: the sentence {sentence!r} has {phrase!r} {len(spans)} times", _listed(tokenizer, sentence)
        )
    chosen = spans[number - 1 : number] if numbered else spans
    offsets = tokenizer(sentence, return_offsets_mapping=True)["offset_mapping"]
    return tuple(
        position
        for position, (start, stop) in enumerate(offsets)
        if any(start < span_stop and stop > span_start for span_start, span_stop in chosen)
    )


def says(sentence: str, phrase: str) -> bool:
    """Whether the words of a phrase follow each other in a sentence."""
    return bool(_spans(sentence, phrase))


def _spans(sentence: str, phrase: str) -> list[tuple[int, int]]:
    """Where the words of a phrase follow each other in a sentence, as spans of characters."""
    said = [(match.span(), _plain(match[0])) for match in _WORD.finditer(sentence)]
    words = [_plain(word) for word in _WORD.findall(phrase)]
    n = len(words)
    starts = range(len(said) - n + 1) if n else range(0)
    return [(said[i][0][0], said[i + n - 1][0][1]) for i in starts if [word for _, word in said[i : i + n]] == words]


def _plain(word: str) -> str:
    return word.casefold().replace("’", "'")


def _listed(tokenizer: Any, sentence: str) -> str:
    ids = tokenizer(sentence, add_special_tokens=False)["input_ids"]
    pieces = (piece.removesuffix("</w>") for piece in tokenizer.convert_ids_to_tokens(ids))
    return f"its tokens are: {', '.join(pieces)}"
