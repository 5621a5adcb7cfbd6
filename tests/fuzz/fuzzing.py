"""Ways to bend real files as files get bent: bits flip, ends are missing, pieces are lost, doubled, exchanged or come
from another file. A few seconds by default, the same examples every time; a long and free run:

    FACEEDIT_FUZZ=5000 pytest tests/fuzz
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hostile_files import encoded, smooth
from hypothesis import settings
from hypothesis import strategies as st

FOLDER = Path("../files")  # beside the empty folder that the tests run in
EXAMPLES = int(os.environ.get("FACEEDIT_FUZZ", "0"))


def fuzz(examples: int) -> Callable[[Any], Any]:
    """So many examples, or as many as FACEEDIT_FUZZ says, and then others on every run."""
    return settings(max_examples=EXAMPLES or examples, derandomize=not EXAMPLES)


MAGIC = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff\xe0", b"RIFF\x20\0\0\0WEBP", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08", b"")
RANDOM = st.builds(lambda start, rest: start + rest, st.sampled_from(MAGIC), st.binary(max_size=200))
MASKS = [encoded(smooth(24, 20).convert(mode), "PNG") for mode in ("L", "LA", "RGBA", "1", "P")]
LEAF = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 1 << 70),
    st.floats(),
    st.text(max_size=8),
    st.just("../x"),
    st.just("${a}"),
)
VALUES = st.recursive(
    LEAF,
    lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=6), below, max_size=3),
    max_leaves=6,
)


@st.composite
def bent(draw: st.DrawFn, sources: list[bytes]) -> bytes:
    """One of the sources after one to four kinds of damage."""
    data = bytearray(draw(st.sampled_from(sources)))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        size = draw(st.integers(1, 64))
        kind = draw(st.sampled_from(["flip", "cut", "lose", "double", "fill", "number", "graft", "insert"]))
        if kind == "flip" and data:
            data[at] ^= draw(st.integers(1, 255))
        elif kind == "cut":
            del data[at:]
        elif kind == "lose":
            del data[at : at + size]
        elif kind == "double":
            data[at:at] = data[at : at + size]
        elif kind == "fill":
            data[at : at + size] = bytes([draw(st.sampled_from([0, 0xFF, 0x80, 0x20]))]) * len(data[at : at + size])
        elif kind == "number":
            value = draw(st.sampled_from([0, 1, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]))
            data[at : at + 4] = struct.pack(draw(st.sampled_from([">I", "<I"])), value)
        elif kind == "graft":
            other = draw(st.sampled_from(sources))
            data[at:] = other[min(at, len(other)) :]
        else:
            data[at:at] = draw(st.binary(min_size=1, max_size=16))
    return bytes(data)


def inside(text: str) -> bool:
    """Whether a path stays below its folder, read as POSIX and as Windows read it."""
    import ntpath
    import posixpath

    for system in (posixpath, ntpath):
        joined = system.normpath(system.join("/root/folder".replace("/", system.sep), text))
        if not joined.startswith(system.join(system.sep + "root", "folder") + system.sep):
            return False
    return True
