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


def unions(masks: NDArray[np.uint8], regions: tuple[str, ...], wordings: Iterable[Wording]) -> NDArray[np.uint8]:
    """Masks of wordings, uint8 [K, G, G], from those of the regions, uint8 [R, G, G] in the order of `regions`."""
    rows = [masks[[regions.index(name) for name in wording.regions]].max(0) for wording in wordings]
    return np.stack(rows)
