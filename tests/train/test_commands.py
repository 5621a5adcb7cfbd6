"""Captions of the editor's training: worded as commands are at inference, true of the target, local."""

from __future__ import annotations

import numpy as np
import pytest

from faceedit.portraits.attributes import sample_attributes, visible_fields
from faceedit.portraits.vocabulary import ATTRIBUTES, FIELDS
from faceedit.prompts import for_vocabulary, parse
from faceedit.train.commands import EDITED, draw_command, draw_fields, target_sentence
from faceedit.train.phrases import NAMES


def indices_of(seed: int) -> np.ndarray:
    return np.array([FIELDS[n].index(v) for n, v in sample_attributes(seed).as_dict().items()], np.int8)


def visible_of(seed: int) -> np.ndarray:
    return np.array([name in visible_fields(sample_attributes(seed)) for name in NAMES])


@pytest.mark.parametrize(
    ("field", "value", "before", "sentence"),
    [
        ("cheeks", "rosy", "plain", "a person with rosy cheeks"),
        ("glasses", "none", "sunglasses", "a person without sunglasses"),
        ("glasses", "none", None, "a person without glasses"),
        ("lip_color", "natural", "red", "a person with natural lips"),
        ("glasses", "eyeglasses", "sunglasses", "a person with glasses"),
    ],
)
def test_sentences_are_those_of_an_edit(field: str, value: str, before: str | None, sentence: str) -> None:
    """Breaks when training words a removal in another way than the walk of `faceedit edit` does."""
    assert target_sentence(field, value, before) == sentence


def test_every_edit_has_a_sentence() -> None:
    """Breaks when a new attribute's command is not understood: its training would stop in the middle of a run."""
    for item in ATTRIBUTES:
        if item.editable:
            sentence = target_sentence(item.field, item.value)
            assert sentence == for_vocabulary(parse([item.phrases[0]], regions_given=True)).target


def test_drawn_fields_are_local_and_can_be_seen() -> None:
    """Breaks when a caption of a mask speaks of the person's age, or of an eye colour behind sunglasses."""
    counts = []
    for seed in range(200):
        seen = visible_of(seed)
        fields = draw_fields(indices_of(seed), seen, np.random.default_rng(seed), (1, 2))
        counts.append(len(fields))
        assert len(set(fields)) == len(fields)
        assert all(name in EDITED and seen[NAMES.index(name)] for name in fields)
    assert set(counts) == {1, 2}


def test_commands_come_as_often_as_said() -> None:
    """Breaks when `command_share` is not the share of single captions worded as commands."""
    indices = indices_of(3)
    own = target_sentence("hair_color", FIELDS["hair_color"][indices[NAMES.index("hair_color")]])
    drawn = {share: [draw_command(indices, ("hair_color",), np.random.default_rng(i), share) for i in range(200)]
             for share in (0.0, 1.0)}  # fmt: skip
    assert all(c.text == own for c in drawn[1.0])
    assert np.mean([c.text == own for c in drawn[0.0]]) < 0.5
    assert all("hair" in c.text for c in drawn[0.0])
