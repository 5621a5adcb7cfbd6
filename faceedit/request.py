"""The frozen dataclasses that travel along the walk: request, portrait, edit text, mask, result, record."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Bytes3 = NDArray[np.uint8]
Float2 = NDArray[np.float32]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Request:
    """One edit as the user asked for it. `None` means: as the recipe says.

    Attributes:
        image: path of the picture, or the encoded bytes themselves.
        prompts: attribute phrases; several make one multi-attribute edit.
        mask: path of a mask file (white = edit); wins over `region` and the recipe's locator.
        region: names of regions; their union is the mask's shape.
        face: which of the faces found, counted from 0 in the stable order; `None` takes the largest.
        settings: recipe overrides as dotted keys ("inpaint.guidance": "5").
    """

    image: Path | bytes
    prompts: tuple[str, ...]
    backend: str = "auto"
    recipe: str | None = None
    mask: Path | None = None
    region: tuple[str, ...] = ()
    face: int | None = None
    seed: int = 0
    steps: int | None = None
    strength: float | None = None
    source_prompt: str | None = None
    dilate: float | None = None
    feather: float | None = None
    resize_mask: bool = False
    device: str = "auto"
    dtype: str = "auto"
    memory: str = "auto"
    settings: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Picture:
    """A decoded picture, upright, 8-bit sRGB, with what must be carried to the output.

    Attributes:
        rgb: uint8 [H, W, 3], sRGB, EXIF orientation applied.
        alpha: uint8 [H, W], or `None` where the input has none.
        mode: mode that the output is written in ("RGB", "RGBA", "L", "LA").
        format: container of the input: "PNG", "JPEG", "WEBP" or "TIFF".
        icc_profile: profile to embed in the output (sRGB after a conversion), or `None`.
        exif: cleaned EXIF bytes (no location, no orientation), or `None`.
        xmp: the input's XMP packet, or `None`.
        sha256: hash of the encoded input.
        credentials: SHA-256 of the C2PA manifest store that the input carries, or empty.
        notes: what was normalised on the way in, one sentence each, for the user.
    """

    rgb: Bytes3
    alpha: NDArray[np.uint8] | None
    mode: str
    format: str
    icc_profile: bytes | None
    exif: bytes | None
    xmp: bytes | None
    sha256: str
    credentials: str = ""
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.rgb.shape[0], self.rgb.shape[1]


@dataclass(frozen=True)
class Face:
    """A face in picture coordinates: `box` (x0, y0, x1, y1) in pixels around forehead to chin and ear to ear.

    `quarter_turns` counts the counter-clockwise turns of 90° after which the face stands upright.
    `landmarks` are named points (x, y) in pixels, as far as the detector or the renderer knows them:
    "left_eye", "right_eye", "nose_tip", "mouth_left", "mouth_right" ("left" is the picture's left).
    """

    box: Box
    score: float = 1.0
    quarter_turns: int = 0
    landmarks: dict[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Portrait:
    """A picture with the face that is edited and the square crop that the models see.

    Attributes:
        picture: the whole picture.
        face: the face chosen, in picture coordinates.
        crop: square (x0, y0, x1, y1) in picture pixels, integers; may reach over the border (edge-padded).
    """

    picture: Picture
    face: Face
    crop: tuple[int, int, int, int]


@dataclass(frozen=True)
class AttributePhrase:
    """One understood phrase: "rosy cheeks" -> region "cheeks", tokens ("rosy", "cheeks").

    Attributes:
        text: the phrase as it reads in the target sentence ("rosy cheeks", "glasses").
        regions: canonical region names that the edit touches.
        remove: the attribute is to be taken away ("no glasses", "remove bangs").
        tokens: the words that are new in the target sentence.
    """

    text: str
    regions: tuple[str, ...]
    remove: bool = False
    tokens: tuple[str, ...] = ()


@dataclass(frozen=True)
class EditText:
    """What a text edit says in full sentences: from `source` to `target`, away from `negative`."""

    phrases: tuple[AttributePhrase, ...]
    source: str
    target: str
    negative: str = ""

    @property
    def regions(self) -> tuple[str, ...]:
        """Regions of all phrases, each once, in order."""
        return tuple(dict.fromkeys(region for phrase in self.phrases for region in phrase.regions))

    @property
    def tokens(self) -> tuple[str, ...]:
        """New words of all phrases, in order."""
        return tuple(token for phrase in self.phrases for token in phrase.tokens)


@dataclass(frozen=True)
class Mask:
    """Where to edit.

    Attributes:
        values: float32 [H, W] in [0, 1] at the picture's size, 1 = edit.
        origin: where it came from ("template: cheeks").
        note: a sentence for the user about how it was found, or empty.
        heat: how sure a locator was, float32 [H, W] in [0, 1], where it can tell.
    """

    values: Float2
    origin: str
    note: str = ""
    heat: Float2 | None = None


@dataclass(frozen=True)
class Record:
    """How a result was made: plain JSON values only, embedded in the file, enough for `replay`."""

    data: dict[str, Any]


@dataclass(frozen=True)
class Result:
    """An edited picture: `rgb` uint8 [H, W, 3] at the input's size, equal to the input wherever `mask` is 0.

    `safety` is what the safety checker said: "off" where the recipe does not ask it, "clear" or "flagged".
    """

    picture: Picture
    rgb: Bytes3
    mask: Mask
    record: Record
    warnings: tuple[str, ...] = ()
    safety: str = "off"
