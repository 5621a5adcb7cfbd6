"""What a hostile picture or weights file may try, through the command line."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hostile_files import Hostile, chunk, encoded, noise, write_good, write_hostile
from packaging.requirements import Requirement
from security_harness import SMOKE, Call, names

from faceedit.cli.userfile import tomllib
from faceedit.images import load_picture


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
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [Requirement(line) for line in project["dependencies"]]
    (requirement,) = (one for one in wanted if one.name == name)
    assert not requirement.specifier.contains(old)
