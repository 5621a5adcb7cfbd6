"""Any folder of photographs into the Text2Mask form: cropped, parsed, masked; bad cases counted and left out."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from faceedit import faces
from faceedit.errors import ImageError, NothingToEditError, UsageError
from faceedit.images import load_picture
from faceedit.lamask.build import SUFFIXES, Parses
from faceedit.regions import TEXT2MASK_REGIONS
from faceedit.text2mask.form import SAMPLES, Description, Sample
from faceedit.text2mask.places import face_on_crop, photo_masks
from faceedit.text2mask.write import SMALLEST_SHARE, begin, describe, finish, on_grid, write_sample, written

SMALLEST_FACE = 64
"""Width in pixels from which a face is large enough to be parsed."""


@dataclass
class PhotoReport:
    """Counts over a folder.

    Attributes:
        done: pictures of this run.
        kept: pictures of an earlier run.
        pairs: pairs of a text and a mask, over both.
        left_out: pictures without a good face, by reason.
        missing: masks that were not good, by region, over the pictures of this run.
        failed: files that cannot be read -> why.
    """

    done: int = 0
    kept: int = 0
    pairs: int = 0
    left_out: dict[str, int] = field(default_factory=dict)
    missing: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


class BadCaseError(NothingToEditError):
    """A picture that gives no sample; the message is the reason under which it is counted."""


def write_photographs(
    source: Path,
    out: Path,
    parser: Parses,
    parser_name: str,
    size: int = 512,
    grid: int = 0,
    regions: tuple[str, ...] = TEXT2MASK_REGIONS,
    progress: Callable[[int, int], None] | None = None,
) -> PhotoReport:
    """Write the largest face of every picture of a folder (and of folders in it); what an earlier run finished is kept.

    Pictures that are the same are taken once. Those that were left out or cannot be read are tried again by the next
    run.

    Args:
        source: folder of pictures.
        out: folder to write; may hold an earlier run's work with the same settings.
        parser: finds the 19 parts.
        parser_name: kept in the folder's description.
        size: side of the pictures that are written, a multiple of `grid`.
        grid: side of the masks; 0 is an eighth of `size`.
        regions: which masks.
        progress: called with (pictures seen, pictures in all).

    Raises:
        UsageError: no picture in the folder, or the grid does not divide `size`.
        OutputError: the folder holds something else, was begun with other settings, or cannot be written.
        NothingToEditError: no picture gave a sample.
    """
    pictures = sorted(p for p in source.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not pictures:
        raise UsageError(f"{source} holds no picture", f"it takes {', '.join(SUFFIXES)}")
    description = describe(size, grid or size // 8, f"photographs, {parser_name}", regions)
    begin(out, description)
    (out / SAMPLES).unlink(missing_ok=True)
    report, samples, bad = PhotoReport(), dict[str, Sample](), dict[str, str]()
    for number, path in enumerate(pictures, 1):
        known = path.relative_to(source).as_posix()
        try:
            data = path.read_bytes()
            name = hashlib.sha256(data).hexdigest()[:16]
            if name not in samples and name not in bad:
                before = written(out, name)
                samples[name] = before or _make(out, name, known, data, parser, description, report)
                report.kept += before is not None
                report.done += before is None
        except BadCaseError as error:
            bad[name] = str(error)
        except (ImageError, OSError) as error:
            report.failed[known] = str(error)
        if progress is not None:
            progress(number, len(pictures))
    report.left_out = dict(Counter(bad.values()))
    if not samples:
        reasons = ", ".join(f"{count} with {reason}" for reason, count in report.left_out.items())
        raise NothingToEditError(
            f"no picture of {source} gave a sample ({reasons or 'none can be read'})", "see docs/data.md"
        )
    finish(out, [samples[name] for name in sorted(samples)])
    report.pairs = sum(len(sample.texts) for sample in samples.values())
    return report


def _make(
    out: Path, name: str, source: str, data: bytes, parser: Parses, description: Description, report: PhotoReport
) -> Sample:
    picture = load_picture(data)
    found = faces.find_faces(picture)
    if not found:
        raise BadCaseError("no face")
    face = faces.choose_face(found)
    if min(face.box[2] - face.box[0], face.box[3] - face.box[1]) < SMALLEST_FACE:
        raise BadCaseError("a small face")
    portrait = faces.portrait_of(picture, face)
    size, regions = description.size, description.regions
    rgb = faces.crop_pixels(portrait, size)
    good = photo_masks(parser.parse(rgb), face_on_crop(portrait, size), regions, SMALLEST_SHARE)
    if "face_shape" not in good:
        raise BadCaseError("no parsed face")
    for region in regions:
        if region not in good:
            report.missing[region] = report.missing.get(region, 0) + 1
    empty = np.zeros((description.grid, description.grid), np.uint8)
    masks = np.stack([on_grid(good[r], description.grid) if r in good else empty for r in regions])
    return write_sample(out, name, rgb, masks, tuple(good), source)
