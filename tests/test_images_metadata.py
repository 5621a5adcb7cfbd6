"""What travels with the pixels: colour profiles, EXIF, XMP."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from small_pictures import FORMATS, encoded, pixels, wide_gamut

from faceedit.colour import srgb_profile
from faceedit.images import encode_picture, load_picture


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
