"""Which regions a phrase means: by the prompts of training, by the portraits' own words, else by the lexicon."""

from __future__ import annotations

from functools import lru_cache

from faceedit.errors import UsageError
from faceedit.portraits.vocabulary import ATTRIBUTES
from faceedit.prompts import parse
from faceedit.text2mask.prompts import PROMPTS


def regions_of(phrase: str) -> tuple[str, ...]:
    """The regions that a phrase means, the one that it names first.

    Args:
        phrase: "rosy cheeks", or as a sentence ("a person with rosy cheeks").

    Returns:
        Names out of `faceedit.regions.REGIONS`: one for a prompt of training; all that changes for a wording of the
        portraits' vocabulary; what the lexicon says for other words.

    Raises:
        UsageError: the words name no place on a face.
    """
    known = trained_wordings().get(phrase.strip().lower())
    if known is not None:
        return known
    text = parse([phrase])
    regions = tuple(dict.fromkeys(region for said in text.phrases for region in said.regions))
    if not regions:
        raise UsageError(f"{phrase!r} names no place on the face", "name one of faceedit's regions in it")
    return regions


def region_of(phrase: str) -> str:
    """The one region that a phrase names. Raises UsageError where it names none."""
    return regions_of(phrase)[0]


@lru_cache(maxsize=1)
def trained_wordings() -> dict[str, tuple[str, ...]]:
    """Every wording of training -> its regions: our prompts, and the direct wordings of the portraits' vocabulary.

    Held-out wordings of either are not among them.
    """
    known: dict[str, tuple[str, ...]] = {}
    for value in ATTRIBUTES:
        for text in (*value.phrases, *value.removals):
            known.setdefault(text, value.regions)
    return known | {text: (region,) for region, texts in PROMPTS.items() for text in texts}
