"""From attribute phrases and simple instructions to full sentences and the places on the face that they mean."""

from __future__ import annotations

from collections.abc import Sequence

from faceedit.errors import UsageError
from faceedit.instructions import Clause
from faceedit.phrases import clauses
from faceedit.regions import REGIONS
from faceedit.request import AttributePhrase, EditText
from faceedit.sentences import DEFAULT_SUBJECT, bare, canonical, fix_article, phrase_of, sentences, with_article
from faceedit.wordings import for_vocabulary, known_to_mini, match_attribute

__all__ = ["canonical", "for_vocabulary", "known_to_mini", "match_attribute", "parse"]

_READINGS = 4
_MAX_CHARACTERS = 1000  # text encoders read about a quarter of it; reading a crowd of clauses takes ever longer


def parse(prompts: Sequence[str], source_prompt: str | None = None, regions_given: bool = False) -> EditText:
    """Reads attribute phrases or simple instructions.

    "rosy cheeks" gives the region "cheeks", the source "a person", the target "a person with rosy cheeks" and the
    tokens ("rosy", "cheeks"). A removal such as "no glasses" goes from "a person with glasses" to "a person without
    glasses", away from the negative "a person with glasses".

    Args:
        prompts: one or more phrases ("rosy cheeks", "no glasses", "make her lips red"); all of them make one edit.
        source_prompt: the source sentence; by default "a person", with what is removed or replaced.
        regions_given: the place is known from elsewhere (a mask, region names), so a phrase may name none.

    Raises:
        UsageError: no words, too many, nothing to change, the same thing added and removed, or a phrase that names no
            region while `regions_given` is false.
    """
    if not any(prompt.strip() for prompt in prompts):
        raise UsageError("the prompt is empty", 'say what to change, such as "rosy cheeks" or "no glasses"')
    if max(sum(map(len, prompts)), len(source_prompt or "")) > _MAX_CHARACTERS:
        raise UsageError(f"the prompt has more than {_MAX_CHARACTERS} characters", "say it in fewer words")
    wishes: list[Clause] = []
    for prompt in prompts:
        wishes += clauses(prompt)
    if not wishes:
        raise UsageError(
            f"the prompt {' '.join(prompts)!r} asks for no change", 'say what to change, such as "rosy cheeks"'
        )
    phrases = tuple(dict.fromkeys(phrase for wish in wishes for phrase in _settled(wish)))
    for phrase in phrases:
        if not phrase.regions and not regions_given:
            raise UsageError(
                f"{phrase.text!r} names no place on the face",
                f"name one of {', '.join(REGIONS)} in the phrase, or give --region NAME or --mask FILE",
            )
    added = {phrase.text for phrase in phrases if not phrase.remove}
    both = next((phrase.text for phrase in phrases if phrase.remove and phrase.text in added), None)
    if both is not None:
        raise UsageError(f"{both!r} is both added and removed", "ask for one of them")
    before = tuple(with_article(wish.before) for wish in wishes if wish.before)
    subject = next((" ".join(("a", *bare(wish.subject))) for wish in wishes if wish.subject), DEFAULT_SUBJECT)
    return sentences(phrases, fix_article(subject), source_prompt, before)


def _settled(wish: Clause) -> tuple[AttributePhrase, ...]:
    """The phrases of one wish, read again until they stay: what is left of an odd instruction may be one itself."""
    phrases: tuple[AttributePhrase, ...] = (phrase_of(wish),)
    for _ in range(_READINGS):
        again = tuple(phrase_of(said) for phrase in phrases for said in clauses(canonical(phrase)))
        if again in ((), phrases):
            break
        phrases = again
    return phrases
