"""The tokenizer: any text comes back, caption words are single tokens."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from faceedit.portraits.vocabulary import ATTRIBUTES
from faceedit.train.tokenizer import END, START, tokenizer_of

PHRASES = [text for item in ATTRIBUTES for text in item.phrases]
TOKENIZER = tokenizer_of(PHRASES, 4000)


def ids(text: str) -> list[int]:
    return list(TOKENIZER(text)["input_ids"])


@pytest.mark.parametrize("text", ["é 😀 漢字", "a person with rosy cheeks", "ÿ\x00 ~ ½", "smörgåsbord"])
def test_text_comes_back(text: str) -> None:
    """Breaks when a byte symbol is missing: it would turn into the end of the text."""
    decoded = TOKENIZER.decode(ids(text), skip_special_tokens=True)
    assert decoded.replace(" ", "") == text.lower().replace(" ", "")


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=40))
def test_no_text_holds_an_early_end(text: str) -> None:
    """Breaks when any character of any script has no token of its own or no pieces."""
    end = TOKENIZER.convert_tokens_to_ids(END)
    if END not in text.lower() and START not in text.lower():
        assert ids(text)[1:-1].count(end) == 0


def test_every_caption_word_is_one_token() -> None:
    """Breaks when BPE stops before a word is whole: cross-attention then has no one column for it."""
    words = {word for phrase in PHRASES for word in phrase.replace("'", " ").split() if word.isalpha()}
    broken = [word for word in words if len(ids(word)) != 3]
    assert broken == []


def test_saved_tokenizer_reads_the_same(tmp_path: Path) -> None:
    """Breaks when the length limit or a special token does not survive saving."""
    from transformers import CLIPTokenizer

    TOKENIZER.save_pretrained(tmp_path)
    again = CLIPTokenizer.from_pretrained(tmp_path)
    assert again.model_max_length == 77
    assert list(again("rosy cheeks é")["input_ids"]) == ids("rosy cheeks é")
    assert (again.bos_token_id, again.eos_token_id) == (TOKENIZER.bos_token_id, TOKENIZER.eos_token_id)
