"""Pictures in: every way in which a file can be odd."""

from __future__ import annotations

import io
import os
import zlib
from pathlib import Path

import numpy as np
import pytest
from hostile_files import png
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms
from small_pictures import FORMATS, encoded, pixels

from faceedit.decode import MAX_PIXELS, MIN_SIDE
from faceedit.errors import ImageError
from faceedit.images import encode_picture, load_picture


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("container", FORMATS)
def test_every_orientation_stands_upright_once(orientation: int, container: str) -> None:
    """Breaks when an orientation is ignored, applied twice, or written again to the output."""
    upright = pixels()
    undo = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]
    stored = Image.fromarray(upright)
    if undo is not None:
        stored = stored.transpose(Image.Transpose(undo))
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"quality": 98, "subsampling": 0} if container == "JPEG" else {}
    picture = load_picture(encoded(stored, container, exif=exif, **options))
    tolerance = 12 if container == "JPEG" else 0
    assert picture.size == upright.shape[:2]
    assert np.abs(picture.rgb.astype(int) - upright).max() <= tolerance
    result = Image.open(io.BytesIO(encode_picture(picture.rgb, picture)))
    assert result.size == (upright.shape[1], upright.shape[0])
    assert result.getexif().get(0x0112, 1) == 1


@pytest.mark.parametrize("key", [b"\x00\x05", b"\x00\xff"])
def test_a_transparent_colour_becomes_alpha(key: bytes) -> None:
    """Breaks when PNG's single transparent colour (tRNS) is ignored."""
    grey = np.full((20, 20), 90, np.uint8)
    grey[:5] = key[1]
    picture = load_picture(encoded(Image.fromarray(grey), transparency=key[1]))
    assert picture.mode == "LA"
    assert picture.alpha is not None
    assert picture.alpha[0, 0] == 0
    assert picture.alpha[10, 10] == 255


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    """Breaks when Pillow's own conversion clips everything above 255 to white."""
    deep = np.linspace(0, 65535, 40 * 56).reshape(40, 56).astype(np.uint16)
    picture = load_picture(encoded(Image.fromarray(deep)))
    assert np.array_equal(picture.rgb[:, :, 0], np.rint(deep / 257).astype(np.uint8))
    assert any("16-bit" in note for note in picture.notes)


def test_sixteen_bit_colour_is_said() -> None:
    """Breaks when 16-bit colour loses its lower half without a note."""
    row = b"\0" + b"\x80\x12" * 3 * 16
    picture = load_picture(png(16, 16, depth=16, data=zlib.compress(row * 16)))
    assert picture.rgb[0, 0].tolist() == [0x80] * 3
    assert any("16-bit colour" in note for note in picture.notes)


@pytest.mark.parametrize("mode", ["P", "CMYK", "LAB", "1", "LA", "I", "YCbCr"])
def test_other_modes_are_normalised_once_with_a_note(mode: str) -> None:
    """Breaks when a mode reaches the editor as it is, or is converted without saying so."""
    image = Image.fromarray(np.full((24, 24, 3), (204, 102, 51), np.uint8))
    if mode == "LAB":
        profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        image = ImageCms.applyTransform(image, ImageCms.buildTransform(*profiles, "RGB", "LAB")) or image
    elif mode == "I":
        image = Image.fromarray(np.full((24, 24), 0x8080, np.int32))
    else:
        image = image.convert(mode)
    container = "PNG" if mode in ("P", "1", "LA") else "TIFF"
    picture = load_picture(encoded(image, container))
    assert picture.rgb.shape == (24, 24, 3)
    assert picture.rgb.dtype == np.uint8
    if mode in ("P", "CMYK", "LAB", "YCbCr"):
        assert np.abs(picture.rgb[12, 12].astype(int) - (204, 102, 51)).max() <= 3
    assert picture.notes or mode in ("LA", "YCbCr")


def test_floating_point_pixels_are_refused() -> None:
    """Breaks when a TIFF without a defined white is guessed at."""
    with pytest.raises(ImageError, match="floating-point"):
        load_picture(encoded(Image.fromarray(np.zeros((20, 20), np.float32)), "TIFF"))


@pytest.mark.parametrize("container", ["PNG", "WEBP", "TIFF"])
def test_of_several_frames_the_first_is_used_and_said(container: str) -> None:
    """Breaks when an animation is edited silently, or its last frame is taken."""
    frames = [Image.fromarray(pixels(seed=seed)) for seed in (0, 50, 90)]
    picture = load_picture(encoded(frames[0], container, save_all=True, append_images=frames[1:]))
    assert np.array_equal(picture.rgb, pixels(seed=0))
    assert any("3 pictures" in note for note in picture.notes)


def bad_files(folder: Path) -> dict[str, tuple[Path, str]]:
    """Name -> (path, what the message must say)."""
    good = encoded(Image.fromarray(pixels(90, 90)))
    jpeg = encoded(Image.fromarray(pixels(90, 90)), "JPEG")
    flipped = bytearray(good)
    flipped[len(good) // 2] ^= 0xFF
    contents = {
        "empty.png": (b"", "empty"),
        "text.png": (b"this is no picture\n", "not a picture"),
        "cut.png": (good[: len(good) // 2], "damaged|not a picture"),
        "cut.jpg": (jpeg[: len(jpeg) // 2], "damaged"),
        "header.png": (good[:20], "not a picture|damaged"),
        "crc.png": (bytes(flipped), "damaged|not a picture"),
        "one.png": (encoded(Image.new("RGB", (1, 1))), "too small: 1x1"),
        "thin.png": (encoded(Image.new("RGB", (500, MIN_SIDE - 1))), "too small"),
        "bomb.png": (png(20_000, 20_000, depth=1, colour=0), "too large"),
        "long.png": (png(17_000, 20, depth=1, colour=0), "too large: 17000x20"),
        "wide.png": (png(10_000, 10_000, depth=1, colour=0), "too large"),
        "a.gif": (encoded(Image.fromarray(pixels()), "GIF"), "not a picture"),
        "renamed.png": (encoded(Image.fromarray(pixels()), "BMP"), "not a picture"),
        "eps.png": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 90 90\n", "not a picture"),
        "phone.png": (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "not a picture"),
    }
    files = {}
    for name, (data, said) in contents.items():
        (folder / name).write_bytes(data)
        files[name] = (folder / name, said)
    (folder / "folder.png").mkdir()
    return files | {
        "folder.png": (folder / "folder.png", "is a folder"),
        "missing.png": (folder / "missing.png", "does not exist"),
        "below.png": (folder / "empty.png" / "below.png", "does not exist|cannot read"),
    }


def test_bad_files_give_one_clear_line_that_names_them(tmp_path: Path) -> None:
    """Breaks when a decoder's own exception, a traceback or a two-line message reaches the user."""
    for name, (path, said) in bad_files(tmp_path).items():
        with pytest.raises(ImageError, match=said) as caught:
            load_picture(path)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value) + caught.value.hint


def test_the_size_limit_is_below_the_one_where_pillow_warns() -> None:
    """Breaks when a picture within our limit would already make Pillow suspect a decompression bomb."""
    assert Image.MAX_IMAGE_PIXELS is not None
    assert MAX_PIXELS < Image.MAX_IMAGE_PIXELS


@pytest.mark.skipif(os.name == "nt", reason="Windows file names hold no control characters")
def test_control_characters_in_a_name_are_spelt_out(tmp_path: Path) -> None:
    """Breaks when a file name can recolour the terminal or fake a second line."""
    path = tmp_path / "a\x1b[31m\nb.png"
    path.write_bytes(b"nothing")
    with pytest.raises(ImageError) as caught:
        load_picture(path)
    assert str(caught.value).isprintable()
    assert "\\x1b" in str(caught.value)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(FORMATS), st.integers(0, 10_000), st.integers(1, 255), st.integers(0, 40))
def test_damage_anywhere_is_an_image_error_or_nothing(container: str, place: int, flip: int, cut: int) -> None:
    """Breaks when some damaged byte brings up an exception that is no ImageError."""
    exif = Image.Exif()
    exif[0x010F] = "maker"
    data = bytearray(encoded(Image.fromarray(pixels(20, 20)), container, exif=exif))
    data[place % len(data)] ^= flip
    damaged = bytes(data[: len(data) - cut])
    try:
        picture = load_picture(damaged)
    except ImageError:
        return
    assert picture.rgb.dtype == np.uint8
