"""What a result says about itself: the mark, the record, and what is kept of the input's own provenance."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from faceedit import provenance
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


def test_c2pa_credentials_are_noticed() -> None:
    """Breaks when signed credentials vanish without a word."""
    plain = file_of("JPEG")
    box = b"JP\0\1\0\0\0\1\0\0\0\x20jumb\0\0\0\x18jumdc2pa\0\x11\0\x10c2pa\0"
    segment = b"\xff\xeb" + (len(box) + 2).to_bytes(2, "big") + box
    picture = load_picture(plain[:2] + segment + plain[2:])
    assert any("C2PA" in note for note in picture.notes)
    assert load_picture(plain).notes == ()
