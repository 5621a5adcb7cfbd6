"""Content credentials (C2PA) that an input carries: where its file keeps them. Reads bytes only, verifies nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal


def find_store(data: bytes) -> bytes:
    """The C2PA manifest store (JUMBF) embedded in a PNG, JPEG or WebP file, or empty bytes. Never raises.

    It lies in a PNG chunk `caBX`, in JPEG APP11 segments, or in a RIFF chunk `C2PA`. Of a TIFF the bytes from the
    first C2PA box on are taken, since its tags may lie anywhere.
    """
    if b"jumb" not in data or b"c2pa" not in data:
        return b""
    if data.startswith(b"\x89PNG"):
        return b"".join(body for name, body in _blocks(data, 8, "big", trailer=4) if name == b"caBX")
    if data.startswith(b"\xff\xd8"):
        return b"".join(_jpeg_boxes(data))
    if data.startswith(b"RIFF"):
        return b"".join(body for name, body in _blocks(data, 12, "little") if name == b"C2PA")
    found = re.search(rb"....jumb....jumdc2pa", data, re.DOTALL)
    if found is None:
        return b""
    return data[found.start() : found.start() + int.from_bytes(data[found.start() : found.start() + 4], "big")]


def _blocks(
    data: bytes, start: int, order: Literal["big", "little"], trailer: int = 0
) -> Iterator[tuple[bytes, bytes]]:
    """Chunks of a PNG (length, name, body, check sum) or of a RIFF file (name, length, body, padding)."""
    place = start
    while place + 8 <= len(data):
        first, second = data[place : place + 4], data[place + 4 : place + 8]
        name, size = (second, first) if order == "big" else (first, second)
        length = int.from_bytes(size, order)
        yield name, data[place + 8 : place + 8 + length]
        place += 8 + length + (trailer if order == "big" else length % 2)


def _jpeg_boxes(data: bytes) -> Iterator[bytes]:
    place = 2
    while place + 4 <= len(data) and data[place] == 0xFF and data[place + 1] not in (0xD9, 0xDA):
        length = int.from_bytes(data[place + 2 : place + 4], "big")
        body = data[place + 4 : place + 2 + length]
        if data[place + 1] == 0xEB and body.startswith(b"JP"):
            # 'JP', instance and number of the packet; every packet after the first repeats the box's own header.
            yield body[8:] if int.from_bytes(body[4:8], "big") <= 1 else body[16:]
        place += 2 + max(length, 2)
