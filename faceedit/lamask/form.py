"""A folder in the LAMask-Caption form: what it holds, read strictly, and every fault of one that is not right.

DIR/lamask-caption.json   {"form": "lamask-caption/1", "parts": [19 names]}
DIR/images/NAME.png       pictures (PNG, JPEG or WebP)
DIR/masks/NAME.png        8-bit grey, the picture's size: the index of each pixel's part
DIR/captions.jsonl        one local caption a line: image, region, kind, text, source, model, prompt
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceedit.errors import FaceEditError, ImageError, UsageError
from faceedit.images import load_picture
from faceedit.lamask.parts import PARTS, REGION_PARTS, region_mask

FORM = "lamask-caption/1"
MARKER, CAPTIONS = "lamask-caption.json", "captions.jsonl"
KINDS = ("direct", "indirect", "subjective")
_LONGEST = 300


@dataclass(frozen=True)
class LocalCaption:
    """A line of `captions.jsonl`.

    Attributes:
        image: path inside the folder ("images/000000.png").
        region: a key of `REGION_PARTS`.
        kind: "direct", "indirect" or "subjective".
        text: what is said of the region.
        source: where the picture comes from.
        model: who wrote the text.
        prompt: id of the question that it answers, or "".
    """

    image: str
    region: str
    kind: str
    text: str
    source: str = ""
    model: str = ""
    prompt: str = ""

    def line(self) -> str:
        """The caption as a line of JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)


@dataclass(frozen=True)
class LamaskFolder:
    """A folder that was read: image path -> its captions; pictures and masks are opened when they are asked for."""

    path: Path
    captions: Mapping[str, tuple[LocalCaption, ...]]

    @property
    def images(self) -> tuple[str, ...]:
        """Paths of the pictures that have captions, sorted."""
        return tuple(sorted(self.captions))

    def picture(self, image: str) -> NDArray[np.uint8]:
        """uint8 [H, W, 3] sRGB. Raises ImageError where it cannot be read."""
        return load_picture(self.path / image).rgb

    def parts(self, image: str) -> NDArray[np.uint8]:
        """uint8 [H, W], index of each pixel's part. Raises ImageError where it cannot be read or is no such map."""
        return read_parts(self.path / mask_name(image))


def is_lamask(path: Path) -> bool:
    """Whether a folder says that it is in this form."""
    return (path / MARKER).is_file()


def mask_name(image: str) -> str:
    """ "images/a.jpg" -> "masks/a.png"."""
    return f"masks/{PurePosixPath(image).stem}.png"


def write_marker(path: Path) -> None:
    """Say what a folder is."""
    (path / MARKER).write_text(json.dumps({"form": FORM, "parts": PARTS}, indent=1) + "\n", encoding="utf-8")


def read_parts(path: Path) -> NDArray[np.uint8]:
    """An index map, uint8 [H, W].

    Raises:
        ImageError: no 8-bit grey or palette PNG, or an index beyond the 19 parts.
    """
    try:
        with Image.open(path) as opened:
            if opened.mode not in ("L", "P"):
                raise ImageError(f"{path} is no index map but {opened.mode}", "masks are 8-bit grey PNG files")
            parts = np.array(opened, np.uint8)
    except OSError as error:
        raise ImageError(f"{path} cannot be read", "masks are 8-bit grey PNG files") from error
    if int(parts.max(initial=0)) >= len(PARTS):
        raise ImageError(f"{path} holds part {parts.max()}", f"the parts are 0 to {len(PARTS) - 1}")
    return parts


def read_form(path: Path) -> LamaskFolder:
    """Read a folder's captions; pictures and masks are looked at by `faults`.

    Raises:
        UsageError: it is not in this form, or a line of its captions is wrong; the line is named.
    """
    try:
        marker = json.loads((path / MARKER).read_text(encoding="utf-8"))
        lines = (path / CAPTIONS).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} is not in the LAMask-Caption form: {error}", "see docs/data.md") from error
    if not isinstance(marker, dict) or marker.get("form") != FORM or tuple(marker.get("parts", ())) != PARTS:
        raise UsageError(f"{path / MARKER} tells of another form than {FORM}", "see docs/data.md")
    captions: dict[str, list[LocalCaption]] = {}
    for number, line in enumerate(lines, 1):
        caption = _caption(line, f"{path / CAPTIONS}, line {number}")
        captions.setdefault(caption.image, []).append(caption)
    if not captions:
        raise UsageError(f"{path / CAPTIONS} holds no caption", "see docs/data.md")
    return LamaskFolder(path, {image: tuple(said) for image, said in captions.items()})


def faults(folder: LamaskFolder) -> Iterator[str]:
    """A line for every fault of a folder's pictures and masks: unreadable, of two sizes, a caption without place."""
    for image in folder.images:
        try:
            picture, parts = folder.picture(image), folder.parts(image)
        except FaceEditError as error:
            yield f"{image}: {error}"
            continue
        if picture.shape[:2] != parts.shape:
            yield f"{image}: the mask is {parts.shape[1]}x{parts.shape[0]}, not {picture.shape[1]}x{picture.shape[0]}"
            continue
        for region in dict.fromkeys(caption.region for caption in folder.captions[image]):
            if not region_mask(parts, region).any():
                yield f"{image}: a caption speaks of {region}, and the mask shows none"


def _caption(line: str, where: str) -> LocalCaption:
    try:
        values: Any = json.loads(line)
    except ValueError as error:
        raise UsageError(f"{where} is no JSON", "one object a line") from error
    names = {f.name for f in fields(LocalCaption)}
    if not isinstance(values, dict) or not {"image", "region", "kind", "text"} <= set(values) <= names:
        raise UsageError(f"{where}: the keys are not those of a caption", f"they are {', '.join(sorted(names))}")
    if not all(isinstance(value, str) for value in values.values()):
        raise UsageError(f"{where}: every value is a text", "see docs/data.md")
    caption = LocalCaption(**values)
    place = PurePosixPath(caption.image)
    if place.parent != PurePosixPath("images") or place.name in ("", "..") or "\\" in caption.image:
        raise UsageError(f"{where}: {caption.image!r} lies outside images/", "write images/NAME.png")
    if caption.region not in REGION_PARTS:
        raise UsageError(f"{where}: unknown region {caption.region!r}", f"they are {', '.join(REGION_PARTS)}")
    if caption.kind not in KINDS:
        raise UsageError(f"{where}: unknown kind {caption.kind!r}", f"they are {', '.join(KINDS)}")
    if not 0 < len(caption.text.strip()) <= _LONGEST:
        raise UsageError(f"{where}: a text of {len(caption.text)} characters", f"1 to {_LONGEST}")
    return caption
