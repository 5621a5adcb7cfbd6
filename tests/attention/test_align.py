"""Token alignment and word finding: Prompt-to-Prompt's aligner, and words however they are written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from faceedit.attention.align import NEW, align_sentences, align_tokens, find_words
from faceedit.errors import UsageError
from faceedit.models.loader import load_components
from faceedit.models.plan import device_plan
from faceedit.models.random import byte_tokenizer
from faceedit.recipe import load_recipe


@pytest.fixture(scope="module")
def tokenizer():
    """The bundled one: words in pieces where they are rare."""
    recipe = load_recipe("mini/inpaint", {"device.device": "cpu"})
    return load_components(recipe.weights, device_plan(recipe.device)).tokenizer


@pytest.mark.parametrize(
    ("source", "target", "partners"),
    [
        ([1, 2, 3, 9], [1, 2, 7, 3, 9], (0, 1, NEW, 2, 3)),
        ([1, 2, 3, 9], [1, 3, 9], (0, 2, 3)),
        ([1, 5, 9], [1, 6, 9], (0, NEW, 2)),
        ([1, 5, 5, 9], [1, 5, 9], (0, 1, 3)),
        ([1, 5, 9], [1, 5, 5, 9], (0, 1, NEW, 2)),
    ],
)
def test_alignment_by_hand(source, target, partners) -> None:
    """Breaks when scores or the order among ties (left, up, pair) differ from the published aligner."""
    assert align_tokens(source, target) == partners


TOKENS = st.lists(st.integers(0, 4), min_size=1, max_size=12)


@given(TOKENS, TOKENS)
def test_partners_are_equal_tokens_in_order_and_as_many_as_can_be(source, target) -> None:
    """Breaks when a token gets another one as partner, partners cross, or a longer common sequence is missed."""
    partners = align_tokens(source, target)
    paired = [(i, j) for j, i in enumerate(partners) if i != NEW]
    assert all(source[i] == target[j] for i, j in paired)
    assert [i for i, _ in paired] == sorted({i for i, _ in paired})
    longest = [[0] * (len(target) + 1) for _ in range(len(source) + 1)]
    for i, a in enumerate(source):
        for j, b in enumerate(target):
            longest[i + 1][j + 1] = longest[i][j] + 1 if a == b else max(longest[i][j + 1], longest[i + 1][j])
    assert len(paired) == longest[-1][-1]


def test_padding_follows_padding(tokenizer) -> None:
    """Breaks when a target that only loses words takes the lost words' columns for its padding."""
    longer, shorter = "a person with glasses and a beard", "a person"
    count = len(tokenizer(longer)["input_ids"])
    alignment = align_sentences(tokenizer, longer, shorter)
    assert alignment.common.all()
    padding = len(tokenizer(shorter)["input_ids"])
    assert (alignment.source_of[padding:] >= count).all()
    back = align_sentences(tokenizer, shorter, longer)
    assert back.source_of[count:].tolist() == list(range(count, 77))


def test_a_sentence_too_long_for_the_encoder_is_refused(tokenizer) -> None:
    with pytest.raises(UsageError, match="reads 77 tokens"):
        align_sentences(tokenizer, "a person", "a person with " + "very " * 90 + "red lips")


@pytest.mark.parametrize(
    ("sentence", "word", "pieces"),
    [
        ("A person with RED lips.", "red", ["red"]),
        ("a person with red, full lips", "Red", ["red"]),
        ("a person with  rosy   cheeks", "rosy cheeks", ["rosy", "cheeks"]),
        ("a rosy-cheeked person", "rosy", ["rosy"]),
        ("a red cap and red hair", "red", ["red", "red"]),
        ("a red cap and red hair", "red#2", ["red"]),
        ("the man’s beard", "man's", ["man's"]),
    ],
)
def test_words_are_found_however_they_are_written(tokenizer, sentence, word, pieces) -> None:
    """Breaks when case, punctuation, spacing, repetition or pieces of words hide a word."""
    offsets = tokenizer(sentence, return_offsets_mapping=True)["offset_mapping"]
    found = find_words(tokenizer, sentence, word)
    # A character of several bytes is several tokens with one span.
    spans = dict.fromkeys(offsets[token] for token in found)
    assert "".join(sentence[a:b] for a, b in spans).lower().replace("’", "'") == "".join(pieces)


def test_the_index_chooses_among_repeated_words(tokenizer) -> None:
    first, second = (find_words(tokenizer, "a red cap and red hair", f"red#{k}") for k in (1, 2))
    assert first < second and (*first, *second) == find_words(tokenizer, "a red cap and red hair", "red")
    with pytest.raises(UsageError, match="2 times"):
        find_words(tokenizer, "a red cap and red hair", "red#3")


@pytest.mark.parametrize("word", ["red", "lip", "cheeks lips", "", "red#1", "#2"])
def test_a_word_that_is_not_there_is_answered_with_the_tokens(tokenizer, word) -> None:
    """Breaks when "red" is found inside "hundred": it would give an empty index and a NaN loss."""
    with pytest.raises(UsageError) as caught:
        find_words(tokenizer, "a hundred lips", word)
    assert "its tokens are: a, " in caught.value.hint and "lips" in caught.value.hint


@given(
    st.lists(st.sampled_from(["red", "blue", "lips", "hair", "a", "with", "hundred"]), min_size=1, max_size=12),
    st.data(),
)
def test_byte_pieces_cover_the_word_and_nothing_else(words, data) -> None:
    """Breaks when a word of many pieces loses one, or takes one of its neighbour."""
    sentence = " ".join(words)
    k = data.draw(st.integers(0, len(words) - 1))
    number = words[: k + 1].count(words[k])
    start = sum(map(len, words[:k])) + 1
    assert find_words(byte_tokenizer(), sentence, f"{words[k]}#{number}") == tuple(range(start, start + len(words[k])))
