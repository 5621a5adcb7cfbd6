"""What somebody else's record in a picture may try."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hostile_files import encoded, png
from PIL import Image
from security_harness import SMOKE, Call, names

from faceedit.images import encode_picture, load_picture
from faceedit.provenance import read_record
from faceedit.request import Record


class TestStrangersRecord:
    """`info` and `replay` read what somebody else put into a picture."""

    @pytest.fixture
    def made(self, call: Call, portrait: Path) -> Path:
        out = portrait.with_name("out.png")
        mask = portrait.with_name("m.png")
        Image.fromarray(np.pad(np.full((60, 60), 255, np.uint8), 66)).save(mask)
        assert call("edit", portrait, "rosy cheeks", "-m", mask, "-o", out, *SMOKE)[0] == 0
        return out

    def forged(self, made: Path, change: Callable[[dict[str, Any]], object]) -> Path:
        """The result with another record in it."""
        data = read_record(made).data
        change(data)
        path = made.with_name("forged.png")
        picture = load_picture(made)
        path.write_bytes(encode_picture(picture.rgb, picture, "PNG", record=json.dumps(Record(data).data)))
        return path

    CHANGES: ClassVar[dict[str, tuple[Callable[[dict[str, Any]], object], int]]] = {
        "a class to build": (lambda d: d["recipe"].update(_target_="os.system"), 2),
        "an environment variable": (lambda d: d["recipe"].update(description="${oc.env:HOME}", editor="x"), 2),
        "weights elsewhere": (lambda d: d["recipe"]["weights"].update(kind="local", path="/nonexistent"), 4),
        "weights on a share": (lambda d: d["recipe"]["weights"].update(kind="local", path="\\\\host\\share"), 1),
        "a part on a share": (lambda d: d["recipe"]["weights"].update(folders={"vae": "//host/share"}), 1),
        "a seed that is none": (lambda d: d.update(seed="7"), 1),
        "a seed out of range": (lambda d: d.update(seed=1 << 70), 1),
        "a face that is none": (lambda d: d["face"].update(index=[0]), 1),
        "prompts that are none": (lambda d: d.update(prompts="rosy"), 1),
        "a prompt that is none": (lambda d: d.update(prompts=[5]), 1),
        "another schema": (lambda d: d.update(schema="\x1b[31m"), 1),
        "no mask's details": (lambda d: d.update(mask=None), 1),
        "a mask that is none": (lambda d: d["mask"].update(png="????"), 1),
        "a mask that is a bomb": (
            lambda d: d["mask"].update(png=base64.b64encode(png(20_000, 20_000, depth=1, colour=0)).decode()),
            1,
        ),
        "a mask of another size": (
            lambda d: d["mask"].update(png=base64.b64encode(encoded(Image.new("L", (64, 64), 255))).decode()),
            2,
        ),
        "another picture": (lambda d: d["input"].update(sha256="0" * 64), 1),
        "steps without end": (lambda d: d["recipe"]["sampling"].update(steps=10**9), 2),
        "a size without end": (lambda d: d["recipe"].update(size=10**9), 2),
    }

    @pytest.mark.parametrize("name", CHANGES)
    def test_a_forged_record_is_refused_in_one_line(self, call: Call, made: Path, name: str) -> None:
        """Breaks when a record can choose code, a host, memory or time, or ends in a library's own exception."""
        change, code = self.CHANGES[name]
        forged = self.forged(made, change)
        before = names(made.parent)
        found, out, err = call("replay", forged, "-q")
        assert (found, out) == (code, ""), err
        assert err.count("\n") == 2 and "unexpected" not in err and "\x1b" not in err
        assert names(made.parent) == before

    def test_info_shows_it_without_obeying_it(self, call: Call, made: Path) -> None:
        """Breaks when control characters of a record reach the terminal through `info`."""
        forged = self.forged(made, lambda d: d.update(prompts=["\x1b[2J\u202e\x9b"], editor="hf_AbCdEfGh12345678"))
        code, out, _ = call("info", forged)
        assert code == 0
        assert all(character.isprintable() or character == "\n" for character in out)
