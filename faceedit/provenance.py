"""Every result says that it was edited, and how: an XMP packet for everyone, a record for `info` and `replay`.

The XMP term is IPTC's DigitalSourceType `compositeWithTrainedAlgorithmicMedia`, defined for pictures that a trained
model altered in part. What the input's packet said stays; what holds for the input alone, its source type and where its
C2PA manifest is, goes into an ingredient. Nothing written here holds a time, a path or a user name, so equal edits give
equal bytes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.dom import minidom

from PIL import ExifTags

from faceedit.decode import load, open_limited
from faceedit.errors import ImageError
from faceedit.images import COMMENT_PREFIX, RECORD_KEY, encode_picture, read_source
from faceedit.metadata import parse_xmp, read_exif
from faceedit.request import Record, Result

SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"

_TERM = "Iptc4xmpExt:DigitalSourceType"
# C2PA's pointer from a packet to a manifest; left where it was it would call the result's own manifest missing.
_POINTER = "dcterms:provenance"
_MANIFEST = "faceedit:c2paManifest"
_NAMESPACES = {
    "xmlns:Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "xmlns:xmpMM": "http://ns.adobe.com/xap/1.0/mm/",
    "xmlns:stRef": "http://ns.adobe.com/xap/1.0/sType/ResourceRef#",
    "xmlns:dcterms": "http://purl.org/dc/terms/",
    "xmlns:faceedit": "urn:faceedit:xmp:1",
}
_EMPTY = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description rdf:about=""/></rdf:RDF></x:xmpmeta>'
)
_NO_RECORD_HINT = "only results of faceedit that were written with their record hold one"


def encode_result(result: Result, format: str | None = None, quality: int = 95, metadata: bool = True) -> bytes:
    """The finished file of a result, marked as edited.

    Args:
        result: what an edit gave.
        format: "PNG", "JPEG", "WEBP" or "TIFF"; `None` takes the input's.
        quality: of JPEG.
        metadata: `False` leaves out the record and everything the input carried; the mark itself always stays.

    Raises:
        OutputError: the container cannot hold it.
        NumericError: a black frame.
    """
    picture = result.picture
    packet = edited_xmp(picture.xmp, picture.sha256, picture.credentials) if metadata else edited_xmp(None)
    record = record_text(result.record) if metadata else None
    return encode_picture(result.rgb, picture, format, xmp=packet, record=record, quality=quality, exif=metadata)


def edited_xmp(existing: bytes | None, ingredient_sha256: str | None = None, credentials: str = "") -> bytes:
    """An XMP packet that marks the picture as edited by a trained model.

    Args:
        existing: the input's cleaned packet; its properties stay.
        ingredient_sha256: hash of the input file; it and the input's own source type are listed as an ingredient.
        credentials: hash of the input's C2PA manifest store, which the ingredient names, too.

    Returns:
        UTF-8 XML between `xpacket` markers.
    """
    document = (parse_xmp(existing) if existing else None) or minidom.parseString(_EMPTY)
    descriptions = document.getElementsByTagName("rdf:Description")
    if not descriptions:
        document = minidom.parseString(_EMPTY)
        descriptions = document.getElementsByTagName("rdf:Description")
    said = {name: text for name in (_TERM, _POINTER) if (text := _take(descriptions, name))}
    main = descriptions[0]
    for name, uri in _NAMESPACES.items():
        main.setAttribute(name, uri)
    main.setAttribute(_TERM, SOURCE_TYPE)
    if ingredient_sha256 is not None:
        said |= {_MANIFEST: f"sha256:{credentials}"} if credentials else {}
        _add_ingredient(document, main, ingredient_sha256, said)
    root = document.documentElement
    body = root.toxml() if root is not None else ""
    packet = f'<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>{body}<?xpacket end="w"?>'
    return packet.encode("utf-8")


def record_text(record: Record) -> str:
    """The record as one line of ASCII JSON with sorted keys; the home folder at the start of a path becomes "~"."""
    return json.dumps(_without_home(record.data), sort_keys=True, ensure_ascii=True, allow_nan=False)


def read_record(source: Path | bytes) -> Record:
    """The record embedded in a result.

    Raises:
        ImageError: no picture, or one without a (whole) record.
    """
    data, name = read_source(source)
    image = open_limited(data, name)
    exif = read_exif(image)
    comment = None if exif is None else exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.UserComment)
    load(image, data, name)
    text = image.info.get(RECORD_KEY)
    if text is None and isinstance(comment, bytes) and comment.startswith(COMMENT_PREFIX + b"{"):
        text = comment[len(COMMENT_PREFIX) :].rstrip(b"\x00").decode("ascii", "replace")
    if not isinstance(text, str):
        raise ImageError(f"{name} holds no faceedit record", _NO_RECORD_HINT)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        content = None
    if not isinstance(content, dict):
        raise ImageError(f"the faceedit record in {name} is damaged", _NO_RECORD_HINT)
    return Record(content)


def source_type(source: Path | bytes) -> str | None:
    """The IPTC DigitalSourceType that a picture's XMP states, or `None`.

    Raises:
        ImageError: the picture cannot be read.
    """
    from faceedit.images import load_picture

    packet = load_picture(source).xmp
    document = parse_xmp(packet) if packet else None
    return _take(document.getElementsByTagName("rdf:Description"), _TERM) if document else None


def _take(descriptions: Any, name: str) -> str | None:
    """Remove a property, which XMP allows as attribute or element, and return what it said."""
    said: str | None = None
    for description in descriptions:
        if description.parentNode.nodeName != "rdf:RDF":
            continue
        if description.hasAttribute(name):
            said = said or description.getAttribute(name)
            description.removeAttribute(name)
        for child in [node for node in description.childNodes if node.nodeName == name]:
            text = child.firstChild.nodeValue if child.firstChild is not None else child.getAttribute("rdf:resource")
            said = said or (text or "").strip() or None
            description.removeChild(child)
    return said


def _add_ingredient(document: minidom.Document, main: minidom.Element, sha256: str, said: dict[str, str]) -> None:
    bags = [bag for node in document.getElementsByTagName("xmpMM:Ingredients") for bag in node.childNodes]
    bag = next((node for node in bags if node.nodeName == "rdf:Bag"), None)
    if bag is None:
        bag = document.createElement("rdf:Bag")
        ingredients = document.createElement("xmpMM:Ingredients")
        ingredients.appendChild(bag)
        main.appendChild(ingredients)
    item = document.createElement("rdf:li")
    item.setAttribute("stRef:documentID", f"sha256:{sha256}")
    for name, text in said.items():
        item.setAttribute(name, text)
    for name, uri in _NAMESPACES.items():
        item.setAttribute(name, uri)
    bag.appendChild(item)


def _without_home(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_home(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_home(item) for item in value]
    home = str(Path.home())
    # At the start only: inside other text, such as an embedded mask, the same letters are no path.
    if isinstance(value, str) and (value == home or value.startswith((f"{home}/", f"{home}\\"))):
        return f"~{value[len(home) :]}"
    return value
