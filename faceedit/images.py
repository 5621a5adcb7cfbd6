"""Pictures in and out of files: reading with everything that must be kept, writing it back, atomic writes."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from faceedit.colour import srgb_profile
from faceedit.decode import MAX_BYTES, decode, plain
from faceedit.errors import ImageError, NumericError, OutputError, UsageError
from faceedit.request import Bytes3, Picture
from faceedit.temporary import temporary_name

SUFFIXES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP", ".tif": "TIFF", ".tiff": "TIFF"}
RECORD_KEY = "faceedit"
GREY_TOLERANCE = 16
_BLACK_LEVEL = 2
COMMENT_PREFIX = b"ASCII\x00\x00\x00"


def load_picture(source: Path | bytes) -> Picture:
    """Read a picture: PNG, JPEG, WebP or TIFF, recognised by content, decoded to the last pixel.

    Args:
        source: a file, or the encoded bytes themselves.

    Returns:
        The picture upright (all eight EXIF orientations applied), 8-bit sRGB, alpha beside it.

    Raises:
        ImageError: missing, no file, empty, no picture, damaged, or outside the limits of `faceedit.decode`.
    """
    return decode(*read_source(source))


def read_source(source: Path | bytes) -> tuple[bytes, str]:
    """The encoded bytes of a picture or mask and a printable name for messages.

    Raises:
        ImageError: the file is missing, is a folder, cannot be read, or is larger than 512 MiB.
    """
    if isinstance(source, bytes):
        return source, "the picture"
    name = plain(source)
    try:
        # Opening a named pipe waits until somebody writes to it; one that the shell made lies under /dev or /proc.
        if source.is_fifo() and source.parts[1:2] not in (("dev",), ("proc",)):
            raise ImageError(f"{name} is a pipe, not a file", "send the picture to stdin: ... | faceedit edit -")
        with source.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ImageError(f"{name} does not exist", "check the path") from None
    except (IsADirectoryError, PermissionError) as error:
        if source.is_dir():
            raise ImageError(f"{name} is a folder, not a picture", "name one file in it") from None
        raise ImageError(f"cannot read {name}: {error.strerror}", "check its permissions") from None
    except (OSError, ValueError) as error:
        raise ImageError(
            f"cannot read {name}: {plain(getattr(error, 'strerror', None) or error)}", "check the path"
        ) from None
    if len(data) > MAX_BYTES:
        raise ImageError(f"{name} is too large: more than {MAX_BYTES >> 20} MiB", "scale it down or crop it")
    return data, name


def format_of(path: Path) -> str:
    """The container that a file name asks for: "PNG", "JPEG", "WEBP" or "TIFF".

    Raises:
        UsageError: the suffix names none of them.
    """
    try:
        return SUFFIXES[path.suffix.lower()]
    except KeyError:
        raise UsageError(
            f"cannot write {plain(path.name)}: unknown suffix", f"use one of {', '.join(SUFFIXES)}"
        ) from None


def encode_picture(
    rgb: Bytes3,
    like: Picture,
    format: str | None = None,
    xmp: bytes | None = None,
    record: str | None = None,
    quality: int = 95,
    exif: bool = True,
) -> bytes:
    """Encode pixels with the input's alpha, grey, colour profile and cleaned EXIF.

    PNG, TIFF and WebP are lossless. JPEG is written 4:4:4 and cannot give back every pixel exactly, whatever the
    quality. A grey input is written grey unless some pixel's channels differ by more than `GREY_TOLERANCE` levels.
    Equal arguments give equal bytes.

    Args:
        rgb: uint8 [H, W, 3], sRGB, the size of `like`.
        like: the picture whose mode, alpha and metadata are kept.
        format: "PNG", "JPEG", "WEBP" or "TIFF"; `None` takes the input's own.
        xmp: packet to embed (`faceedit.provenance.edited_xmp`), or `None`.
        record: ASCII text for the PNG chunk `faceedit`, or for EXIF's UserComment elsewhere, or `None`.
        quality: of JPEG, 1 to 100.
        exif: whether to carry the input's cleaned EXIF.

    Raises:
        OutputError: the container cannot hold the alpha channel, the size or the record.
        NumericError: a black frame.
    """
    check_frame(rgb)
    container = format or like.format
    if rgb.shape[:2] != like.size:
        raise OutputError(f"the result is {rgb.shape[1]}x{rgb.shape[0]}, the input another size")
    image, profile = _pixels(rgb, like)
    if container == "JPEG" and like.alpha is not None:
        raise OutputError("JPEG has no alpha channel, but the input has one", "write a PNG, WebP or TIFF file instead")
    options: dict[str, Any] = {"format": container}
    if profile:
        options["icc_profile"] = profile
    comment = record if container != "PNG" else None
    block = _exif_block(like.exif if exif else None, comment, xmp if container == "TIFF" else None)
    if block:
        options["exif"] = block
    if container == "PNG":
        options["pnginfo"] = _png_text(xmp, record)
    elif container == "JPEG":
        options |= {"quality": quality, "subsampling": "4:4:4", "optimize": True} | ({"xmp": xmp} if xmp else {})
    elif container == "WEBP":
        options |= {"lossless": True, "exact": True, "method": 4} | ({"xmp": xmp} if xmp else {})
    else:
        options["compression"] = "raw"  # Pillow's compressing TIFF writer drops the EXIF details
    return _saved(image, options)


def encode_plain(values: NDArray[np.uint8], format: str = "PNG") -> bytes:
    """Encode pixels alone: masks, sheets, overlays; lossless but for JPEG.

    Args:
        values: uint8 [H, W] or [H, W, 3].
        format: "PNG", "JPEG", "WEBP" or "TIFF".

    Raises:
        OutputError: the container cannot hold the size.
    """
    lossless = {"lossless": True} if format == "WEBP" else {}
    quality = {"quality": 95, "subsampling": "4:4:4"} if format == "JPEG" else {}
    return _saved(Image.fromarray(np.ascontiguousarray(values)), {"format": format, **lossless, **quality})


def check_frame(rgb: NDArray[Any]) -> None:
    """Refuse a frame that must not be saved.

    Args:
        rgb: [..., 3], uint8 in [0, 255] or float in [0, 1], before any cast.

    Raises:
        NumericError: a value is not finite, or the whole frame is black.
    """
    if np.issubdtype(rgb.dtype, np.floating):
        if not np.isfinite(rgb).all():
            raise NumericError("the frame holds values that are not finite", "try --dtype fp32")
        black = float(rgb.max(initial=0)) * 255 <= _BLACK_LEVEL
    else:
        black = int(rgb.max(initial=0)) <= _BLACK_LEVEL
    if black:
        raise NumericError("the frame is black", "try --dtype fp32 or another seed")


def write_atomic(path: Path, data: bytes, force: bool = False) -> None:
    """Write a file whole or not at all: temporary file in the same folder, fsync, rename.

    Without `force` an existing file is never replaced, even when it appears while this one is being written.

    Raises:
        OutputError: the file exists, its folder is missing or not writable, the disk is full.
    """
    name = plain(path)
    try:
        if not path.parent.is_dir():
            raise OutputError(f"the folder {plain(path.parent)} does not exist", "create it first")
        if path.is_dir():
            raise OutputError(f"{name} is a folder", "name a file")
        if not force and os.path.lexists(path):
            raise _exists(name)
    except OSError as error:  # a name that the file system does not take
        raise OutputError(f"cannot write {name}: {error.strerror}", "choose another name") from None
    temporary = path.parent / temporary_name()
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if force:
            temporary.replace(path)
        else:
            _publish(temporary, path)
    except FileExistsError:
        raise _exists(name) from None
    except OSError as error:
        raise OutputError(f"cannot write {name}: {error.strerror}", "check space and permissions there") from None
    finally:
        temporary.unlink(missing_ok=True)


def _publish(temporary: Path, path: Path) -> None:
    """Give the finished file its name only where nobody has it; file systems without hard links reserve it first."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:
        path.open("xb").close()
        try:
            temporary.replace(path)
        except OSError:
            path.unlink(missing_ok=True)
            raise


def _exists(name: str) -> OutputError:
    return OutputError(f"{name} exists already", "add --force to replace it, or choose another name")


def _saved(image: Image.Image, options: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    try:
        image.save(buffer, **options)
    except (OSError, ValueError) as error:
        raise OutputError(f"cannot encode as {options['format']}: {plain(error)}", "write a PNG file instead") from None
    return buffer.getvalue()


def _pixels(rgb: Bytes3, like: Picture) -> tuple[Image.Image, bytes | None]:
    channels = rgb.astype(np.int16)
    spread = int((channels.max(axis=2) - channels.min(axis=2)).max())
    grey = like.mode in ("L", "LA") and spread <= GREY_TOLERANCE
    colours = rgb[:, :, 1] if grey else rgb
    image = Image.fromarray(np.ascontiguousarray(colours))
    if like.alpha is not None:
        image.putalpha(Image.fromarray(like.alpha))
    profile = like.icc_profile
    if like.mode in ("L", "LA") and not grey and profile:
        profile = srgb_profile()
    return image, profile


def _exif_block(exif: bytes | None, comment: str | None, xmp: bytes | None) -> bytes | None:
    if exif is None and comment is None and xmp is None:
        return None
    block = Image.Exif()
    if exif is not None:
        block.load(exif)
    if comment is not None:
        block.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.UserComment] = COMMENT_PREFIX + comment.encode("ascii")
    if xmp is not None:
        block[ExifTags.Base.XMLPacket] = xmp
    return block.tobytes()


def _png_text(xmp: bytes | None, record: str | None) -> PngInfo:
    text = PngInfo()
    if xmp:
        text.add_itxt("XML:com.adobe.xmp", xmp.decode("utf-8"))
    if record is not None:
        text.add_text(RECORD_KEY, record, zip=len(record) > 1024)
    return text
