"""Rendered portraits in the LAMask-Caption form: their parts are known, and so is what can be said of them."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from faceedit.errors import OutputError
from faceedit.images import write_atomic
from faceedit.lamask.form import CAPTIONS, LocalCaption, mask_name, write_marker
from faceedit.lamask.parts import PARTS, REGION_PARTS, regions_in
from faceedit.portraits.attributes import stream, visible_values
from faceedit.portraits.captions import KINDS, caption
from faceedit.portraits.render import Rendered, render

_CHOICES = 19
# What 19 parts cannot tell apart lies in the part around it.
_AROUND = {
    "cheeks": "skin", "beard": "skin", "chin": "skin", "under_eyes": "skin", "forehead": "skin", "makeup": "eyes",
    "expression": "face_shape", "pupils": "eyes", "hairline": "hair",
}  # fmt: skip
_UNLOCAL = ("age", "gender", "skin_tone")
_WORN = {"eyeglasses": "glasses", "hat": "hat", "earring": "earring", "necklace": "necklace"}


def portrait_parts(portrait: Rendered) -> NDArray[np.uint8]:
    """The 19-part index map [S, S] of a portrait rendered with its regions.

    Clothes count as background, and the inside of an open mouth as the lips around it: the renderer keeps no mask of
    either. Left and right are the picture's.
    """
    region = {name: mask >= 0.5 for name, mask in portrait.regions.items()}
    a = portrait.attributes
    x = np.arange(portrait.size)[None, :] < portrait.landmarks["nose_tip"][0]
    y = np.arange(portrait.size)[:, None] < portrait.landmarks["mouth_left"][1]
    parts = np.zeros((portrait.size, portrait.size), np.uint8)

    def paint(where: NDArray[np.bool_], name: str, right: str | None = None) -> None:
        parts[where & x if right else where] = PARTS.index(name)
        if right:
            parts[where & ~x] = PARTS.index(right)

    paint(region["skin"], "neck")
    paint(region["face_shape"], "skin")
    paint(region["ears"] & ~region["face_shape"], "l_ear", "r_ear")
    paint(region["nose"], "nose")
    paint(region["eyebrows"], "l_brow", "r_brow")
    if a.eyes != "closed":
        paint(region["eyes"] & ~region["skin"] & ~region["eyebrows"], "l_eye", "r_eye")
    parts[region["lips"]] = np.broadcast_to(np.where(y, PARTS.index("u_lip"), PARTS.index("l_lip")), parts.shape)[
        region["lips"]
    ]
    if a.hair_style != "bald":
        paint(region["hair"], "hair")
    for name, part in (("necklace", "neck_l"), ("earring", "ear_r"), ("eyeglasses", "eye_g"), ("hat", "hat")):
        if getattr(a, _WORN[name]) != "none":
            paint(region[name], part)
    return parts


def portrait_captions(portrait: Rendered, image: str, parts: NDArray[np.uint8]) -> list[LocalCaption]:
    """A caption of each kind for everything local that can be seen and whose region shows in the index map."""
    rng = stream(portrait.seed, _CHOICES)
    shown, said = regions_in(parts), []
    for item in visible_values(portrait.attributes):
        region = next((_AROUND.get(name, name) for name in item.regions), "")
        if item.field in _UNLOCAL or region not in REGION_PARTS or region not in shown:
            continue
        for kind in KINDS:
            text = caption(portrait.attributes, rng, kind, [item.field])
            said.append(LocalCaption(image, region, kind, text, f"portrait {portrait.seed}", "faceedit.portraits"))
    return said


def write_portraits(
    out: Path,
    count: int,
    seed: int = 0,
    size: int = 256,
    progress: Callable[[int], None] | None = None,
    force: bool = False,
) -> int:
    """Write `count` portraits from `seed` on in the LAMask-Caption form; `captions.jsonl` comes last.

    Args:
        out: folder to write; made where it is missing.
        count: number of portraits.
        seed: seed of the first; the next ones count up.
        size: width and height in pixels.
        progress: called with the number of portraits written so far.
        force: write into a folder that holds something already.

    Returns:
        Number of captions.

    Raises:
        OutputError: the folder is not empty, or cannot be written.
        UsageError: seed or size is out of range.
    """
    try:
        if not force and out.is_dir() and any(out.iterdir()):
            raise OutputError(f"{out} is not empty", "choose another folder or pass --force")
        for name in ("images", "masks"):
            (out / name).mkdir(parents=True, exist_ok=True)
        lines: list[str] = []
        for index in range(count):
            portrait = render(seed + index, size)
            image = f"images/{seed + index:09d}.png"
            parts = portrait_parts(portrait)
            write_atomic(out / image, png_bytes(portrait.image), force=True)
            write_atomic(out / mask_name(image), png_bytes(parts), force=True)
            lines += [caption.line() for caption in portrait_captions(portrait, image, parts)]
            if progress is not None:
                progress(index + 1)
        write_marker(out)
        write_atomic(out / CAPTIONS, "".join(f"{line}\n" for line in lines).encode(), force=True)
    except OSError as error:
        raise OutputError(f"cannot write to {out}: {error.strerror}", "check the folder and the free space") from error
    return len(lines)


def png_bytes(pixels: NDArray[np.uint8]) -> bytes:
    """A picture [H, W, 3] or a grey map [H, W] as PNG."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()
