"""The closed vocabulary of the mini models against the parser."""

from __future__ import annotations

import pytest

from faceedit.errors import UsageError
from faceedit.portraits.attribute_value import AttributeValue
from faceedit.portraits.vocabulary import ATTRIBUTES, is_plain
from faceedit.prompts import for_vocabulary, known_to_mini, match_attribute, parse

EDITABLE = [value for value in ATTRIBUTES if value.editable]


def _understood(phrase: str, value: AttributeValue) -> bool:
    try:
        return known_to_mini(parse([phrase])) == (value,)
    except UsageError:
        return False


@pytest.mark.parametrize("value", EDITABLE, ids=lambda value: value.key)
def test_every_direct_wording_means_its_own_value_and_place(value: AttributeValue) -> None:
    """Breaks when the vocabulary and the lexicon drift apart."""
    for phrase in value.phrases:
        edit = parse([phrase])
        assert known_to_mini(edit) == (value,), phrase
        assert set(edit.regions) & set(value.regions), phrase


@pytest.mark.parametrize("value", EDITABLE, ids=lambda value: value.key)
def test_every_canonical_wording_survives_the_rewriting(value: AttributeValue) -> None:
    """Breaks when the sentence given to the mini models does not ask for what was typed."""
    edit = for_vocabulary(parse([value.phrases[0]]))
    if edit.phrases[0].remove:
        assert is_plain(value.field, value.value) or value.key == "hair_style=bald"
        assert edit.source.startswith("a person with ")
    else:
        assert edit.target == f"a person with {value.phrases[0]}"


def test_removals_lead_to_the_plain_value() -> None:
    for value in EDITABLE:
        for removal in value.removals:
            targets = known_to_mini(parse([removal]))
            found = targets[0]
            assert len(targets) == 1 and found is not None and found.field == value.field, removal
            assert is_plain(found.field, found.value), removal


def test_other_wordings_are_mostly_understood() -> None:
    """Breaks when the share of the held-out, indirect and subjective wordings that are recognised falls."""
    for kind, least in (("held_out", 0.95), ("indirect", 0.98), ("subjective", 0.98)):
        pairs = [(phrase, value) for value in EDITABLE for phrase in getattr(value, kind)]
        assert sum(_understood(*pair) for pair in pairs) >= least * len(pairs), kind


@pytest.mark.parametrize(
    ("phrase", "key"),
    [
        ("Rosy cheeks!", "cheeks=rosy"),
        ("cheeks rosy", "cheeks=rosy"),
        ("really bright red lips", "lip_color=red"),
        ("grey hair", "hair_color=gray"),
        ("moustache", "mustache=yes"),
        ("bearded", "beard=full"),
        ("smiling", "expression=smile"),
        ("hat", "hat=beanie"),
        ("no red lipstick", "lip_color=natural"),
        ("without sunglasses", "glasses=none"),
        ("a happy face", "expression=smile"),
        ("a very angry look", "expression=frown"),
        ("blonde hair color", "hair_color=blond"),
        ("blue eye shadow", "eyeshadow=blue"),
        ("sun glasses", "glasses=sunglasses"),
        ("a hat on his head", "hat=beanie"),
        ("freckles on the nose", "freckles=yes"),
    ],
)
def test_near_wordings_are_matched(phrase: str, key: str) -> None:
    found = match_attribute(phrase)
    assert found is not None and found.key == key


@pytest.mark.parametrize("prompt", ["golden septum ring", "square glasses", "older", "zebra stripes on the cheeks"])
def test_what_mini_does_not_know_is_answered_with_what_it_knows(prompt: str) -> None:
    """Breaks when an unknown attribute becomes a silent no-op."""
    with pytest.raises(UsageError, match="mini models do not know") as caught:
        for_vocabulary(parse([prompt]))
    assert "rosy cheeks" in caught.value.hint and "glasses" in caught.value.hint


def test_held_out_wordings_reach_the_model_as_typed() -> None:
    """Breaks when the benchmark's held-out wordings are translated away before a model reads them."""
    assert for_vocabulary(parse(["scarlet lips"])).target == "a person with scarlet lips"


def test_a_removal_becomes_the_plain_wording_where_the_vocabulary_has_no_negation() -> None:
    edit = for_vocabulary(parse(["no smile"]))
    assert (edit.source, edit.target) == ("a person with a smile", "a person with a neutral expression")
    assert edit.negative == "a person with a smile"


def test_the_users_source_sentence_is_kept() -> None:
    edit = for_vocabulary(parse(["flushed cheeks"], "a woman with long hair"), "a woman with long hair")
    assert (edit.source, edit.target) == ("a woman with long hair", "a woman with long hair and rosy cheeks")


def test_a_new_shape_takes_along_what_it_moves() -> None:
    """Breaks when a new chin is edited while the beard that hangs on it is kept."""
    assert for_vocabulary(parse(["a double chin"])).regions == ("chin", "beard", "necklace")
    assert for_vocabulary(parse(["blond hair"])).regions == ("hair",)
