"""Which answers of a vision-language model are taken as local captions."""

from __future__ import annotations

import pytest

from faceedit.lamask.form import KINDS
from faceedit.lamask.parts import REGION_PARTS
from faceedit.lamask.questions import cleaned, fault, prompt_id, question


@pytest.mark.parametrize("region", REGION_PARTS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_region_and_kind_has_a_question(region: str, kind: str) -> None:
    """Breaks when a region that the parser tells cannot be asked for."""
    text = question(region, kind)
    assert "{" not in text
    assert len({question(region, other) for other in KINDS}) == len(KINDS)
    assert prompt_id(kind).startswith(kind)


@pytest.mark.parametrize(
    ("answer", "region", "reason"),
    [
        ("full red lips with a glossy sheen", "lips", ""),
        ("lips like ripe cherries", "lips", ""),
        ("red", "lips", "length"),
        (" ".join(["red lips"] * 20), "lips", "length"),
        ("the image shows red lips", "lips", "global"),
        ("red lips on a grey background", "lips", "global"),
        ("sorry, the lips are hidden", "lips", "refusal"),
        ("the lips are not visible here", "lips", "refusal"),
        ("red and glossy all over", "lips", "region"),
        ("a pair of blue eyes", "lips", "region"),
        ('{"lips": "red and full"}', "lips", "signs"),
        ("red lips. A long nose too", "lips", "signs"),
        ("bushy brows that meet", "eyebrows", ""),
        ("eyebrows like two bows", "eyebrows", ""),
        ("eyebrows like two bows", "eyes", "region"),
        ("blue-eyed and calm", "eyes", ""),
        ("something red that shines", "hat", "region"),
        ("a pearl that one wears", "ears", "region"),
        ("wavy and chestnut brown", "hair", ""),
    ],
)
def test_faults_are_named(answer: str, region: str, reason: str) -> None:
    """Breaks when talk about the whole picture, refusals or other regions become training captions."""
    assert fault(answer, region) == reason


def test_cleaned_answers_are_one_plain_phrase() -> None:
    """Breaks when quotes, line breaks or a closing stop end up in a caption."""
    assert cleaned(' "Full,\n red lips." ') == "full, red lips"
