"""A folder in the Text2Mask form, read strictly: pictures, soft masks on a grid, and the texts attached to them.

DIR/text2mask.json     {"form": "text2mask/1", "size", "grid", "regions", "source", "prompts", "unseen"}
DIR/images/NAME.png    RGB, size x size
DIR/masks/NAME.png     8-bit grey, grid wide and regions * grid high: one mask below the other, 255 = inside
DIR/samples.jsonl      one picture a line: image, source, texts (region -> the text attached to its mask)
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from einops import rearrange
from numpy.typing import NDArray
from PIL import Image

from faceedit.errors import FaceEditError, ImageError, UsageError
from faceedit.regions import REGIONS

FORM = "text2mask/1"
MARKER, SAMPLES = "text2mask.json", "samples.jsonl"


@dataclass(frozen=True)
class Description:
    """What `text2mask.json` says of a folder.

    Attributes:
        size: side of the pictures in pixels.
        grid: side of the masks; divides `size`.
        regions: which masks there are, in this order.
        source: what the masks come from ("portraits", or a parser's name).
        prompts: region -> texts of training.
        unseen: region -> phrases that are kept out of training.
    """

    size: int
    grid: int
    regions: tuple[str, ...]
    source: str
    prompts: Mapping[str, tuple[str, ...]]
    unseen: Mapping[str, tuple[str, ...]]

    def text(self) -> str:
        """The content of `text2mask.json`."""
        return json.dumps({"form": FORM, **asdict(self)}, indent=1) + "\n"


@dataclass(frozen=True)
class Sample:
    """One picture: its path in the folder, where it comes from, and one text for each region whose mask is there."""

    image: str
    source: str
    texts: Mapping[str, str]

    def line(self) -> str:
        """The sample as a line of JSON."""
        return json.dumps(asdict(self))


@dataclass(frozen=True)
class Text2Mask:
    """A folder that was read; pictures and masks are opened when they are asked for."""

    path: Path
    description: Description
    samples: tuple[Sample, ...]

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def size(self) -> int:
        """Side S of the pictures in pixels."""
        return self.description.size

    @property
    def grid(self) -> int:
        """Side g of the masks."""
        return self.description.grid

    @property
    def regions(self) -> tuple[str, ...]:
        """The R regions, in the order of the masks."""
        return self.description.regions

    @property
    def prompts(self) -> Mapping[str, tuple[str, ...]]:
        """Region -> texts of training, bare phrases and sentences."""
        return self.description.prompts

    @property
    def unseen(self) -> Mapping[str, tuple[str, ...]]:
        """Region -> phrases that no training sees."""
        return self.description.unseen

    @property
    def pairs(self) -> int:
        """Number of pairs of a text and a mask."""
        return sum(len(sample.texts) for sample in self.samples)

    def picture(self, index: int) -> NDArray[np.uint8]:
        """uint8 [S, S, 3] sRGB. Raises ImageError where it cannot be read or has another size."""
        return _pixels(self.path / self.samples[index].image, "RGB", (self.size, self.size))

    def masks(self, index: int) -> NDArray[np.uint8]:
        """uint8 [R, g, g], 255 = wholly inside. Raises ImageError where they cannot be read or have another size."""
        path = self.path / mask_name(self.samples[index].image)
        strip = _pixels(path, "L", (self.grid, self.grid * len(self.regions)))
        return rearrange(strip, "(r h) w -> r h w", r=len(self.regions))

    def present(self, index: int) -> NDArray[np.bool_]:
        """bool [R]: which of the masks are good; the others are not to be trained on."""
        return np.array([region in self.samples[index].texts for region in self.regions])

    def texts(self, index: int) -> Mapping[str, str]:
        """Region -> the text attached to its mask, for the regions that are there."""
        return self.samples[index].texts


def mask_name(image: str) -> str:
    """ "images/a.png" -> "masks/a.png"."""
    return f"masks/{PurePosixPath(image).name}"


def mask_strip(masks: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Masks [R, g, g] as they lie in a file, [R g, g]."""
    return rearrange(masks, "r h w -> (r h) w")


def open_text2mask(folder: Path) -> Text2Mask:
    """Read what a folder says of itself and its samples; pictures and masks are read one by one later.

    Raises:
        UsageError: it is not in this form or not finished, or a line of its samples is wrong; the line is named.
    """
    description = read_description(folder)
    try:
        lines = (folder / SAMPLES).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise UsageError(
            f"{folder} holds no {SAMPLES}: it was not finished", "run `faceedit data text2mask` once more on it"
        ) from error
    samples = tuple(_sample(line, description, f"{folder / SAMPLES}, line {i}") for i, line in enumerate(lines, 1))
    if not samples:
        raise UsageError(f"{folder / SAMPLES} holds no sample", "see docs/data.md")
    return Text2Mask(folder, description, samples)


def read_description(folder: Path) -> Description:
    """What a folder says of itself.

    Raises:
        UsageError: it is not in this form, or its sizes, regions or prompts are none.
    """
    path = folder / MARKER
    try:
        values: Any = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{folder} is not in the Text2Mask form: {error}", "see docs/data.md") from error
    names = {"form", *(f.name for f in fields(Description))}
    if not isinstance(values, dict) or set(values) != names or values["form"] != FORM:
        raise UsageError(f"{path} tells of another form than {FORM}", "see docs/data.md")
    try:
        said = ({str(k): _texts(v) for k, v in values[name].items()} for name in ("prompts", "unseen"))
        description = Description(
            int(values["size"]), int(values["grid"]), _texts(values["regions"]), str(values["source"]), *said
        )
    except (TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{path}: {error}", "see docs/data.md") from error
    require_sizes(description.size, description.grid)
    regions = description.regions
    if not regions or len(set(regions)) < len(regions) or not set(regions) <= set(REGIONS):
        raise UsageError(f"{path}: its regions are not ours", f"they are {', '.join(REGIONS)}")
    if any(not description.prompts.get(region) for region in regions):
        raise UsageError(f"{path}: a region has no prompt", "see docs/data.md")
    return description


def require_sizes(size: int, grid: int) -> None:
    """Refuse a grid that does not divide the pictures' side.

    Raises:
        UsageError: it does not.
    """
    if grid < 1 or size < grid or size % grid:
        raise UsageError(f"pictures of {size} px do not divide into a grid of {grid}", "choose a multiple of the grid")


def _sample(line: str, description: Description, where: str) -> Sample:
    try:
        values: Any = json.loads(line)
    except ValueError as error:
        raise UsageError(f"{where} is no JSON", "one object a line") from error
    if not isinstance(values, dict) or set(values) != {f.name for f in fields(Sample)}:
        raise UsageError(f"{where}: the keys are not those of a sample", "image, source, texts")
    sample = Sample(**values)
    if not isinstance(sample.image, str) or not isinstance(sample.texts, dict):
        raise UsageError(f"{where}: image is a path, texts an object", "see docs/data.md")
    place = PurePosixPath(sample.image)
    if place.parent != PurePosixPath("images") or place.name in ("", "..") or "\\" in sample.image:
        raise UsageError(f"{where}: {sample.image!r} lies outside images/", "write images/NAME.png")
    if not set(sample.texts) <= set(description.regions) or not all(isinstance(t, str) for t in sample.texts.values()):
        raise UsageError(f"{where}: texts of regions that the folder has not", ", ".join(description.regions))
    return sample


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item for item in value):
        raise ValueError("a list of texts was expected")
    return tuple(value)


def _pixels(path: Path, mode: str, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A file's pixels, refused before they are decoded where mode or (width, height) differ."""
    try:
        with Image.open(path) as opened:
            if opened.mode != mode or opened.size != size:
                raise ImageError(
                    f"{path} is {opened.mode}, {opened.width}x{opened.height}, not {mode}, {size[0]}x{size[1]}",
                    "the folder was changed: build it anew",
                )
            return np.array(opened, np.uint8)
    except FaceEditError:
        raise
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ImageError(f"{path} cannot be read", "the folder was changed: build it anew") from error
