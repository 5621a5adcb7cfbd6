"""What of a picture's own metadata may travel to the result: all that describes it, never where or by which device."""

from __future__ import annotations

import re
import struct
import warnings
from xml.dom import minidom
from xml.parsers import expat

from PIL import ExifTags, Image

_MAX_XMP_BYTES = 1 << 20
_MAX_XMP_DEPTH = 64
_MAX_XMP_NODES = 10_000
_KEPT_IFD0 = frozenset(
    {
        ExifTags.Base.ImageDescription,
        ExifTags.Base.Make,
        ExifTags.Base.Model,
        ExifTags.Base.XResolution,
        ExifTags.Base.YResolution,
        ExifTags.Base.ResolutionUnit,
        ExifTags.Base.Software,
        ExifTags.Base.DateTime,
        ExifTags.Base.Artist,
        ExifTags.Base.Copyright,
    }
)
# Maker notes and their offsets do not survive a rewrite, and several makers hide the location there. A serial number
# ties every picture of a camera together.
_DROPPED_EXIF = frozenset(
    {
        ExifTags.Base.MakerNote,
        ExifTags.Base.UserComment,
        ExifTags.Base.BodySerialNumber,
        ExifTags.Base.LensSerialNumber,
        0xA005,
    }
)
_EXIF_ERRORS = (SyntaxError, ValueError, TypeError, KeyError, IndexError, OverflowError, struct.error, OSError)

# Names in their namespaces: the prefix that a packet uses for one is its own choice.
_EXIF = "http://ns.adobe.com/exif/1.0/"
_PRIVATE = {
    "http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/": {"Location", "CountryCode"},
    "http://iptc.org/std/Iptc4xmpExt/2008-02-29/": {"LocationCreated", "LocationShown"},
    "http://ns.adobe.com/photoshop/1.0/": {"City", "State", "Country"},
    "http://ns.adobe.com/exif/1.0/aux/": {"SerialNumber", "LensSerialNumber"},
    "http://cipa.jp/exif/1.0/": {"BodySerialNumber", "LensSerialNumber"},
    # Thumbnails show the face as it was before the edit; the orientation is applied when the picture is read.
    "http://ns.adobe.com/tiff/1.0/": {"Orientation"},
    "http://ns.adobe.com/xap/1.0/": {"Thumbnails"},
    "http://ns.adobe.com/xap/1.0/g/img/": {"image"},
}


def read_exif(image: Image.Image) -> Image.Exif | None:
    """The picture's EXIF block, or `None` where it has none or a broken one."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            exif = image.getexif()
            exif.get_ifd(ExifTags.IFD.Exif)
    except _EXIF_ERRORS:
        return None
    return exif


def clean_exif(exif: Image.Exif) -> bytes | None:
    """EXIF bytes with camera, exposure, dates, author and copyright kept.

    Dropped: GPS, serial numbers, orientation, thumbnail, maker notes, the user comment (where the record goes) and
    unknown tags.

    Returns:
        Bytes for Pillow's `exif=`, or `None` when nothing is left.
    """
    kept = Image.Exif()
    for tag in _KEPT_IFD0 & set(exif):
        kept[tag] = exif[tag]
    details = {tag: value for tag, value in exif.get_ifd(ExifTags.IFD.Exif).items() if tag not in _DROPPED_EXIF}
    if details:
        kept.get_ifd(ExifTags.IFD.Exif).update(details)
    if not len(kept) and not details:
        return None
    try:
        return kept.tobytes()
    except _EXIF_ERRORS:
        return None


def clean_xmp(packet: bytes) -> bytes | None:
    """The XMP packet without location, serial numbers, orientation and thumbnails; all else, provenance too, stays.

    Returns:
        UTF-8 XML, or `None` for a packet that is too large, is not XML, or brings its own document type.
    """
    document = parse_xmp(packet)
    if document is None:
        return None
    for element in list(document.getElementsByTagName("*")):
        for attribute in [attribute for attribute in element.attributes.values() if _is_private(attribute)]:
            element.removeAttributeNode(attribute)
        if _is_private(element) and element.parentNode is not None:
            element.parentNode.removeChild(element)
    return bytes(document.toxml().encode("utf-8"))


def parse_xmp(packet: bytes) -> minidom.Document | None:
    """The packet as a document, or `None` where it cannot be trusted or understood."""
    if len(packet) > _MAX_XMP_BYTES:
        return None
    # The length of a marker is bounded: without that, a packet of nothing but their beginnings takes hours.
    text = re.sub(rb"<\?xpacket.{0,256}?\?>", b"", packet.strip(b"\x00 \t\r\n"), flags=re.DOTALL).strip()
    try:
        _check_xml(text)
        return minidom.parseString(text)
    except (expat.ExpatError, ValueError, LookupError):
        return None


def _check_xml(text: bytes) -> None:
    """Refuse what makes an XML reader misbehave: document types with their entities, bottomless nesting, crowds."""
    parser = expat.ParserCreate()
    depth = nodes = 0

    def enter(_: str, attributes: dict[str, str]) -> None:
        nonlocal depth, nodes
        depth += 1
        nodes += 1 + len(attributes)
        if depth > _MAX_XMP_DEPTH or nodes > _MAX_XMP_NODES:
            raise ValueError("nested too deeply, or too many elements")

    def leave(_: str) -> None:
        nonlocal depth
        depth -= 1

    def refuse(*_: object) -> None:
        raise ValueError("brings its own document type")

    parser.StartElementHandler, parser.EndElementHandler, parser.StartDoctypeDeclHandler = enter, leave, refuse
    parser.Parse(text, True)


def _is_private(node: minidom.Element | minidom.Attr) -> bool:
    name = node.localName or ""
    return name in _PRIVATE.get(node.namespaceURI or "", ()) or (node.namespaceURI == _EXIF and name.startswith("GPS"))
