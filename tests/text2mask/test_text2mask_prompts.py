"""The texts of Text2Mask: enough of them, none twice, and none of those that are kept for judging."""

from __future__ import annotations

import re

import pytest

from faceedit.errors import UsageError
from faceedit.portraits.vocabulary import ATTRIBUTES
from faceedit.prompts import parse
from faceedit.regions import REGIONS
from faceedit.text2mask.prompts import PHRASES, PROMPTS, UNSEEN
from faceedit.text2mask.wordings import region_of, regions_of, trained_wordings

HELD_OUT_ELSEWHERE = [text for value in ATTRIBUTES for text in value.held_out]
HEARD_ELSEWHERE = [
    text for value in ATTRIBUTES for text in (*value.phrases, *value.removals, *value.indirect, *value.subjective)
]


@pytest.mark.parametrize("region", REGIONS)
def test_every_region_has_its_texts(region: str) -> None:
    """Breaks when a region falls below the paper's ten prompts, or below five that are kept."""
    assert len(PHRASES[region]) >= 10
    assert len(UNSEEN[region]) >= 5
    assert len(PROMPTS[region]) == 2 * len(PHRASES[region])


def test_no_text_stands_twice() -> None:
    """Breaks when one text is to mean two places, or is both trained on and kept."""
    texts = [text for table in (PROMPTS, UNSEEN) for said in table.values() for text in said]
    assert len(texts) == len(set(texts))
    assert all(text == text.strip().lower() and "  " not in text for text in texts)


@pytest.mark.parametrize("region", REGIONS)
def test_unseen_wordings_are_unseen(region: str) -> None:
    """Breaks when a kept wording is heard in training, alone or within another, or only adds words to one."""
    heard = [text for texts in PROMPTS.values() for text in texts] + HEARD_ELSEWHERE
    for text in UNSEEN[region]:
        assert not [other for other in heard if text in other], text
        assert not [other for phrases in PHRASES.values() for other in phrases if re.search(rf"\b{other}\b", text)], (
            text
        )


def test_training_hears_none_of_the_benchmarks_wordings() -> None:
    """Breaks when a prompt gives away a wording that the benchmark's portraits keep back."""
    for text in (text for phrases in PHRASES.values() for text in phrases):
        assert not [held for held in HELD_OUT_ELSEWHERE if text in held or held in text], text


@pytest.mark.parametrize("table", [PHRASES, UNSEEN])
def test_the_lexicon_agrees_with_the_table(table: dict[str, tuple[str, ...]]) -> None:
    """Breaks when a phrase stands under a region that no reader of it would mean."""
    for region, phrases in table.items():
        for phrase in phrases:
            assert region in parse([phrase]).phrases[0].regions, (region, phrase)


def test_phrases_find_their_region() -> None:
    """Breaks when a wording of training means another place than the one whose mask it was attached to."""
    for region, texts in PROMPTS.items():
        assert {regions_of(text) for text in texts} == {(region,)}
    for value in ATTRIBUTES:
        for text in value.phrases:
            assert set(regions_of(text)) <= set(value.regions), text
    assert not set(HELD_OUT_ELSEWHERE) & set(trained_wordings())
    assert region_of("Rosy cheeks ") == "cheeks"
    assert region_of("a jade pendant") == "necklace"
    with pytest.raises(UsageError):
        regions_of("a nice afternoon")
