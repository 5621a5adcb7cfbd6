"""What kind of change a phrase asks for, by its words: a colour, a texture or a shape."""

from __future__ import annotations

from typing import Literal

from faceedit.lexicon import find_terms, singular
from faceedit.request import AttributePhrase

Kind = Literal["colour", "texture", "shape"]


def words_of(text: str) -> frozenset[str]:
    """The words of a text, as a set."""
    return frozenset(text.split())


_COLOURS = words_of(
    "red pink purple violet blue green brown black white gray grey blond blonde golden gold silver orange yellow "
    "auburn ginger copper brunette hazel amber turquoise scarlet crimson platinum rosy flushed blushing pale tan "
    "tanned olive dark light fair deep darker lighter redder whiter rosier natural plain fuchsia lilac azure emerald "
    "ivory beige"
)
_TEXTURES = words_of(
    "freckle freckled freckly wrinkle wrinkled wrinkly smooth smoother glossy matte shiny rough soft softer curly wavy "
    "straight frizzy sweaty spotty dirty oily dry patterned striped"
)
# Things of the lexicon that are paint on a part and leave its shape.
_PAINTED = words_of(
    "lipstick gloss balm liner blush blusher rouge bronzer contouring contour glow eyeshadow eyeliner mascara makeup "
    "cosmetics foundation powder concealer maquillage highlighter highlights tan suntan sunburn paint mask freckle "
    "freckling shadow eye circle stubble"
)


def kind_of(phrase: AttributePhrase) -> Kind:
    """The kind of a phrase: objects that come or go and everything that is not known otherwise are a shape."""
    words = tuple(word for word in phrase.text.split() if word.isalpha() or "-" in word)
    plain = {singular(word) for word in words} | set(words)
    things = [found for found in find_terms(words) if found.term.kind == "thing"]
    painted = all(plain_words(words[found.start : found.stop]) & _PAINTED for found in things)
    if things and not painted:
        return "shape"
    if plain & _COLOURS:
        return "colour"
    marks = any(found.term.kind == "mark" for found in find_terms(words))
    return "texture" if things or marks or plain & _TEXTURES else "shape"


def plain_words(words: tuple[str, ...]) -> set[str]:
    """The words and their singulars."""
    return {singular(word) for word in words} | set(words)


def leading_kind(phrases: tuple[AttributePhrase, ...]) -> Kind:
    """The kind of an edit of several phrases: the one that changes most."""
    kinds = {kind_of(phrase) for phrase in phrases}
    return "shape" if "shape" in kinds else "texture" if "texture" in kinds else "colour"
