"""What the vision-language model is asked about one region, and which of its answers are taken."""

from __future__ import annotations

import re

_REGION_WORDS: dict[str, tuple[str, tuple[str, ...]]] = {
    # region: (how the question calls it, words of which an answer must hold one)
    "skin": ("skin of the face", ("skin", "complexion", "cheek", "cheekbone", "freckle", "beard", "wrinkle", "face")),
    "face_shape": (
        "shape and expression of the face",
        ("face", "facial", "jaw", "jawline", "chin", "expression", "smile", "smiling", "frown"),
    ),
    "hair": (
        "hair",
        ("hair", "hairstyle", "curl", "lock", "braid", "ponytail", "bangs", "fringe", "bob", "wave", "wavy"),
    ),
    "eyebrows": ("eyebrows", ("brow", "eyebrow")),
    "eyes": ("eyes", ("eye", "gaze", "iris", "lash", "eyelash", "lid", "eyelid")),
    "nose": ("nose", ("nose", "nostril")),
    "mouth": ("mouth", ("mouth", "lip", "smile", "smiling", "teeth")),
    "lips": ("lips", ("lip", "lipped")),
    "ears": ("ears", ("ear", "earlobe")),
    "eyeglasses": ("glasses", ("glasses", "eyeglasses", "sunglasses", "spectacles", "lens", "frame", "shades")),
    "hat": ("hat", ("hat", "cap", "beanie", "hood", "scarf", "turban", "beret")),
    "earring": ("earrings", ("earring", "stud", "hoop", "ear")),
    "necklace": ("necklace", ("necklace", "chain", "pendant", "pearl", "choker")),
}

_ASKED = {
    "direct": "Describe how the {region} looks: colour, shape, size, texture, make-up or wear.",
    "indirect": "Describe the {region} by a comparison with something else, so that one can picture how it looks.",
    "subjective": "Describe the impression that the {region} makes on you.",
}
_FORM = (
    "Look at the {region} of the person in this picture and at nothing else. {asked} Answer in English with one phrase "
    'of 3 to 20 words that contains the word "{word}". Say nothing about the rest of the picture, the background, who '
    "the person may be, or how old the person is."
)

LEAST_WORDS, MOST_WORDS = 2, 25
_GLOBAL = re.compile(
    r"\b(image|picture|photo(graph)?|portrait|background|overall|scene|camera|celebrit\w+|years? old|person is)\b"
)
_REFUSAL = re.compile(r"\b(sorry|can(no|')t|unable|as an ai|not (possible|visible)|no (visible|clear))\b")
_ODD = re.compile(r"[^\w\s,.;'’\-—()]")


def prompt_id(kind: str) -> str:
    """Name of a kind's question as it is kept with the answer; a changed wording gets another number."""
    return f"{kind}-1"


def question(region: str, kind: str) -> str:
    """The question for one region and kind, in English."""
    called, words = _REGION_WORDS[region]
    return _FORM.format(region=called, asked=_ASKED[kind].format(region=called), word=words[0])


def cleaned(answer: str) -> str:
    """An answer without quotes, closing stop and doubled blanks, its first letter small where the word is no "I"."""
    text = " ".join(answer.strip().strip("\"'“”").split()).rstrip(".")
    return text[:1].lower() + text[1:] if text[:2] != "I " else text


def fault(answer: str, region: str) -> str:
    """Why a cleaned answer is not taken: "length", "refusal", "global", "signs" or "region"; "" where it is.

    A local caption is of one phrase, names its region, and does not speak of the picture as a whole.
    """
    text = answer.lower()
    if not LEAST_WORDS <= len(text.split()) <= MOST_WORDS:
        return "length"
    if _REFUSAL.search(text):
        return "refusal"
    if _GLOBAL.search(text):
        return "global"
    if _ODD.search(text) or ". " in text:
        return "signs"
    words = "|".join(_REGION_WORDS[region][1])
    # Whole words with their endings: "that" names no hat, "eyebrows" no eyes.
    return "" if re.search(rf"\b({words})(e?s|e?d|y)?\b", text) else "region"
