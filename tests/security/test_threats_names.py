"""What a name, a place or another process in the same folder may try, through the command line."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hostile_files import encoded
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from security_harness import SMOKE, Call

from faceedit.cli.console import Console, columns

REAL_LINE = Console.line


def shown_on_a_terminal(console: Console, text: str) -> None:
    """`Console.line` with a stdout that says it is a terminal."""

    class Terminal(io.TextIOWrapper):
        def isatty(self) -> bool:
            return True

    raw = io.BytesIO()
    terminal = Terminal(raw, encoding="utf-8")
    REAL_LINE(Console(stdout=terminal), text)
    console.write_bytes(raw.getvalue())


class TestNames:
    """Names and texts that would steer a terminal, or the path of a result."""

    @pytest.mark.skipif(os.name == "nt", reason="Windows file names hold no control characters")
    def test_a_name_with_escapes_never_reaches_a_terminal(
        self, call: Call, portrait: Path, face: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Breaks when a warning, a table, a path or a sheet's label writes the name as it is to a terminal."""
        evil = portrait.with_name("\x1b[31m\u202egnp.png")
        Image.fromarray(face).save(evil)
        for words in (
            ("edit", evil, "rosy cheeks", *SMOKE, "-v"),
            ("mask", evil, "rosy cheeks", *SMOKE[:2]),
            ("faces", evil),
            ("compare", portrait, evil, "-o", portrait.with_name("sheet.png")),
        ):
            monkeypatch.setattr("faceedit.cli.console.Console.line", shown_on_a_terminal)
            code, out, err = call(*words)
            assert code == 0, err
            assert "\x1b" not in out + err and "\u202e" not in out + err

    def test_a_pipe_gets_the_name_as_it_is_on_disk(self, call: Call, portrait: Path) -> None:
        """Breaks when escaping for people breaks scripts."""
        odd = portrait.with_name("größe \u00a0.png")
        portrait.rename(odd)
        made = odd.with_name("größe \u00a0.inpaint.png")
        assert call("edit", odd, "rosy cheeks", *SMOKE)[1] == f"{made}\n"

    def test_a_cell_of_a_table_stays_one_line(self) -> None:
        """Breaks when a name with a line end adds a row to a table."""
        assert columns([("a\nok  fake", "\x1b[2J")]) == "a\\nok  fake  \\x1b[2J"

    @pytest.mark.parametrize("address", ["https://example.com/a.png", "file:///etc/passwd", "http://127.0.0.1/a.png"])
    def test_an_address_is_only_a_name(self, call: Call, address: str) -> None:
        """Breaks when a picture is fetched: no socket may be opened for what looks like an address."""
        code, _, err = call("edit", address, "rosy cheeks", *SMOKE, "-o", "out.png")
        assert code == 1 and "does not exist" in err

    @pytest.mark.parametrize("recipe", ["../../../etc/passwd", "/etc/passwd", "mini/../../x", "C:\\x", "\\\\host\\x"])
    def test_a_recipe_name_does_not_leave_the_recipes(self, call: Call, portrait: Path, recipe: str) -> None:
        """Breaks when a recipe's name is joined to a folder as it is."""
        assert call("edit", portrait, "rosy cheeks", "-r", recipe)[0] == 2

    def test_force_replaces_a_link_and_not_what_it_points_to(self, call: Call, portrait: Path, tmp_path: Path) -> None:
        """Breaks when a link that somebody left in the folder turns a result into an overwrite elsewhere."""
        precious = tmp_path / "precious.txt"
        precious.write_text("mine")
        out = portrait.with_name("out.png")
        out.symlink_to(precious)
        assert call("edit", portrait, "rosy cheeks", "-o", out, *SMOKE)[0] == 1
        assert call("edit", portrait, "rosy cheeks", "-o", out, "--force", *SMOKE)[0] == 0
        assert precious.read_text() == "mine" and not out.is_symlink()


class TestLocation:
    """Where a picture was taken stays with its owner."""

    MARKS = (b"48,8.25N", b"Munich", b"GPSMARK", b"\x00\x00\x00\x30\x00\x00\x00\x01\x00\x00\x00\x08")

    def located(self, face: NDArray[np.uint8], container: str) -> bytes:
        exif = Image.Exif()
        exif[0x010E] = "a portrait"
        exif.get_ifd(0x8825)[1] = "N"
        exif.get_ifd(0x8825)[2] = (48.0, 8.0, 15.0)
        exif.get_ifd(0x8825)[27] = b"GPSMARK"
        xmp = (
            b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
            b'<rdf:Description xmlns:exif="http://ns.adobe.com/exif/1.0/" '
            b'xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/" exif:GPSLatitude="48,8.25N">'
            b"<photoshop:City>Munich</photoshop:City></rdf:Description></rdf:RDF></x:xmpmeta>"
        )
        if container == "TIFF":
            exif[700] = xmp
        if container != "PNG":
            return encoded(Image.fromarray(face), container, exif=exif, xmp=xmp)
        text = PngInfo()
        text.add_itxt("XML:com.adobe.xmp", xmp.decode())
        text.add_text("Location", "Munich")
        return encoded(Image.fromarray(face), exif=exif, pnginfo=text)

    @pytest.mark.parametrize("container", ["PNG", "JPEG", "WEBP", "TIFF"])
    def test_it_is_in_no_file_and_no_line(
        self, call: Call, face: NDArray[np.uint8], tmp_path: Path, container: str
    ) -> None:
        """Breaks when GPS, a city or a text chunk reaches a result, a mask, a sheet, the record or a message."""
        suffix = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp", "TIFF": "tif"}[container]
        source = tmp_path / f"in.{suffix}"
        source.write_bytes(self.located(face, container))
        assert any(mark in source.read_bytes() for mark in self.MARKS)
        made = tmp_path / "made"
        made.mkdir()
        extra = ("--save-mask", made / "m.png", "--compare", made / "c.png")
        said = [call("edit", source, "rosy cheeks", *SMOKE, "-o", made / f"out.{suffix}", *extra, "--json")]
        said += [call("info", made / f"out.{suffix}"), call("mask", source, "rosy cheeks", "-o", made / "k.png")]
        assert [code for code, _, _ in said] == [0, 0, 0], said
        for data in (*(path.read_bytes() for path in made.iterdir()), *((o + e).encode() for _, o, e in said)):
            assert not any(mark in data for mark in self.MARKS)
        assert Image.open(made / f"out.{suffix}").getexif().get_ifd(0x8825) == {}


class TestNeighbours:
    """Other processes in the same folders."""

    def test_one_of_two_writers_wins_and_the_other_says_so(self, tmp_path: Path) -> None:
        """Breaks when two runs replace each other's result without --force, or leave a mixture."""
        target = tmp_path / "out.png"
        script = (
            "import sys, time; from pathlib import Path; from faceedit.errors import OutputError\n"
            "from faceedit.images import write_atomic\n"
            "go = Path(sys.argv[2])\n"
            "Path(sys.argv[3]).touch()\n"
            "while not go.exists(): time.sleep(0.001)\n"
            "try: write_atomic(Path(sys.argv[1]), sys.argv[4].encode() * 1_000_000)\n"
            "except OutputError: sys.exit(1)"
        )
        ready = [tmp_path / f"ready{n}" for n in range(3)]
        runs = [
            subprocess.Popen([sys.executable, "-c", script, target, tmp_path / "go", mark, letter])
            for mark, letter in zip(ready, "abc", strict=True)
        ]
        while not all(mark.exists() for mark in ready):
            assert all(run.poll() is None for run in runs)
        (tmp_path / "go").touch()
        assert sorted(run.wait() for run in runs) == [0, 1, 1]
        assert target.read_bytes() in (b"a" * 1_000_000, b"b" * 1_000_000, b"c" * 1_000_000)
        assert not list(tmp_path.glob(".faceedit*"))

    @pytest.mark.parametrize(
        "poison", [b"", b"[]", b'{"hashes": 1}', b"\xff\xfe", b"[" * 100_000, b'{"a.safetensors": [1, 2, "0"]}']
    )
    def test_poisoned_notes_about_weights_count_as_none(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, poison: bytes
    ) -> None:
        """Breaks when a damaged file in the user's cache is an error, or counts as a check that was made."""
        from faceedit.errors import WeightsError
        from faceedit.models import ledger, verified
        from faceedit.models.manifest import WeightFile, WeightSet

        monkeypatch.setenv("FACEEDIT_CACHE", str(tmp_path))
        monkeypatch.setattr(ledger, "ledger_path", lambda: tmp_path / "weights.json")
        for name in ("verified.json", "weights.json"):
            (tmp_path / name).write_bytes(poison)
        (tmp_path / "a.safetensors").write_bytes(b"other")
        known = WeightSet("x", "hub", files=(WeightFile("a.safetensors", sha256="0" * 64),))
        with pytest.raises(WeightsError, match="hash"):
            verified.require_verified(known, tmp_path, (tmp_path / "a.safetensors",))
        assert not ledger.is_accepted("licence", "x")
