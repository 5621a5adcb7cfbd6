"""One value of one attribute field, with its regions and its wordings."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class AttributeValue:
    """One value of one field. All wordings are noun phrases that read after "a person with".

    Attributes:
        field: attribute field ("cheeks").
        value: value of the field ("rosy").
        regions: names of the regions whose union holds what changes when this value is put on.
        phrases: direct wordings; the first is the canonical one.
        held_out: direct wordings kept out of training captions.
        indirect: wordings that paint the attribute by comparison.
        subjective: wordings that tell the impression it makes.
        removals: target wordings for when the value is taken away; empty where nothing can be taken away.
        editable: whether putting this value on is a local edit of a given portrait.
    """

    field: str
    value: str
    regions: tuple[str, ...]
    phrases: tuple[str, ...]
    held_out: tuple[str, ...]
    indirect: tuple[str, ...]
    subjective: tuple[str, ...]
    removals: tuple[str, ...] = ()
    editable: bool = True

    @property
    def key(self) -> str:
        """`field=value`, unique over the vocabulary."""
        return f"{self.field}={self.value}"


def _split(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split("|") if part.strip())


def word(
    key: str,
    regions: str,
    phrases: str,
    held_out: str,
    indirect: str,
    subjective: str,
    removals: str = "",
    editable: bool = True,
) -> AttributeValue:
    """An `AttributeValue` from "field=value", blank-separated regions and wordings separated by "|"."""
    field, value = key.split("=")
    return AttributeValue(
        field,
        value,
        tuple(regions.split()),
        _split(phrases),
        _split(held_out),
        _split(indirect),
        _split(subjective),
        _split(removals),
        editable,
    )
