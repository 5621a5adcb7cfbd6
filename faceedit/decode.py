"""From the bytes of a PNG, JPEG, WebP or TIFF file to an upright 8-bit sRGB picture, within limits."""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
import zlib
from typing import Any

from PIL import ExifTags, Image

from faceedit.colour import normalise
from faceedit.credentials import find_store
from faceedit.errors import ImageError
from faceedit.metadata import clean_exif, clean_xmp, read_exif
from faceedit.request import Picture

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF")
MIN_SIDE = 16
MAX_SIDE = 16384
MAX_PIXELS = 89_000_000  # below the count at which Pillow itself begins to suspect a decompression bomb
MAX_BYTES = 1 << 29
MAX_CHUNKS = 100_000  # Pillow takes a second for so many; a camera's or editor's PNG has fewer than 70,000

_ANEW = "get or export the file again"
_PNG = b"\x89PNG\r\n\x1a\n"

# Pillow answers damaged data with any of these, depending on the codec and on where the damage sits.
DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    OverflowError,
    ZeroDivisionError,
    EOFError,
    NotImplementedError,
    RuntimeError,
    struct.error,
    zlib.error,
)
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(data: bytes, name: str) -> Picture:
    """Decode a picture completely, upright and in 8-bit sRGB.

    Args:
        data: the encoded file.
        name: printable name for messages.

    Raises:
        ImageError: not one of the four formats, damaged, or outside the limits; those are checked before decoding.
    """
    image = open_limited(data, name)
    notes: list[str] = []
    frames = _frame_count(image)
    if frames > 1:
        notes.append(f"The file holds {frames} pictures; the first one is used.")
    exif = read_exif(image)
    kept_exif = clean_exif(exif) if exif is not None else None  # before load(), which loses a TIFF's details
    load(image, data, name)
    if exif is None:
        notes.append("The EXIF block is broken and was left out.")
    turn = _TURNS.get(exif.get(ExifTags.Base.Orientation, 1)) if exif is not None else None
    info: dict[str, Any] = {str(key): value for key, value in image.info.items()}
    image_format = str(image.format)
    if _is_deep_colour(image, data):
        notes.append("16-bit colour was read as 8-bit.")
    upright = image if turn is None else image.transpose(turn)
    upright.info.update({key: info[key] for key in ("transparency",) if key in info})
    try:
        pixels = normalise(upright, info.get("icc_profile"))
    except ImageError as error:
        raise ImageError(f"cannot read {name}: {error}", error.hint) from None
    except DECODE_ERRORS as error:
        raise ImageError(f"cannot read {name}: its pixels do not convert ({plain(error)})", _ANEW) from None
    xmp = _xmp(image, info)
    cleaned = clean_xmp(xmp) if xmp else None
    if xmp and cleaned is None:
        notes.append("The XMP packet is broken and was left out.")
    store = find_store(data)
    if store:
        notes.append(
            "The input carries C2PA credentials, which hold for it alone; the result names them by their hash."
        )
    mode = ("L" if pixels.grey else "RGB") + ("" if pixels.alpha is None else "A")
    return Picture(
        rgb=pixels.rgb,
        alpha=pixels.alpha,
        mode=mode,
        format="JPEG" if image_format == "MPO" else image_format,
        icc_profile=pixels.icc_profile,
        exif=kept_exif,
        xmp=cleaned,
        sha256=hashlib.sha256(data).hexdigest(),
        credentials=hashlib.sha256(store).hexdigest() if store else "",
        notes=(*notes, *pixels.notes),
    )


def open_limited(data: bytes, name: str, min_side: int = MIN_SIDE) -> Image.Image:
    """Read the header only and hold it against the limits.

    Raises:
        ImageError: empty, of another format, or too small or too large.
    """
    if not data:
        raise ImageError(f"{name} is empty", "give a PNG, JPEG, WebP or TIFF file")
    if data.startswith(_PNG) and _has_too_many_chunks(data):
        raise ImageError(f"{name} is in more than {MAX_CHUNKS:,} pieces (PNG chunks)", _ANEW)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageError(
            f"{name} is too large: more than {MAX_PIXELS:,} pixels", "scale it down or crop it to the person"
        ) from None
    except DECODE_ERRORS:
        heic = data[4:8] == b"ftyp"
        hint = (
            "HEIC and AVIF are not read: convert it to PNG or JPEG" if heic else "give a PNG, JPEG, WebP or TIFF file"
        )
        raise ImageError(f"{name} is not a picture that can be read", hint) from None
    width, height = image.size
    if min(width, height) < min_side:
        raise ImageError(f"{name} is too small: {width}x{height}", f"each side needs at least {min_side} pixels")
    if max(width, height) > MAX_SIDE or width * height > MAX_PIXELS:
        raise ImageError(
            f"{name} is too large: {width}x{height}",
            f"the limits are {MAX_SIDE} pixels a side and {MAX_PIXELS:,} in all; scale it down or crop it",
        )
    return image


def load(image: Image.Image, data: bytes, name: str) -> None:
    """Decode the first frame to its last pixel, with the check sums that Pillow's PNG reader passes over.

    Raises:
        ImageError: the picture is damaged or cut off.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            if image.format == "PNG":
                Image.open(io.BytesIO(data), formats=("PNG",)).verify()
            image.seek(0)
            image.load()
    except DECODE_ERRORS as error:
        raise ImageError(f"cannot read {name}: the picture is damaged or cut off ({plain(error)})", _ANEW) from None


def plain(text: object) -> str:
    """Any text on one printable line: escape sequences and newlines are spelt out."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in str(text))


def _has_too_many_chunks(data: bytes) -> bool:
    place = len(_PNG)
    for _ in range(MAX_CHUNKS):
        if place >= len(data):
            return False
        place += 12 + int.from_bytes(data[place : place + 4], "big")  # length, name and check sum around the content
    return True


def _frame_count(image: Image.Image) -> int:
    try:
        return int(getattr(image, "n_frames", 1))
    except DECODE_ERRORS:
        return 1


def _is_deep_colour(image: Image.Image, data: bytes) -> bool:
    if image.mode not in ("RGB", "RGBA", "LA"):
        return False
    if image.format == "PNG":
        return data[24] == 16
    bits = getattr(image, "tag_v2", {}).get(258, 8)
    return bool(max(bits if isinstance(bits, tuple) else (bits,)) > 8)


def _xmp(image: Image.Image, info: dict[str, Any]) -> bytes | None:
    packet = info.get("xmp") or info.get("XML:com.adobe.xmp") or getattr(image, "tag_v2", {}).get(700)
    if isinstance(packet, str):
        return packet.encode("utf-8")
    return bytes(packet) if isinstance(packet, (bytes, tuple)) else None
