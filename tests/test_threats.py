"""What a hostile file, record, name or neighbour may try, through the command line: see docs/security.md."""

from __future__ import annotations

import base64
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from hostile_files import Hostile, chunk, encoded, noise, png, write_good, write_hostile
from packaging.requirements import Requirement
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from faceedit.cli import main
from faceedit.cli.console import Console, columns
from faceedit.cli.userfile import tomllib
from faceedit.images import encode_picture, load_picture
from faceedit.provenance import read_record
from faceedit.request import Record

SMOKE = ("-r", "smoke/inpaint", "--steps", "2")
Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> Call:
    """Runs a command line in an empty folder of its own: (exit code, stdout, stderr)."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("FACEEDIT_CONFIG", str(tmp_path / "none.toml"))

    def run(*words: object) -> tuple[int, str, str]:
        capfd.readouterr()
        code = main([str(word) for word in words])
        return code, *capfd.readouterr()

    return run


@pytest.fixture(scope="module")
def face() -> Image.Image:
    """A rendered portrait."""
    from faceedit.portraits.render import render

    return Image.fromarray(render(0, 192, regions=False).image)


@pytest.fixture
def portrait(tmp_path: Path, face: Image.Image) -> Path:
    """The portrait as a file, alone in its folder."""
    (tmp_path / "pictures").mkdir()
    face.save(tmp_path / "pictures" / "p.png")
    return tmp_path / "pictures" / "p.png"


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


class TestHostileFiles:
    """Disguised formats, bombs, damage, traps: each named with its reason, nothing run, nothing written."""

    def test_every_one_is_named_with_its_reason(self, call: Call, tmp_path: Path) -> None:
        """Breaks when one is read, hangs, fills the memory, or is answered with a library's own words."""
        folder = tmp_path / "bad"
        folder.mkdir()
        bad = write_hostile(folder)
        assert len(bad) >= 40
        before = names(tmp_path)
        wrong = []
        for file in bad:
            code, out, err = call("edit", folder / file.name, "rosy cheeks", *SMOKE)
            lines = err.splitlines()
            good = (
                code == file.code and out == "" and len(lines) == 2 and any(w in lines[0] for w in file.expected_words)
            )
            if not (good and err.isascii() and "\x1b" not in err):
                wrong.append((file, code, err))
        assert wrong == []
        assert names(tmp_path) == before

    def test_as_a_mask_they_are_no_better(self, call: Call, portrait: Path, tmp_path: Path) -> None:
        """Breaks when the mask is read by another way than the picture."""
        folder = tmp_path / "bad"
        folder.mkdir()
        for file in write_hostile(folder)[::4]:
            code, _, err = call("edit", portrait, "rosy cheeks", "-m", folder / file.name, *SMOKE, "-q")
            assert code in (1, 2, 5), (file, err)
            assert err.count("\n") == 2 and "unexpected" not in err, (file, err)
        assert names(portrait.parent) == {"p.png"}

    def test_good_files_with_odd_names_and_odd_bytes_are_edited(self, call: Call, tmp_path: Path) -> None:
        """Breaks when a name with spaces, a shell's signs or other scripts is not taken as it is."""
        folder = tmp_path / "good"
        folder.mkdir()
        for number, name in enumerate(write_good(folder)):
            out = tmp_path / f"{number}.png"
            code, told, err = call("edit", folder / name, "rosy cheeks", "-o", out, *SMOKE)
            assert (code, told) == (0, f"{out}\n"), (name, err)
        assert not [path for path in tmp_path.rglob("*TRAP*") if path.parent != folder]

    @pytest.mark.skipif(sys.platform != "linux", reason="peak memory is read from /proc")
    def test_refusing_them_takes_little_memory(self, tmp_path: Path) -> None:
        """Breaks when a limit is looked at after the pixels, the text or the pages were unpacked."""
        write_hostile(tmp_path)
        script = (
            "import sys; from pathlib import Path; from faceedit.errors import ImageError\n"
            "from faceedit.images import load_picture\n"
            "status = Path('/proc/self/status')\n"
            "peak = lambda: int(status.read_text().split('VmHWM:')[1].split()[0]) // 1024\n"
            "before = peak()\n"
            "for path in sorted(Path(sys.argv[1]).iterdir()):\n"
            "    try: load_picture(path)\n"
            "    except ImageError: pass\n"
            "print(peak() - before)"
        )
        run = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
        assert int(run.stdout) < 64  # MiB; one of the bombs alone would take 400

    def test_a_png_in_a_million_pieces_is_refused(self, call: Call, tmp_path: Path) -> None:
        """Breaks when a small file keeps the reader busy for half a minute."""
        good = encoded(noise())
        place = good.index(b"IDAT") - 4
        path = tmp_path / "pieces.png"
        path.write_bytes(good[:place] + chunk(b"tEXt", b"a\0b") * 400_000 + good[place:])
        code, _, err = call("faces", path)
        assert code == 1 and "pieces" in err

    @pytest.mark.parametrize("packet", [b"<?xpacket " * 90_000, b"<x>" + b"<a/>" * 200_000 + b"</x>"])
    def test_an_xmp_packet_that_would_take_hours_is_left_out(self, packet: bytes) -> None:
        """Breaks when a pattern backtracks over the whole packet, or a crowd of elements becomes a tree."""
        picture = load_picture(encoded(noise(), "WEBP", xmp=packet[: 1 << 20]))
        assert picture.xmp is None


class TestNames:
    """Names and texts that would steer a terminal, or the path of a result."""

    @pytest.mark.skipif(os.name == "nt", reason="Windows file names hold no control characters")
    def test_a_name_with_escapes_never_reaches_a_terminal(
        self, call: Call, portrait: Path, face: Image.Image, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Breaks when a warning, a table, a path or a sheet's label writes the name as it is to a terminal."""
        evil = portrait.with_name("\x1b[31m\u202egnp.png")
        face.save(evil)
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


def shown_on_a_terminal(console: Console, text: str) -> None:
    """`Console.line` with a stdout that says it is a terminal."""

    class Terminal(io.TextIOWrapper):
        def isatty(self) -> bool:
            return True

    raw = io.BytesIO()
    terminal = Terminal(raw, encoding="utf-8")
    REAL_LINE(Console(stdout=terminal), text)
    console.write_bytes(raw.getvalue())


REAL_LINE = Console.line


class TestLocation:
    """Where a picture was taken stays with its owner."""

    MARKS = (b"48,8.25N", b"Munich", b"GPSMARK", b"\x00\x00\x00\x30\x00\x00\x00\x01\x00\x00\x00\x08")

    def located(self, face: Image.Image, container: str) -> bytes:
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
            return encoded(face, container, exif=exif, xmp=xmp)
        text = PngInfo()
        text.add_itxt("XML:com.adobe.xmp", xmp.decode())
        text.add_text("Location", "Munich")
        return encoded(face, exif=exif, pnginfo=text)

    @pytest.mark.parametrize("container", ["PNG", "JPEG", "WEBP", "TIFF"])
    def test_it_is_in_no_file_and_no_line(self, call: Call, face: Image.Image, tmp_path: Path, container: str) -> None:
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


class TestWeights:
    """What the loader's own tests (tests/models) leave out."""

    def test_a_tensors_name_is_no_path(self, tmp_path: Path, call: Call, portrait: Path) -> None:
        """Breaks when a name such as "../../x" is ever joined to a folder."""
        from safetensors.torch import load_file, save_file

        from faceedit.models.random import random_components
        from faceedit.models.save import save_components

        folder = tmp_path / "weights"
        save_components(random_components(), folder)
        file = folder / "unet" / "diffusion_pytorch_model.safetensors"
        state = load_file(file)
        save_file(
            {**state, "../../x": state["conv_out.bias"].clone(), "/tmp/faceedit-x": state["conv_out.bias"].clone()},
            file,
        )
        before = names(tmp_path)
        settings = ("--set", "weights.kind=local", "--set", f"weights.path={folder}")
        code, _, err = call("edit", portrait, "rosy cheeks", *SMOKE, *settings)
        assert code == 4 and "../../x" in err
        assert names(tmp_path) == before and not Path("/tmp/faceedit-x").exists()


def floors() -> Iterator[tuple[str, str]]:
    """Releases that fixed what docs/security.md lists; older ones must not satisfy our requirements."""
    yield "torch", "2.9.1"
    yield "pillow", "12.2.0"
    yield "safetensors", "0.4.9"


@pytest.mark.parametrize(("name", "old"), floors())
def test_releases_with_known_holes_are_out_of_range(name: str, old: str) -> None:
    """Breaks when a requirement is widened to releases with published vulnerabilities."""
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [Requirement(line) for line in project["dependencies"]]
    (requirement,) = (one for one in wanted if one.name == name)
    assert not requirement.specifier.contains(old)


def test_the_hostile_folder_says_what_it_holds(tmp_path: Path) -> None:
    """Breaks when a kind is written that no list names, or two runs write different bytes."""
    first, second = tmp_path / "1", tmp_path / "2"
    for folder in (first, second):
        folder.mkdir()
    bad: list[Hostile] = write_hostile(first)
    assert {file.name for file in bad} == {path.name for path in first.iterdir()}
    assert write_hostile(second) == bad
    regular = [path for path in first.iterdir() if path.is_file()]
    assert all(path.read_bytes() == (second / path.name).read_bytes() for path in regular)
