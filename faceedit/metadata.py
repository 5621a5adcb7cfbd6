"""What of a picture's own metadata may travel to the result: everything descriptive, never the location."""

from __future__ import annotations

import re
import struct
import warnings
from xml.dom import minidom
from xml.parsers import expat

from PIL import ExifTags, Image

_MAX_XMP_BYTES = 1 << 20
_MAX_XMP_DEPTH = 64
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
# Maker notes and their offsets do not survive a rewrite, and several makers hide the location there.
_DROPPED_EXIF = frozenset({ExifTags.Base.MakerNote, ExifTags.Base.UserComment, 0xA005})
_EXIF_ERRORS = (SyntaxError, ValueError, TypeError, KeyError, IndexError, OverflowError, struct.error, OSError)

_LOCATION_NAMES = frozenset(
    {
        "Iptc4xmpCore:Location",
        "Iptc4xmpCore:CountryCode",
        "Iptc4xmpExt:LocationCreated",
        "Iptc4xmpExt:LocationShown",
        "photoshop:City",
        "photoshop:State",
        "photoshop:Country",
    }
)
# Thumbnails show the face as it was before the edit; the orientation is applied when the picture is read.
_STALE_NAMES = frozenset({"tiff:Orientation", "xmp:Thumbnails", "xapGImg:image"})


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

    Dropped: GPS, orientation, thumbnail, maker notes, the user comment (where the record goes) and unknown tags.

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
    """The XMP packet without location, orientation and thumbnails; everything else, provenance included, stays.

    Returns:
        UTF-8 XML, or `None` for a packet that is too large, is not XML, or brings its own document type.
    """
    document = parse_xmp(packet)
    if document is None:
        return None
    for element in list(document.getElementsByTagName("*")):
        for name in [name for name in element.attributes.keys() if _is_private(name)]:  # noqa: SIM118
            element.removeAttribute(name)
        if _is_private(element.tagName) and element.parentNode is not None:
            element.parentNode.removeChild(element)
    return bytes(document.toxml().encode("utf-8"))


def parse_xmp(packet: bytes) -> minidom.Document | None:
    """The packet as a document, or `None` where it cannot be trusted or understood."""
    text = re.sub(rb"<\?xpacket.*?\?>", b"", packet.strip(b"\x00 \t\r\n"), flags=re.DOTALL).strip()
    if len(text) > _MAX_XMP_BYTES:
        return None
    try:
        _check_xml(text)
        return minidom.parseString(text)
    except (expat.ExpatError, ValueError, LookupError):
        return None


def _check_xml(text: bytes) -> None:
    """Refuse what makes an XML reader misbehave: document types with their entities, and bottomless nesting."""
    parser = expat.ParserCreate()
    depth = 0

    def enter(*_: object) -> None:
        nonlocal depth
        depth += 1
        if depth > _MAX_XMP_DEPTH:
            raise ValueError("nested too deeply")

    def leave(_: str) -> None:
        nonlocal depth
        depth -= 1

    def refuse(*_: object) -> None:
        raise ValueError("brings its own document type")

    parser.StartElementHandler, parser.EndElementHandler, parser.StartDoctypeDeclHandler = enter, leave, refuse
    parser.Parse(text, True)


def _is_private(name: str) -> bool:
    return name.startswith("exif:GPS") or name in _LOCATION_NAMES or name in _STALE_NAMES
