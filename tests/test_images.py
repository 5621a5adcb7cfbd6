"""Pictures in and out: every way in which a file can be odd, and what must survive the round trip."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from faceedit.colour import srgb_profile
from faceedit.decode import MAX_PIXELS, MIN_SIDE
from faceedit.errors import ImageError, NumericError, OutputError, UsageError
from faceedit.images import check_frame, encode_picture, encode_plain, format_of, load_picture, write_atomic

LOSSLESS = ("PNG", "WEBP", "TIFF")
FORMATS = (*LOSSLESS, "JPEG")


def pixels(height: int = 40, width: int = 56, seed: int = 0) -> np.ndarray:
    """Smooth, asymmetric colours, so that a turn, a flip and a channel swap all show."""
    rows, columns = np.mgrid[0:height, 0:width]
    red = rows * 255 // height
    green = columns * 255 // width
    blue = (rows + 2 * columns + seed) % 200
    return np.stack([red, green, blue], axis=-1).astype(np.uint8)


def encoded(image: Image.Image, container: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, container, **({"lossless": True} if container == "WEBP" else {}) | options)
    return buffer.getvalue()


def png_header(width: int, height: int, depth: int = 1, colour: int = 0) -> bytes:
    """A PNG whose header asks for a size, with next to no data behind it."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("container", LOSSLESS)
def test_lossless_containers_give_every_pixel_back(container: str) -> None:
    """Breaks when a writer compresses with loss, converts colours or swaps channels."""
    rgb = pixels()
    picture = load_picture(encoded(Image.fromarray(rgb), container))
    assert picture.format == container
    assert np.array_equal(picture.rgb, rgb)
    assert np.array_equal(load_picture(encode_picture(rgb, picture)).rgb, rgb)


def test_jpeg_keeps_its_container_and_stays_close() -> None:
    """Breaks when JPEG is written with subsampled colour or at low quality."""
    picture = load_picture(encoded(Image.fromarray(pixels()), "JPEG", quality=95))
    data = encode_picture(picture.rgb, picture)
    again = load_picture(data)
    assert again.format == "JPEG"
    assert np.abs(again.rgb.astype(int) - picture.rgb).mean() < 1.5
    assert Image.open(io.BytesIO(data)).layer[1][1:3] == (1, 1)  # type: ignore[attr-defined]


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


def test_an_orientation_in_the_xmp_packet_is_not_applied_again() -> None:
    """Breaks when the packet travels with its tiff:Orientation: viewers would turn the result a second time."""
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6"/></rdf:RDF></x:xmpmeta>'
    )
    picture = load_picture(encoded(Image.fromarray(pixels(40, 56)), "JPEG", xmp=xmp))
    assert picture.size == (56, 40)
    assert picture.xmp is not None
    assert b"Orientation" not in picture.xmp


@pytest.mark.parametrize("container", LOSSLESS)
def test_alpha_is_carried_and_hides_nothing(container: str) -> None:
    """Breaks when alpha is dropped, or when colours under full transparency are lost or changed."""
    rgba = np.dstack([pixels(), np.tile(np.arange(56, dtype=np.uint8) * 4, (40, 1))])
    picture = load_picture(
        encoded(Image.fromarray(rgba), container, **({"exact": True} if container == "WEBP" else {}))
    )
    assert picture.mode == "RGBA"
    again = load_picture(encode_picture(picture.rgb, picture))
    assert again.alpha is not None
    assert np.array_equal(again.alpha, rgba[:, :, 3])
    assert np.array_equal(again.rgb, rgba[:, :, :3])


def test_alpha_does_not_fit_into_jpeg() -> None:
    """Breaks when transparency is flattened without a word."""
    picture = load_picture(encoded(Image.fromarray(pixels()).convert("RGBA")))
    with pytest.raises(OutputError, match="alpha"):
        encode_picture(picture.rgb, picture, "JPEG")


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


def test_grey_stays_grey_unless_the_edit_brings_colour() -> None:
    """Breaks when a grey picture comes back as RGB for a trace of tint, or when colour is thrown away."""
    grey = pixels()[:, :, 1]
    picture = load_picture(encoded(Image.fromarray(grey)))
    assert picture.mode == "L"
    tinted = picture.rgb.copy()
    tinted[5, 5] = (40, 46, 43)
    assert Image.open(io.BytesIO(encode_picture(tinted, picture))).mode == "L"
    red = picture.rgb.copy()
    red[5, 5] = (200, 20, 30)
    assert load_picture(encode_picture(red, picture)).rgb[5, 5].tolist() == [200, 20, 30]


def test_sixteen_bit_grey_is_scaled_not_clipped() -> None:
    """Breaks when Pillow's own conversion clips everything above 255 to white."""
    deep = np.linspace(0, 65535, 40 * 56).reshape(40, 56).astype(np.uint16)
    picture = load_picture(encoded(Image.fromarray(deep)))
    assert np.array_equal(picture.rgb[:, :, 0], np.rint(deep / 257).astype(np.uint8))
    assert any("16-bit" in note for note in picture.notes)


def test_sixteen_bit_colour_is_said() -> None:
    """Breaks when 16-bit colour loses its lower half without a note."""
    row = b"\0" + b"\x80\x12" * 3 * 16
    header = struct.pack(">IIBBBBB", 16, 16, 16, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(row * 16)), (b"IEND", b""))
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in parts
    )
    picture = load_picture(data)
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


def wide_gamut() -> bytes:
    """An RGB profile whose red and green primaries are exchanged: every colour moves visibly."""
    raw = bytearray(srgb_profile())
    count = struct.unpack(">I", raw[128:132])[0]
    entries = {bytes(raw[132 + 12 * i : 136 + 12 * i]): 132 + 12 * i for i in range(count)}
    red, green = entries[b"rXYZ"], entries[b"gXYZ"]
    raw[red + 4 : red + 12], raw[green + 4 : green + 12] = raw[green + 4 : green + 12], raw[red + 4 : red + 12]
    return bytes(raw)


def test_another_profile_is_converted_to_srgb_and_said() -> None:
    """Breaks when pixels of another colour space are treated as sRGB, or the old profile is embedded again."""
    rgb = np.full((20, 20, 3), (200, 40, 40), np.uint8)
    picture = load_picture(encoded(Image.fromarray(rgb), icc_profile=wide_gamut()))
    assert picture.rgb[0, 0, 1] > picture.rgb[0, 0, 0]
    assert picture.icc_profile == srgb_profile()
    assert any("to sRGB" in note for note in picture.notes)
    again = load_picture(encode_picture(picture.rgb, picture))
    assert np.array_equal(again.rgb, picture.rgb)


def test_an_srgb_profile_leaves_the_pixels_alone_and_is_kept() -> None:
    """Breaks when a needless conversion shifts pixels by a level: the outside would no longer be bit-equal."""
    picture = load_picture(encoded(Image.fromarray(pixels()), icc_profile=srgb_profile()))
    assert np.array_equal(picture.rgb, pixels())
    assert picture.notes == ()
    assert Image.open(io.BytesIO(encode_picture(picture.rgb, picture))).info["icc_profile"] == srgb_profile()


@pytest.mark.parametrize("profile", [b"rubbish" * 40, srgb_profile()[:200]])
def test_a_broken_profile_is_a_note_not_a_failure(profile: bytes) -> None:
    """Breaks when littleCMS's refusal reaches the user."""
    picture = load_picture(encoded(Image.fromarray(pixels()), icc_profile=profile))
    assert np.array_equal(picture.rgb, pixels())
    assert any("profile" in note for note in picture.notes)


def test_location_and_thumbnail_are_removed_and_the_camera_is_kept() -> None:
    """Breaks when GPS, maker notes or a stale thumbnail leave with the result, or when dates and authors are lost."""
    exif = Image.Exif()
    exif[0x010F] = "Camera maker"
    exif[0x8298] = "(c) Ann"
    exif.get_ifd(0x8825)[2] = (48.0, 8.0, 15.0)
    exif.get_ifd(0x8769)[0x9003] = "2020:02:02 20:20:20"
    exif.get_ifd(0x8769)[0x927C] = b"SECRET-MAKER-NOTE"
    xmp = (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        b'<rdf:Description xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"'
        b' xmlns:dc="http://purl.org/dc/elements/1.1/" '
        b'exif:GPSLatitude="48,8.25N" photoshop:City="Munich" dc:format="x">'
        b"<exif:GPSLongitude>11,34E</exif:GPSLongitude></rdf:Description></rdf:RDF></x:xmpmeta>"
    )
    picture = load_picture(encoded(Image.fromarray(pixels()), "JPEG", exif=exif, xmp=xmp))
    for container in FORMATS:
        data = encode_picture(picture.rgb, picture, container, xmp=picture.xmp)
        image = Image.open(io.BytesIO(data))
        kept = image.getexif()
        assert kept.get_ifd(0x8825) == {}
        assert kept[0x010F] == "Camera maker"
        assert kept[0x8298] == "(c) Ann"
        assert kept.get_ifd(0x8769)[0x9003] == "2020:02:02 20:20:20"
        for secret in (b"SECRET", b"GPSL", b"Munich", b"48,8.25N"):
            assert secret not in data
        assert load_picture(data).xmp is not None


@pytest.mark.parametrize("packet", [b"<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>", b"no xml", b"<x>" * 99 + b"</x>" * 99])
def test_a_dangerous_or_broken_xmp_packet_is_left_out_with_a_note(packet: bytes) -> None:
    """Breaks when entities are expanded, nesting exhausts the stack, or a bad packet makes the picture unreadable."""
    picture = load_picture(encoded(Image.fromarray(pixels()), "JPEG", xmp=packet))
    assert picture.xmp is None
    assert any("XMP" in note for note in picture.notes)


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
        "bomb.png": (png_header(20000, 20000), "too large"),
        "long.png": (png_header(17000, 20), "too large: 17000x20"),
        "wide.png": (png_header(10000, 10000), "too large"),
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


@pytest.mark.parametrize("container", FORMATS)
def test_equal_input_gives_equal_bytes(container: str) -> None:
    """Breaks when a writer puts a time or a random value into the file."""
    picture = load_picture(encoded(Image.fromarray(pixels()), icc_profile=wide_gamut()))
    first, second = (encode_picture(picture.rgb, picture, container, xmp=b"<x/>", record="{}") for _ in range(2))
    assert first == second


def test_a_black_or_non_finite_frame_is_never_encoded() -> None:
    """Breaks when NaN is cast to black and saved as a result."""
    picture = load_picture(encoded(Image.fromarray(pixels())))
    with pytest.raises(NumericError, match="black"):
        encode_picture(np.zeros_like(picture.rgb), picture)
    for bad in (np.nan, np.inf, -np.inf):
        frame = np.full((4, 4, 3), 0.5, np.float32)
        frame[1, 1, 1] = bad
        with pytest.raises(NumericError, match="finite"):
            check_frame(frame)
    with pytest.raises(NumericError, match="black"):
        check_frame(np.zeros((4, 4, 3), np.float32))
    check_frame(np.full((4, 4, 3), 0.2, np.float32))


def test_format_of_reads_the_suffix() -> None:
    """Breaks when an unknown suffix falls back to some format silently."""
    assert format_of(Path("a.JPG")) == "JPEG"
    with pytest.raises(UsageError, match="suffix"):
        format_of(Path("a.gif"))


def test_plain_arrays_are_encoded_exactly() -> None:
    """Breaks when a saved mask or sheet is not what was drawn."""
    grey = pixels()[:, :, 0]
    for container in LOSSLESS:
        assert np.array_equal(load_picture(encode_plain(grey, container)).rgb[:, :, 0], grey)


class TestWriteAtomic:
    """Whole or not at all; never over another file without `force`."""

    def test_writes_and_leaves_nothing_else(self, tmp_path: Path) -> None:
        write_atomic(tmp_path / "a.png", b"data")
        assert (tmp_path / "a.png").read_bytes() == b"data"
        assert [path.name for path in tmp_path.iterdir()] == ["a.png"]

    def test_refuses_to_overwrite(self, tmp_path: Path) -> None:
        (tmp_path / "a.png").write_bytes(b"old")
        with pytest.raises(OutputError, match="exists"):
            write_atomic(tmp_path / "a.png", b"new")
        assert (tmp_path / "a.png").read_bytes() == b"old"
        write_atomic(tmp_path / "a.png", b"new", force=True)
        assert (tmp_path / "a.png").read_bytes() == b"new"
        assert len(list(tmp_path.iterdir())) == 1

    @pytest.mark.parametrize("links", [True, False])
    def test_a_file_that_appears_meanwhile_survives(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool
    ) -> None:
        """Breaks when the check and the rename leave a gap, with hard links and without."""
        target = tmp_path / "a.png"
        monkeypatch.setattr(os.path, "lexists", lambda _: False)
        if not links:
            monkeypatch.setattr(os, "link", self._no_links)
        target.write_bytes(b"rival")
        with pytest.raises(OutputError, match="exists"):
            write_atomic(target, b"new")
        assert target.read_bytes() == b"rival"
        assert len(list(tmp_path.iterdir())) == 1

    def test_works_without_hard_links(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Breaks on file systems such as FAT or SMB."""
        monkeypatch.setattr(os, "link", self._no_links)
        write_atomic(tmp_path / "a.png", b"data")
        assert (tmp_path / "a.png").read_bytes() == b"data"
        assert len(list(tmp_path.iterdir())) == 1

    def test_missing_folder_and_folder_as_target(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match="does not exist"):
            write_atomic(tmp_path / "none" / "a.png", b"data")
        (tmp_path / "folder").mkdir()
        with pytest.raises(OutputError, match="is a folder"):
            write_atomic(tmp_path / "folder", b"data", force=True)
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(OutputError):
            write_atomic(tmp_path / "file" / "a.png", b"data")

    def test_a_full_disk_keeps_the_old_file(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Breaks when the old file is truncated before the new one is safe, or the temporary file stays behind."""
        (tmp_path / "a.png").write_bytes(b"old")

        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(OutputError, match="No space left"):
            write_atomic(tmp_path / "a.png", b"new", force=True)
        assert (tmp_path / "a.png").read_bytes() == b"old"
        assert len(list(tmp_path.iterdir())) == 1

    @staticmethod
    def _no_links(*_: object) -> None:
        raise OSError(95, "Operation not supported")
