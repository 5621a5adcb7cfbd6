"""Pictures, their metadata and masks, bent in every way."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from fuzzing import MASKS, RANDOM, bent, fuzz
from hostile_files import chunk, contents, encoded, noise, smooth
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from faceedit.decode import MAX_PIXELS, MAX_SIDE, MIN_SIDE
from faceedit.errors import ImageError, UsageError
from faceedit.images import encode_picture, load_picture
from faceedit.masks import load_mask
from faceedit.metadata import clean_xmp
from faceedit.provenance import edited_xmp, read_record, record_text


def seeds() -> dict[str, bytes]:
    """Real files of every format, mode and kind of metadata, small so that damage hits structure."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0112] = "maker", 6
    exif.get_ifd(0x8825)[2] = (48.0, 8.0, 15.0)
    xmp = edited_xmp(None, "0" * 64)
    small, grain = smooth(24, 20), noise(24, 20)
    pages = [smooth(24, 20), grain]
    return {
        "png": encoded(grain, "PNG", exif=exif, dpi=(72, 72)),
        "png grey 16": encoded(Image.fromarray(np.arange(480, dtype=np.uint16).reshape(24, 20) * 100), "PNG"),
        "png palette": encoded(small.quantize(16), "PNG", transparency=3),
        "png alpha": encoded(small.convert("RGBA"), "PNG"),
        "apng": encoded(small, "PNG", save_all=True, append_images=pages),
        "jpeg": encoded(grain, "JPEG", exif=exif, xmp=xmp),
        "jpeg progressive": encoded(grain, "JPEG", progressive=True),
        "jpeg cmyk": encoded(small.convert("CMYK"), "JPEG"),
        "webp": encoded(grain, "WEBP", exif=exif, xmp=xmp),
        "webp lossless": encoded(small.convert("RGBA"), "WEBP", lossless=True),
        "webp animated": encoded(small, "WEBP", save_all=True, append_images=pages),
        "tiff": encoded(grain, "TIFF", exif=exif),
        "tiff deflate": encoded(small, "TIFF", compression="tiff_adobe_deflate"),
        "tiff lzw pages": encoded(small, "TIFF", compression="tiff_lzw", save_all=True, append_images=pages),
        "tiff jpeg": encoded(small, "TIFF", compression="jpeg"),
        "tiff bilevel": encoded(small.convert("1"), "TIFF", compression="group4"),
    }


SEEDS = seeds()


def survives(data: bytes) -> None:
    """A picture within the limits that can also be written, or an ImageError with a hint."""
    try:
        picture = load_picture(data)
    except ImageError as error:
        assert "\n" not in str(error) and error.hint
        return
    height, width = picture.size
    assert min(height, width) >= MIN_SIDE and max(height, width) <= MAX_SIDE and height * width <= MAX_PIXELS
    assert picture.rgb.shape == (height, width, 3) and picture.rgb.dtype == np.uint8
    if picture.rgb.max() > 2 and height * width < 1 << 20:
        again = load_picture(encode_picture(picture.rgb, picture, "PNG", xmp=edited_xmp(picture.xmp), record="{}"))
        assert again.size == picture.size and np.array_equal(again.rgb, picture.rgb)


@fuzz(400)
@given(bent(list(SEEDS.values())))
def test_bent_pictures(data: bytes) -> None:
    """Breaks when a codec's or a metadata reader's own exception escapes, or kept metadata cannot be written again."""
    survives(data)


@fuzz(150)
@given(RANDOM)
def test_random_bytes(data: bytes) -> None:
    """Breaks as above, where nothing is right but the first bytes."""
    survives(data)


def test_every_hostile_file_as_bytes() -> None:
    """Breaks as `test_bent_pictures`, on the files that were made by hand."""
    for _, _, make, _ in contents():
        survives(make())


@pytest.mark.parametrize("name", SEEDS)
def test_a_picture_cut_at_every_place(name: str) -> None:
    """Breaks when a file that ends early is read as whole, unless only what follows the pixels is missing."""
    data = SEEDS[name]
    whole = load_picture(data)
    for end in {*range(0, len(data), max(len(data) // 60, 1)), len(data) - 1, len(data) - 2}:
        try:
            picture = load_picture(data[:end])
        except ImageError:
            continue
        assert np.array_equal(picture.rgb, whole.rgb), end


@fuzz(60)
@given(st.sampled_from([b"eXIf", b"iCCP", b"iTXt", b"zTXt", b"tRNS", b"gAMA", b"cHRM", b"acTL", b"pHYs"]), RANDOM)
def test_png_chunks_with_any_content(kind: bytes, body: bytes) -> None:
    """Breaks when a chunk with a right check sum and a wrong content brings a reader down."""
    good = SEEDS["png palette"]
    place = good.index(b"IDAT") - 4
    survives(good[:place] + chunk(kind, body) + good[place:])


@fuzz(60)
@given(RANDOM)
def test_exif_with_any_content(body: bytes) -> None:
    """Breaks when an EXIF block with any content makes the picture unreadable: its pixels are whole."""
    data = SEEDS["jpeg progressive"]
    segment = b"\xff\xe1" + struct.pack(">H", len(body) + 8) + b"Exif\0\0" + body
    assert load_picture(data[:2] + segment + data[2:]).rgb.any()


XML = st.text(alphabet="<>/&;'\"=:?! abcx\n\0\ufeff", max_size=80).map(str.encode)


@fuzz(150)
@given(XML | bent([edited_xmp(None, "0" * 64)]) | st.binary(max_size=60))
def test_xmp_packets(packet: bytes) -> None:
    """Breaks when a packet escapes as an XML library's exception, or a cleaned one cannot carry the mark."""
    cleaned = clean_xmp(packet)
    assert b"compositeWithTrainedAlgorithmicMedia" in edited_xmp(cleaned, "0" * 64)


@fuzz(80)
@given(bent([encoded(noise(24, 20), "PNG"), encoded(noise(24, 20), "JPEG")]))
def test_pictures_with_a_record(data: bytes) -> None:
    """Breaks when a record is read from a damaged picture, or its damage is another exception."""
    try:
        record_text(read_record(data))
    except ImageError as error:
        assert error.hint


@fuzz(120)
@given(bent(MASKS) | RANDOM, st.booleans())
def test_masks(data: bytes, resize: bool) -> None:
    """Breaks when a damaged mask is a crash, of another size, out of range or not finite."""
    try:
        mask = load_mask(data, (24, 20), resize)
    except (ImageError, UsageError):
        return
    assert mask.shape == (24, 20) and mask.dtype == np.float32
    assert np.isfinite(mask).all() and mask.min() >= 0 and mask.max() <= 1
