"""A folder of files that a batch over strangers' pictures meets sooner or later, each with the reason it must be given.

`write_hostile(folder)` writes about fifty damaged, disguised or malicious files, `write_good(folder)` a few good ones
under awkward names and in awkward forms. Nothing here is random: two calls write the same bytes.

    python tests/hostile_files.py FOLDER
"""

from __future__ import annotations

import io
import os
import pickle
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

SIDE = 128
XMP_BOMB = b"<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;'>]><x>&b;</x>"


@dataclass(frozen=True)
class Hostile:
    """One bad file.

    Attributes:
        name: its name in the folder.
        why: what is wrong with it.
        expected_words: the message must hold one of these.
        code: exit code of `faceedit edit` on this file alone.
    """

    name: str
    why: str
    expected_words: tuple[str, ...]
    code: int = 1


class Trap:
    """Unpickling it makes a file: whoever finds it has run what the pickle says."""

    def __init__(self, mark: str) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return Path.touch, (Path(self.mark),)


def encoded(image: Image.Image, container: str = "PNG", **options: Any) -> bytes:
    """The file of an image."""
    buffer = io.BytesIO()
    image.save(buffer, container, **options)
    return buffer.getvalue()


def chunk(kind: bytes, body: bytes) -> bytes:
    """A PNG chunk with its right check sum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *chunks: bytes, depth: int = 8, colour: int = 2, data: bytes | None = None) -> bytes:
    """A PNG made by hand: any size in its header, further chunks, and whatever pixel data."""
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 100) if data is None else data
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        (chunk(b"IHDR", header), *chunks, chunk(b"IDAT", pixels), chunk(b"IEND", b""))
    )


def smooth(height: int = SIDE, width: int = SIDE) -> Image.Image:
    """A colourful picture without a face."""
    rows, columns = np.mgrid[0:height, 0:width]
    levels = np.stack([rows * 255 // height, columns * 255 // width, (rows + 2 * columns) % 200], axis=-1)
    return Image.fromarray(levels.astype(np.uint8))


def noise(height: int = SIDE, width: int = SIDE) -> Image.Image:
    """Grain, so that encoded data is long and damage hits pixels."""
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))


def replaced(data: bytes, at: int, new: bytes) -> bytes:
    """`data` with `new` written over it at `at`."""
    return data[:at] + new + data[at + len(new) :]


def jpeg_of_size(width: int, height: int) -> bytes:
    """A JPEG whose frame header claims a size."""
    data = encoded(smooth(), "JPEG")
    return replaced(data, data.index(b"\xff\xc0") + 5, struct.pack(">HH", height, width))


def tiff(width: int, height: int, *more: tuple[int, int, int, int], next_page: int = 0) -> bytes:
    """A little-endian TIFF of one uncompressed grey strip that lies at offset 8 and has 8 bytes."""
    tags = {
        256: (4, 1, width), 257: (4, 1, height), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1),
        273: (4, 1, 8), 277: (3, 1, 1), 278: (4, 1, height), 279: (4, 1, 8),
    }  # fmt: skip
    tags |= {tag: (kind, count, value) for tag, kind, count, value in more}
    entries = b"".join(struct.pack("<HHII", tag, *tags[tag]) for tag in sorted(tags))
    directory = struct.pack("<H", len(tags)) + entries + struct.pack("<I", next_page)
    return b"II*\0" + struct.pack("<I", 16) + b"\x80" * 8 + directory


def webp_of_size(width: int, height: int) -> bytes:
    """A lossless WebP whose header claims a size."""
    bits = 0x2F | (width - 1) << 8 | (height - 1) << 22
    body = struct.pack("<Q", bits)[:5] + b"\0" * 7
    return b"RIFF" + struct.pack("<I", 12 + len(body)) + b"WEBPVP8L" + struct.pack("<I", len(body)) + body


def packed(block: bytes, times: int) -> bytes:
    """`block` so many times over, deflated; the whole never lies in memory."""
    deflate = zlib.compressobj(9)
    return b"".join([deflate.compress(block) for _ in range(times)] + [deflate.flush()])


def archive() -> bytes:
    """The start of a file by `torch.save`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr(zipfile.ZipInfo("archive/data.pkl"), pickle.dumps({"state": 1}))
    return buffer.getvalue()


PICTURE = ("not a picture",)
DAMAGED = ("damaged", "not a picture")
LARGE = ("too large",)
NO_FACE = ("no face",)

Content = tuple[str, str, Callable[[], bytes], tuple[str, ...]]


def contents() -> Iterator[Content]:
    """(name, why, bytes, expected words) of every bad file that can be stored as plain bytes."""
    good = encoded(noise())
    jpeg = encoded(noise(), "JPEG")
    webp = encoded(noise(), "WEBP", lossless=True)
    long_tiff = encoded(noise(), "TIFF")
    middle = good.index(b"IDAT") + 4000

    # no picture at all
    yield "empty.png", "no bytes", lambda: b"", ("empty",)
    yield "words.png", "a text", lambda: b"these are words\n", PICTURE
    yield "page.jpg", "a web page, as a failed download leaves it", lambda: b"<!DOCTYPE html><html></html>", PICTURE
    yield "zeros.png", "64 KiB of zero bytes, as a failed disk leaves them", lambda: bytes(1 << 16), PICTURE
    yield "pointer.png", "a Git LFS pointer", lambda: b"version https://git-lfs.github.com/spec/v1\n", PICTURE
    yield "pickle.png", "a pickle that runs code", lambda: pickle.dumps(Trap("TRAP")), PICTURE
    yield "torch.png", "a torch checkpoint", archive, PICTURE
    yield "script.png", "a shell script", lambda: b"#!/bin/sh\ntouch TRAP\n", PICTURE
    yield (
        "drawing.png",
        "an SVG with an external entity",
        lambda: b'<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/passwd">]><svg>&x;</svg>',
        PICTURE,
    )
    yield "paper.jpg", "a PDF", lambda: b"%PDF-1.7\n1 0 obj<<>>endobj\n", PICTURE

    # pictures of a format that is not read, under the name of one that is
    yield "gif.png", "a GIF", lambda: encoded(smooth(), "GIF"), PICTURE
    yield "bitmap.jpg", "a BMP", lambda: encoded(smooth(), "BMP"), PICTURE
    yield "icon.png", "an ICO", lambda: encoded(smooth(), "ICO"), PICTURE
    yield "netpbm.png", "a PPM", lambda: encoded(smooth(), "PPM"), PICTURE
    yield "tga.png", "a TGA", lambda: encoded(smooth(), "TGA"), PICTURE
    yield "jpeg2000.jpg", "a JPEG 2000", lambda: b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(100), PICTURE
    yield "eps.png", "an EPS, which is a program", lambda: b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", PICTURE
    yield "layers.png", "a PSD", lambda: b"8BPS\0\1" + bytes(6) + struct.pack(">HIIHH", 3, 90, 90, 8, 3), PICTURE
    yield "stars.png", "a FITS", lambda: b"SIMPLE  =                    T".ljust(2880), PICTURE
    yield "phone.jpg", "a HEIC photograph", lambda: b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(64), PICTURE

    # cut off or damaged
    yield "signature.png", "a PNG cut after its signature", lambda: good[:8], DAMAGED
    yield "header.png", "a PNG cut in its header", lambda: good[:20], DAMAGED
    yield "half.png", "half a PNG", lambda: good[: len(good) // 2], DAMAGED
    yield "half.jpg", "half a JPEG", lambda: jpeg[: len(jpeg) // 2], DAMAGED
    yield "half.webp", "half a WebP", lambda: webp[: len(webp) // 2], DAMAGED
    yield "half.tif", "half a TIFF", lambda: long_tiff[: len(long_tiff) // 2], DAMAGED
    yield "marker.jpg", "a JPEG of nothing but its first marker", lambda: jpeg[:3], DAMAGED
    yield "sum.png", "a PNG with one wrong bit", lambda: replaced(good, middle, bytes([good[middle] ^ 1])), DAMAGED
    yield "short.png", "a PNG with too few pixels in it", lambda: png(SIDE, SIDE), DAMAGED
    yield "zero.png", "a PNG of no width", lambda: png(0, SIDE), DAMAGED
    yield "colour.png", "a PNG of a colour type that does not exist", lambda: png(SIDE, SIDE, colour=5), DAMAGED
    yield "offset.tif", "a TIFF whose pixels lie beyond its end", lambda: tiff(64, 64, (273, 4, 1, 1 << 30)), DAMAGED
    yield (
        "strips.tif",
        "a TIFF that counts four thousand million strips",
        lambda: tiff(64, 64, (273, 4, 0xFFFFFFFF, 8), (279, 4, 0xFFFFFFFF, 8)),
        DAMAGED,
    )
    yield "riff.webp", "a WebP whose chunk claims 4 GiB", lambda: replaced(webp, 16, b"\xff\xff\xff\xff"), DAMAGED

    # of a size that is no use, or that fills the memory
    yield "dot.png", "one pixel", lambda: encoded(Image.new("RGB", (1, 1))), ("too small",)
    yield "strip.png", "15 pixels high", lambda: encoded(smooth(15, 500)), ("too small",)
    yield (
        "bomb.png",
        "48 kB that decode to 400 million pixels",
        lambda: png(20_000, 20_000, depth=1, colour=0, data=packed(bytes(2501), 20_000)),
        LARGE,
    )
    yield "bomb.jpg", "a JPEG that claims 65,500 pixels a side", lambda: jpeg_of_size(65_500, 65_500), LARGE
    yield "bomb.webp", "a WebP that claims 16,383 pixels a side", lambda: webp_of_size(16_383, 16_383), LARGE
    yield "bomb.tif", "a TIFF that claims a million pixels a side", lambda: tiff(1_000_000, 1_000_000), LARGE
    yield "ribbon.png", "17,000 pixels wide", lambda: png(17_000, 20), LARGE
    yield "largest.png", "a PNG of the largest size that its header can say", lambda: png(2**31 - 1, 2**31 - 1), LARGE
    yield (
        "text.png",
        "a PNG with 200 MiB of text, packed into 200 kB",
        lambda: png(SIDE, SIDE, chunk(b"zTXt", b"Comment\0\0" + packed(bytes(1 << 20), 200))),
        DAMAGED,
    )
    yield (
        "float.tif",
        "floating-point pixels",
        lambda: encoded(Image.fromarray(np.zeros((32, 32), np.float32)), "TIFF"),
        ("floating-point",),
    )

    # pictures without a face
    yield "blank.png", "one colour", lambda: encoded(Image.new("RGB", (SIDE, SIDE), (200, 200, 200))), NO_FACE
    yield "black.jpg", "all black", lambda: encoded(Image.new("RGB", (SIDE, SIDE)), "JPEG"), NO_FACE
    yield "glass.png", "all transparent", lambda: encoded(Image.new("RGBA", (SIDE, SIDE))), NO_FACE
    yield "colours.webp", "colours without a face", lambda: encoded(smooth(), "WEBP"), NO_FACE


def write_hostile(folder: Path) -> list[Hostile]:
    """Writes every bad file into `folder`, which must exist, and says what each must be answered with."""
    told = []
    for name, why, make, words in contents():
        (folder / name).write_bytes(make())
        told.append(Hostile(name, why, words, 5 if words is NO_FACE else 1))
    (folder / "folder.png").mkdir()
    told.append(Hostile("folder.png", "a folder", ("folder",)))
    if os.name == "nt":
        return told
    (folder / "nowhere.png").symlink_to("gone.png")
    (folder / "circle.png").symlink_to("circle.png")
    os.mkfifo(folder / "pipe.png")
    (folder / "\x1b[31mred\nline.png").write_bytes(b"nothing")
    (folder / os.fsdecode(b"latin-\xe9.png")).write_bytes(b"nothing")
    return [
        *told,
        Hostile("nowhere.png", "a link to nothing", ("does not exist",)),
        Hostile("circle.png", "a link to itself", ("cannot read",)),
        Hostile("pipe.png", "a named pipe that nobody writes to: opening it waits for ever", ("pipe",)),
        Hostile("\x1b[31mred\nline.png", "a name that recolours the terminal and fakes a line", PICTURE),
        Hostile(os.fsdecode(b"latin-\xe9.png"), "a name that is no text", PICTURE),
    ]


def write_good(folder: Path) -> list[str]:
    """Writes good pictures with one face each into `folder` under awkward names; returns the names."""
    from faceedit.portraits.render import render

    faces = [Image.fromarray(render(seed, 192, regions=False).image) for seed in range(6)]
    turned = Image.Exif()
    turned[0x0112] = 6
    broken_exif = encoded(faces[4], "JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\xff\xff")
    entities = PngInfo()
    entities.add_itxt("XML:com.adobe.xmp", XMP_BOMB.decode())
    files = {
        "plain.png": encoded(faces[0]),
        "two words & more.png": encoded(faces[1]),
        "größe 漢字.webp": encoded(faces[2], "WEBP", lossless=True),
        "turned.jpg": encoded(faces[3].rotate(90, expand=True), "JPEG", exif=turned, quality=95),
        "$(touch TRAP).jpg": broken_exif,
        "both.png": encoded(faces[5], pnginfo=entities) + archive(),
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return list(files)


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    for bad in write_hostile(target):
        print(f"{bad.name!a}: {bad.why} -> {' | '.join(bad.expected_words)}")
    for good in write_good(target):
        print(f"{good!a}: good")
