"""Sentences about places on a face and the regions that they mean, for PASL."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from faceedit.errors import UsageError
from faceedit.portraits.vocabulary import ATTRIBUTES
from faceedit.prompts import for_vocabulary, parse
from faceedit.request import EditText
from faceedit.sentences import DEFAULT_SUBJECT


@dataclass(frozen=True)
class Wording:
    """A sentence or phrase and the regions whose union it means."""

    text: str
    regions: tuple[str, ...]


def region_wordings(prompts: Mapping[str, Iterable[str]]) -> tuple[Wording, ...]:
    """The prompts of a Text2Mask folder, each of one region."""
    return tuple(Wording(text, (region,)) for region, texts in prompts.items() for text in texts)


def attribute_wordings(held_out: bool = False) -> tuple[Wording, ...]:
    """What an edit asks the locator, for every attribute that can be edited.

    A wording comes as typed after "a person with", as the target sentence that the edit makes of it, and as the bare
    phrase. Removals ("no glasses", "clean shaven") are among them: they are where the thing is. The regions are those
    of the walk (`faceedit.prompts`).

    Args:
        held_out: the wordings that no training uses, instead of those that it does.
    """
    found: dict[str, Wording] = {}
    for item in ATTRIBUTES:
        if item.editable:
            for typed in item.held_out if held_out else (*item.phrases, *item.removals):
                edit = _edit(typed)
                texts = [typed if typed.startswith("without") else f"{DEFAULT_SUBJECT} with {typed}", typed]
                if edit is not None and not held_out:
                    texts += [edit.target, *(phrase.text for phrase in edit.phrases)]
                regions = item.regions if edit is None else edit.regions
                for text in texts:
                    found.setdefault(text, Wording(text, regions))
    return tuple(found.values())


def _edit(typed: str) -> EditText | None:
    try:
        return for_vocabulary(parse([typed], regions_given=True))
    except UsageError:  # a few of the held-out wordings are beyond the parser
        return None


# Where these begin, a phrase says of what or where the thing before it is.
_PREPOSITIONS = ("under", "below", "on", "in", "over", "around")
_SYLLABLES = (
    "ba", "bri", "cha", "dol", "e", "fen", "gli", "hu", "ja", "kra", "lo", "mir", "na", "ost", "pel", "qui", "ras",
    "sti", "tro", "u", "ven", "wid", "yel", "zo",
)  # fmt: skip
_MADE_UP = (
    "{word} {thing}",
    "{word} {thing}",
    "{word} and {other} {thing}",
    "{thing} that {word} {other}",
    "{thing} of {word}",
    "{thing} with a {word}",
)


def made_up_wordings(prompts: Mapping[str, Iterable[str]], each: int, seed: int = 0) -> tuple[Wording, ...]:
    """Phrases of words that do not exist around the things that the prompts speak of ("feno eyebrows").

    A small text encoder takes a word that it has never read for anything, and the place with it. These teach the
    projector to go by the words that it knows.

    Args:
        prompts: region -> prompts of training.
        each: how many for each region.
        seed: of the words.

    Returns:
        Wordings, half of them after "a person with"; a thing that prompts of two regions speak of is left out.
    """
    rng = np.random.default_rng([seed, 11])
    found = []
    for region, things in _things(prompts).items():
        for number in range(each if things else 0):
            word, other = ("".join(rng.choice(_SYLLABLES, rng.integers(2, 4))) for _ in range(2))
            thing = things[int(rng.integers(len(things)))]
            place = thing.split()[0] in _PREPOSITIONS
            pattern = _MADE_UP[int(rng.integers(2 if place else len(_MADE_UP)))]
            text = pattern.format(word=word, other=other, thing=thing)
            found.append(Wording(f"{DEFAULT_SUBJECT} with {text}" if number % 2 else text, (region,)))
    return tuple(found)


def _things(prompts: Mapping[str, Iterable[str]]) -> dict[str, list[str]]:
    """Region -> the last words of its bare prompts, or from the preposition on where there is one."""
    things: dict[str, list[str]] = {}
    for region, texts in prompts.items():
        for text in texts:
            words = text.split()
            at = next((i for i, word in enumerate(words) if word in _PREPOSITIONS), len(words) - 1)
            if not text.startswith(DEFAULT_SUBJECT) and not {"of", "that", "with", "to"} & set(words):
                things.setdefault(region, []).append(" ".join(words[at:]))
    owners = {thing: {r for r, own in things.items() if thing in own} for own in things.values() for thing in own}
    return {r: sorted({thing for thing in own if len(owners[thing]) == 1}) for r, own in things.items()}


def unions(masks: NDArray[np.uint8], regions: tuple[str, ...], wordings: Iterable[Wording]) -> NDArray[np.uint8]:
    """Masks of wordings, uint8 [K, G, G], from those of the regions, uint8 [R, G, G] in the order of `regions`."""
    rows = [masks[[regions.index(name) for name in wording.regions]].max(0) for wording in wordings]
    return np.stack(rows)
