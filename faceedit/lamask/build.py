"""Any folder of faces into the LAMask-Caption form: cropped, parsed, described; resumable picture by picture."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from faceedit import faces
from faceedit.errors import ImageError, NothingToEditError, OutputError, UsageError
from faceedit.images import load_picture, write_atomic
from faceedit.lamask.form import CAPTIONS, KINDS, LocalCaption, is_lamask, mask_name, write_marker
from faceedit.lamask.parts import REGION_PARTS, regions_in
from faceedit.lamask.portraits import png_bytes
from faceedit.lamask.questions import cleaned, fault, prompt_id, question

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")
TRIES = 3
_RECORDS = "records"


class Parses(Protocol):
    """A face parser."""

    def parse(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """uint8 [H, W, 3] to parts, uint8 [H, W]."""


class Answers(Protocol):
    """A vision-language model."""

    def answer(self, rgb: NDArray[np.uint8], question: str, seed: int = 0) -> str:
        """The answer to a question about a picture."""


@dataclass(frozen=True)
class BuildSettings:
    """What a record depends on besides the picture; another size or model is done anew.

    Attributes:
        size: side of the square pictures that are written.
        model: name that is written with every caption.
        parser: name of the face parser.
        kinds: which kinds of captions are asked for.
        seed: of the answers.
        whole: take pictures whole instead of looking for a face in them.
    """

    size: int = 512
    model: str = ""
    parser: str = ""
    kinds: tuple[str, ...] = KINDS
    seed: int = 0
    whole: bool = False


@dataclass
class BuildReport:
    """Counts over a folder: pictures done now and before, captions, answers that were not taken by reason, failures."""

    done: int = 0
    kept: int = 0
    captions: int = 0
    rejected: dict[str, int] = field(default_factory=dict)
    given_up: int = 0
    failed: dict[str, str] = field(default_factory=dict)


def build(
    source: Path,
    out: Path,
    parser: Parses,
    describer: Answers,
    settings: BuildSettings = BuildSettings(),
    progress: Callable[[int, int], None] | None = None,
) -> BuildReport:
    """Write the pictures of a folder (and of folders in it) in the LAMask-Caption form.

    Every picture gets a record when it is done; a run that was broken off goes on with the others, and `captions.jsonl`
    is put together from the records at the end. Pictures that are the same are taken once. One that cannot be read or
    shows no face is reported, and tried again by the next run.

    Args:
        source: folder of pictures.
        out: folder to write; may hold an earlier run's work.
        parser: finds the 19 parts.
        describer: writes the captions.
        settings: see `BuildSettings`.
        progress: called with (pictures seen, pictures in all).

    Raises:
        UsageError: no picture in the folder.
        OutputError: the folder cannot be written, or holds something else.
    """
    pictures = sorted(p for p in source.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not pictures:
        raise UsageError(f"{source} holds no picture", f"it takes {', '.join(SUFFIXES)}")
    _prepare(out)
    report, records = BuildReport(), {}
    for number, path in enumerate(pictures):
        try:
            data = path.read_bytes()
            name = hashlib.sha256(data).hexdigest()[:16]
            record = _kept(out, name, settings)
            if record is None:
                record = _make(out, name, path.relative_to(source).as_posix(), data, parser, describer, settings)
                report.done += name not in records
            else:
                report.kept += name not in records
            records[name] = record
        except (ImageError, NothingToEditError, OSError) as error:
            report.failed[path.relative_to(source).as_posix()] = str(error)
        if progress is not None:
            progress(number + 1, len(pictures))
    lines = [LocalCaption(**said).line() for name in sorted(records) for said in records[name]["captions"]]
    for record in records.values():
        report.given_up += record["given_up"]
        for reason, count in record["rejected"].items():
            report.rejected[reason] = report.rejected.get(reason, 0) + count
    report.captions = len(lines)
    write_atomic(out / CAPTIONS, "".join(f"{line}\n" for line in lines).encode(), force=True)
    return report


def describe(
    rgb: NDArray[np.uint8], regions: Sequence[str], image: str, source: str, describer: Answers, settings: BuildSettings
) -> tuple[list[LocalCaption], dict[str, int], int]:
    """Captions of every region and kind whose answer stood the check within `TRIES`.

    Returns:
        The captions, how many answers were not taken by reason, and how many questions were given up.
    """
    said: list[LocalCaption] = []
    rejected: dict[str, int] = {}
    given_up = 0
    for region in regions:
        for kind in settings.kinds:
            for attempt in range(TRIES):
                text = cleaned(describer.answer(rgb, question(region, kind), settings.seed + attempt))
                reason = fault(text, region)
                if not reason:
                    said.append(LocalCaption(image, region, kind, text, source, settings.model, prompt_id(kind)))
                    break
                rejected[reason] = rejected.get(reason, 0) + 1
            else:
                given_up += 1
    return said, rejected, given_up


def _make(
    out: Path, name: str, source: str, data: bytes, parser: Parses, describer: Answers, settings: BuildSettings
) -> dict[str, Any]:
    picture = load_picture(data)
    if settings.whole:
        portrait = faces.whole_portrait(picture)
    else:
        portrait = faces.portrait_of(picture, faces.choose_face(faces.find_faces(picture)))
    rgb = faces.crop_pixels(portrait, settings.size)
    parts = parser.parse(rgb)
    image = f"images/{name}.png"
    said, rejected, given_up = describe(rgb, regions_in(parts), image, source, describer, settings)
    write_atomic(out / image, png_bytes(rgb), force=True)
    write_atomic(out / mask_name(image), png_bytes(parts), force=True)
    record = {
        "key": _key(settings),
        "source": source,
        "captions": [asdict(caption) for caption in said],
        "rejected": rejected,
        "given_up": given_up,
    }
    # The record comes last: where it is, picture and mask are whole.
    write_atomic(out / _RECORDS / f"{name}.json", json.dumps(record, indent=1).encode(), force=True)
    return record


def _kept(out: Path, name: str, settings: BuildSettings) -> dict[str, Any] | None:
    image = f"images/{name}.png"
    if not ((out / image).is_file() and (out / mask_name(image)).is_file()):
        return None
    try:
        record: dict[str, Any] = json.loads((out / _RECORDS / f"{name}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if record.get("key") == _key(settings) else None


def _key(settings: BuildSettings) -> str:
    asked = [question(region, kind) for region in REGION_PARTS for kind in settings.kinds]
    return hashlib.sha256(json.dumps([asdict(settings), asked], sort_keys=True).encode()).hexdigest()[:16]


def _prepare(out: Path) -> None:
    try:
        if out.is_dir() and any(out.iterdir()) and not is_lamask(out):
            raise OutputError(f"{out} holds something else", "choose a new folder")
        for part in ("images", "masks", _RECORDS):
            (out / part).mkdir(parents=True, exist_ok=True)
        write_marker(out)
    except OSError as error:
        raise OutputError(f"cannot write to {out}: {error.strerror}", "check the folder and the free space") from error
