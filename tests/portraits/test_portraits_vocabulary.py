"""The words for portraits: complete, unambiguous, and split into training and held-out wordings."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields

import numpy as np
import pytest

from faceedit.errors import UsageError
from faceedit.portraits.attributes import Attributes, sample_attributes, visible_fields
from faceedit.portraits.captions import KINDS, caption, region_caption, wordings
from faceedit.portraits.split import HELD_OUT_FROM, held_out_seed, is_held_out
from faceedit.portraits.vocabulary import ATTRIBUTES, FIELDS, NEVER_PLAIN, attribute_value, is_plain
from faceedit.regions import REGIONS


@pytest.mark.parametrize("item", ATTRIBUTES, ids=lambda item: item.key)
def test_every_value_has_words_and_regions(item) -> None:
    """Broken by a value with too few wordings, an unknown region, upper case or a stray blank."""
    assert len(item.phrases) >= 4 and len(item.held_out) >= 2 and len(item.indirect) >= 2 and item.subjective
    assert set(item.regions) <= set(REGIONS)
    for words in (*item.phrases, *item.held_out, *item.indirect, *item.subjective, *item.removals):
        assert words == words.lower().strip() and "  " not in words


def test_wordings_name_one_value_only() -> None:
    """Broken by two values that share a wording: a caption could then be true of both."""
    counts = Counter(
        words for item in ATTRIBUTES for words in (*item.phrases, *item.held_out, *item.indirect, *item.subjective)
    )
    assert [words for words, count in counts.items() if count > 1] == []


def test_attributes_mirror_the_fields() -> None:
    """Broken by a field added to one of the two places only."""
    assert [item.name for item in fields(Attributes)] == list(FIELDS)


def test_regions_all_reached() -> None:
    """Broken by a region about which no attribute says anything."""
    assert {region for item in ATTRIBUTES for region in item.regions} == set(REGIONS)


def test_sampling_is_balanced_and_reaches_every_value() -> None:
    """Broken by a value that hardly occurs, or a plain value that leaves nothing to edit."""
    sample = [sample_attributes(seed) for seed in range(2000)]
    for field, values in FIELDS.items():
        counts = Counter(getattr(item, field) for item in sample)
        assert min(counts[value] for value in values) > 2000 * 0.06, (field, counts)
        if field in NEVER_PLAIN and field != "hair_style":
            assert max(counts.values()) < 2000 * 1.3 / len(values), (field, counts)
        elif field not in NEVER_PLAIN and field != "expression":
            assert 0.40 < counts[values[0]] / 2000 < 0.80, (field, counts)


def test_fields_are_nearly_independent() -> None:
    """Broken by a correlation that a judge could learn instead of looking (Cramer's V above 0.35)."""
    sample = [sample_attributes(seed) for seed in range(2000)]
    codes = {f: np.array([v.index(getattr(item, f)) for item in sample]) for f, v in FIELDS.items()}
    for first in FIELDS:
        for second in FIELDS:
            if first >= second or "bangs" in (first, second):  # no hair or a hidden hairline decides these
                continue
            table = np.zeros((len(FIELDS[first]), len(FIELDS[second])))
            np.add.at(table, (codes[first], codes[second]), 1)
            expected = table.sum(1, keepdims=True) * table.sum(0) / 2000
            v = np.sqrt(((table - expected) ** 2 / expected).sum() / 2000 / (min(table.shape) - 1))
            assert v < 0.35, (first, second, v)


def test_with_value_refuses_what_does_not_exist() -> None:
    """Broken by an attribute set that silently accepts an unknown field or value."""
    with pytest.raises(UsageError, match="unknown portrait attribute"):
        sample_attributes(1).with_value("tail", "yes")
    with pytest.raises(UsageError, match="has no value"):
        sample_attributes(1).with_value("hat", "crown")


@pytest.mark.parametrize("kind", KINDS)
def test_captions_keep_to_their_words(kind) -> None:
    """Broken by a held-out wording in a training caption, or by upper case."""
    rng = np.random.default_rng(5)
    forbidden = [words for item in ATTRIBUTES for words in item.held_out]
    for seed in range(500):
        text = caption(sample_attributes(seed), rng, kind)
        assert text == text.lower() and text.strip()
        assert not any(words in text for words in forbidden), text


def test_captions_tell_the_truth() -> None:
    """Broken by a caption with a wording of a value that the portrait does not have."""
    rng = np.random.default_rng(6)
    for seed in range(60):
        attributes = sample_attributes(seed)
        for field in visible_fields(attributes):
            item = attribute_value(field, getattr(attributes, field))
            for held_out in (False, True):
                text = caption(attributes, rng, fields=[field], held_out=held_out)
                said = [words.removeprefix("no ") for words in wordings(item, "direct", held_out)]
                assert any(words in text for words in said), (text, item.key)


def test_every_value_reaches_the_captions() -> None:
    """Broken by an attribute that captions never mention, which no model could then learn."""
    rng = np.random.default_rng(7)
    text = " | ".join(caption(sample_attributes(seed % 1500), rng) for seed in range(6000))
    missing = [
        item.key
        for item in ATTRIBUTES
        if item.field not in ("age", "gender") and not any(words.removeprefix("no ") in text for words in item.phrases)
    ]
    assert missing == []
    assert "a person with " in text and "a person without " in text and "a young woman" in text


def test_hidden_things_are_not_told() -> None:
    """Broken by captions about what sunglasses or a bald head hide."""
    attributes = sample_attributes(3).with_value("glasses", "sunglasses").with_value("hair_style", "bald")
    assert not {"eye_color", "eyes", "hair_color", "bangs"} & visible_fields(attributes)
    assert region_caption(attributes, "hairline", np.random.default_rng(0)) is None


def test_split() -> None:
    """Broken by a held-out seed that training would accept."""
    assert is_held_out(held_out_seed(0)) and held_out_seed(7) == HELD_OUT_FROM + 7
    assert not is_held_out(HELD_OUT_FROM - 1)
    assert is_plain("glasses", "none") and not is_plain("eye_color", "brown")
