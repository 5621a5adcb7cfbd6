"""A small T5 tokenizer: a unigram vocabulary (Kudo 2018) whose pieces are the words of captions, and characters."""

from __future__ import annotations

import math
import re
import string
from collections import Counter
from collections.abc import Iterable
from typing import Any

PAD, END, UNKNOWN = "<pad>", "</s>", "<unk>"
SPACE = "▁"
_WORD = re.compile(r"[a-z]+", re.IGNORECASE)


def t5_tokenizer_of(sentences: Iterable[str], words: int) -> Any:
    """A `T5Tokenizer` that knows the `words` most frequent words of the sentences as one piece each.

    Every printable ASCII character is a piece too, so that only other scripts become `<unk>`, as in the published
    tokenizer. The numbers of the special tokens are T5's: pad 0, end 1, unknown 2.
    """
    from transformers import T5Tokenizer

    counts = Counter(word for sentence in sentences for word in _WORD.findall(sentence))
    total = counts.total()
    # Pieces of a unigram model are scored by their log probability; ties are broken by the word.
    common = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:words]
    pieces = [(PAD, 0.0), (END, 0.0), (UNKNOWN, 0.0)]
    pieces += [(SPACE + word, math.log(count / total)) for word, count in common]
    # A character costs more than any word, so that a known word is never spelt.
    rare = -math.log(total) - 1.0
    known = {piece for piece, _ in pieces}
    characters = [SPACE, *(c for c in string.printable if not c.isspace())]
    pieces += [(piece, rare) for piece in characters if piece not in known]
    return T5Tokenizer(vocab=pieces, extra_ids=0)
