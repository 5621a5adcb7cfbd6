"""What a result says about itself: the mark, the record, and what is kept of the input's own provenance."""

from __future__ import annotations

import hashlib
import io
import json
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from faceedit import provenance
from faceedit.credentials import find_store
from faceedit.errors import ImageError
from faceedit.images import load_picture
from faceedit.metadata import parse_xmp
from faceedit.request import Mask, Picture, Record, Result

FORMATS = ("PNG", "JPEG", "WEBP", "TIFF")
RECORD = Record({"editor": "inpaint", "prompts": ["rosy cheeks", "ein Lächeln \U0001f600"], "seed": 7, "guidance": 4.5})
CAMERA = "http://cv.iptc.org/newscodes/digitalsourcetype/digitalCapture"
XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" '
    'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/"{attribute}>{element}'
    "<dc:creator><rdf:Seq><rdf:li>Ann Ö</rdf:li></rdf:Seq></dc:creator></rdf:Description></rdf:RDF></x:xmpmeta>"
)
AS_ATTRIBUTE = XMP.format(attribute=f' Iptc4xmpExt:DigitalSourceType="{CAMERA}"', element="")
AS_ELEMENT = XMP.format(
    attribute="", element=f"<Iptc4xmpExt:DigitalSourceType>{CAMERA}</Iptc4xmpExt:DigitalSourceType>"
)


def file_of(container: str = "PNG", **options: Any) -> bytes:
    rgb = np.random.default_rng(3).integers(0, 256, (32, 40, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, container, **options)
    return buffer.getvalue()


def result_of(picture: Picture, record: Record = RECORD) -> Result:
    return Result(picture, picture.rgb, Mask(np.ones(picture.size, np.float32), "test"), record)


@pytest.mark.parametrize("container", FORMATS)
def test_every_container_carries_the_mark_and_the_record(container: str) -> None:
    """Breaks when a format silently ignores XMP (PNG does with `xmp=`) or the record."""
    data = provenance.encode_result(result_of(load_picture(file_of())), container)
    assert provenance.source_type(data) == provenance.SOURCE_TYPE
    assert provenance.read_record(data) == RECORD


@pytest.mark.parametrize("container", FORMATS)
def test_without_metadata_the_mark_stays(container: str) -> None:
    """Breaks when --no-metadata hides that a picture was edited, or leaves the record in."""
    picture = load_picture(file_of("JPEG", xmp=AS_ATTRIBUTE.encode(), exif=camera_exif()))
    data = provenance.encode_result(result_of(picture), container, metadata=False)
    assert provenance.source_type(data) == provenance.SOURCE_TYPE
    for left in (b"Ann", b"rosy", b"Maker", picture.sha256.encode()):
        assert left not in data
    with pytest.raises(ImageError, match="no faceedit record"):
        provenance.read_record(data)


def camera_exif() -> bytes:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    return exif.tobytes()


@pytest.mark.parametrize("packet", [AS_ATTRIBUTE, AS_ELEMENT])
@pytest.mark.parametrize("container", FORMATS)
def test_the_inputs_own_statements_are_kept(packet: str, container: str) -> None:
    """Breaks when the author is lost, or when the camera's source type stands beside ours as if both were true."""
    picture = load_picture(file_of("JPEG", xmp=packet.encode()))
    data = provenance.encode_result(result_of(picture), container)
    xmp = load_picture(data).xmp
    assert xmp is not None
    text = xmp.decode()
    assert "Ann Ö" in text
    assert text.count(CAMERA) == 1
    assert f"sha256:{picture.sha256}" in text
    assert text.index("Ingredients") < text.index(CAMERA)
    assert provenance.source_type(data) == provenance.SOURCE_TYPE


def test_a_chain_of_edits_lists_every_step() -> None:
    """Breaks when a second edit drops the first one's ingredient or its record is read instead of the last."""
    first = provenance.encode_result(result_of(load_picture(file_of())))
    picture = load_picture(first)
    second = provenance.encode_result(result_of(picture, Record({"seed": 8})))
    xmp = load_picture(second).xmp
    assert xmp is not None
    assert xmp.count(b"sha256:") == 2
    assert provenance.read_record(second) == Record({"seed": 8})


@pytest.mark.parametrize("existing", [None, b"<x/>", b"not xml", AS_ELEMENT.encode()])
def test_the_packet_is_always_well_formed(existing: bytes | None) -> None:
    """Breaks when an odd packet of the input leads to XML that nobody can read."""
    packet = provenance.edited_xmp(existing, "00")
    assert packet.startswith(b'<?xpacket begin="\xef\xbb\xbf"')
    document = parse_xmp(packet)
    assert document is not None
    assert provenance.SOURCE_TYPE in document.toxml()


@pytest.mark.parametrize("container", FORMATS)
def test_equal_results_give_equal_bytes(container: str) -> None:
    """Breaks when a time or a random id goes into the file: replay could not reproduce it."""
    result = result_of(load_picture(file_of("JPEG", xmp=AS_ATTRIBUTE.encode(), exif=camera_exif())))
    assert provenance.encode_result(result, container) == provenance.encode_result(result, container)


def test_the_home_folder_never_leaves() -> None:
    """Breaks when a path in the record tells the user's name."""
    home = str(Path.home())
    text = provenance.record_text(Record({"weights": [f"{home}/models/x"], "deep": {"path": home}}))
    assert home not in text
    assert text.isascii()
    assert "\n" not in text


def test_text_that_only_looks_like_the_home_folder_stays() -> None:
    """Breaks when an embedded mask, whose letters may spell a path, comes out of the record as another one."""
    home = str(Path.home())
    data = {"mask": {"png": f"iVBORw0K{home}/8AAA"}, "path": f"{home}-of-another"}
    assert json.loads(provenance.record_text(Record(data))) == data


def test_a_file_without_a_record_or_with_a_damaged_one_says_so(tmp_path: Path) -> None:
    """Breaks when `info` on a plain photograph ends in a traceback."""
    (tmp_path / "plain.png").write_bytes(file_of())
    with pytest.raises(ImageError, match=r"plain\.png holds no faceedit record"):
        provenance.read_record(tmp_path / "plain.png")
    for text in ("{", "[1]", "{" * 9):
        from PIL.PngImagePlugin import PngInfo

        info = PngInfo()
        info.add_text("faceedit", text)
        with pytest.raises(ImageError, match="damaged"):
            provenance.read_record(file_of(pnginfo=info))
    with pytest.raises(ImageError):
        provenance.read_record(b"no picture")
    with pytest.raises(ImageError, match="damaged"):
        provenance.read_record(file_of()[:-200])


def test_a_users_own_comment_is_no_record() -> None:
    """Breaks when any EXIF comment is taken for JSON."""
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0holiday"
    with pytest.raises(ImageError, match="no faceedit record"):
        provenance.read_record(file_of("JPEG", exif=exif))


STORE = (64).to_bytes(4, "big") + b"jumb" + (24).to_bytes(4, "big") + b"jumdc2pa\0\x11\0\x10" + b"c2pa\0" * 8


def jpeg_with(store: bytes) -> bytes:
    """A JPEG whose manifest store is cut over two APP11 segments, as the standard has it."""
    plain, head = file_of("JPEG"), store[:8]
    parts = [b"JP\0\1\0\0\0\1" + store[:20], b"JP\0\1\0\0\0\2" + head + store[20:]]
    segments = b"".join(b"\xff\xeb" + (len(part) + 2).to_bytes(2, "big") + part for part in parts)
    return plain[:2] + segments + plain[2:]


def png_with(store: bytes) -> bytes:
    plain = file_of()
    chunk = b"caBX" + store
    return plain[:33] + len(store).to_bytes(4, "big") + chunk + zlib.crc32(chunk).to_bytes(4, "big") + plain[33:]


def webp_with(store: bytes) -> bytes:
    plain = file_of("WEBP", lossless=True, exif=camera_exif())  # EXIF makes it an extended file, which may hold more
    body = plain[8:] + b"C2PA" + len(store).to_bytes(4, "little") + store
    return b"RIFF" + len(body).to_bytes(4, "little") + body


def tiff_with(store: bytes) -> bytes:
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    tags = ImageFileDirectory_v2()
    tags[0xCD41] = store
    tags.tagtype[0xCD41] = 7
    return file_of("TIFF", tiffinfo=tags)


@pytest.mark.parametrize("build", [png_with, jpeg_with, webp_with, tiff_with])
def test_the_inputs_credentials_are_an_ingredient(build: Callable[[bytes], bytes]) -> None:
    """Breaks when signed credentials vanish without a word, or are found in one container only."""
    data = build(STORE)
    assert find_store(data) == STORE
    picture = load_picture(data)
    assert any("C2PA" in note for note in picture.notes)
    digest = hashlib.sha256(STORE).hexdigest()
    assert picture.credentials == digest
    edited = provenance.encode_result(result_of(picture), "PNG")
    assert find_store(edited) == b"", "the manifest holds for the input alone"
    assert f'faceedit:c2paManifest="sha256:{digest}"'.encode() in (load_picture(edited).xmp or b"")
    assert digest.encode() not in provenance.encode_result(result_of(picture), "PNG", metadata=False)


@pytest.mark.parametrize("container", FORMATS)
def test_a_picture_without_credentials_has_none(container: str) -> None:
    """Breaks when words in a picture's text are taken for a manifest."""
    assert find_store(file_of(container)) == b"" and load_picture(file_of(container)).notes == ()
    assert find_store(b"\x89PNG\r\n\x1a\n jumb c2pa") == find_store(b"\xff\xd8 jumb c2pa") == b""


@given(st.sampled_from([png_with, jpeg_with, webp_with]), st.integers(0, 400), st.binary(min_size=1, max_size=9))
def test_damaged_credentials_stop_nothing(build: Callable[[bytes], bytes], place: int, damage: bytes) -> None:
    """Breaks when crafted lengths make the search for a manifest run on or fail."""
    data = build(STORE)
    assert len(find_store(data[:place] + damage + data[place + len(damage) :])) <= len(data)


POINTER = 'xmlns:dcterms="http://purl.org/dc/terms/" dcterms:provenance="self#jumbf=c2pa/urn:uuid:1"'


def test_the_pointer_to_the_inputs_manifest_moves_to_the_ingredient() -> None:
    """Breaks when a result claims a manifest that is not in it: readers would call it tampered with."""
    packet = provenance.edited_xmp(XMP.format(attribute=f" {POINTER}", element="").encode(), "00")
    document = parse_xmp(packet)
    assert document is not None
    (main,) = document.getElementsByTagName("rdf:Description")
    assert not main.hasAttribute("dcterms:provenance")
    (item,) = [node for node in document.getElementsByTagName("rdf:li") if node.hasAttribute("stRef:documentID")]
    assert item.getAttribute("dcterms:provenance") == "self#jumbf=c2pa/urn:uuid:1"


def test_location_and_serial_numbers_go_whatever_their_prefix() -> None:
    """T17. Breaks when a place or a serial number stays because the packet gives its namespace another prefix."""
    packet = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:e="http://ns.adobe.com/exif/1.0/" e:GPSLatitude="52,30N" '
        'xmlns:a="http://ns.adobe.com/exif/1.0/aux/" a:SerialNumber="SN123" a:Lens="50 mm" '
        'xmlns:p="http://ns.adobe.com/photoshop/1.0/"><p:City>Berlin</p:City></rdf:Description></rdf:RDF></x:xmpmeta>'
    )
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif.get_ifd(0x8769).update({0xA431: "SN456", 0xA435: "SN789", 0xA434: "a lens"})
    exif.get_ifd(0x8825)[2] = (52.0, 30.0, 0.0)
    picture = load_picture(file_of("JPEG", xmp=packet.encode(), exif=exif))
    for container in FORMATS:
        data = provenance.encode_result(result_of(picture), container)
        for secret in (b"52,30N", b"SN123", b"SN456", b"SN789", b"Berlin"):
            assert secret not in data
        xmp = load_picture(data).xmp
        assert xmp is not None and b"50 mm" in xmp
        assert 0x8825 not in Image.open(io.BytesIO(data)).getexif()
