"""What goes wrong around an edit: disks, pipes, signals, odd pictures, odd words, numbers that are none. Each one ends
in a documented exit code with one line on what and one on what to do, or in a right result; nothing half-written stays.
"""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hostile_files import encoded, png
from numpy.typing import NDArray
from PIL import Image

from faceedit.cli import main
from faceedit.errors import UsageError
from faceedit.images import load_picture
from faceedit.models.stable_diffusion import StableDiffusion
from faceedit.request import Request
from faceedit.run import edit, locate_mask

SMOKE = ("-r", "smoke/inpaint", "--steps", "2")
Call = Callable[..., tuple[int, bytes, str]]


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path) -> Call:
    """Runs a command line: (exit code, stdout, stderr)."""
    monkeypatch.setenv("FACEEDIT_CONFIG", str(tmp_path / "none.toml"))

    def run(*words: object, stdin: bytes = b"") -> tuple[int, bytes, str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        capfdbinary.readouterr()
        code = main([str(word) for word in words])
        out, err = capfdbinary.readouterr()
        return code, out, err.decode("utf-8")

    return run


@pytest.fixture(scope="module")
def face() -> NDArray[np.uint8]:
    """A rendered portrait, uint8 [192, 192, 3]."""
    from faceedit.portraits.render import render

    return render(0, 192, regions=False).image


@pytest.fixture
def portrait(tmp_path: Path, face: NDArray[np.uint8]) -> Path:
    """The portrait as a file, alone in its folder."""
    (tmp_path / "pictures").mkdir()
    Image.fromarray(face).save(tmp_path / "pictures" / "p.png")
    return tmp_path / "pictures" / "p.png"


def alone(portrait: Path) -> bool:
    """Whether nothing was written beside the portrait."""
    return [path.name for path in portrait.parent.iterdir()] == [portrait.name]


def refused(outcome: tuple[int, bytes, str], code: int, *words: str) -> None:
    found, out, err = outcome
    lines = [line for line in err.splitlines() if not line.startswith("recipe ")]
    assert (found, out) == (code, b""), err
    assert len(lines) == 2 and lines[0].startswith("error: ") and lines[1].startswith("hint: "), err
    assert all(word in lines[0] for word in words), err
    assert "unexpected" not in err


def shell(words: str, folder: Path, limit: str = "") -> subprocess.CompletedProcess[str]:
    """A command line as a shell runs it, with redirections and limits of its own."""
    command = f"{limit} exec {sys.executable} -m faceedit {words}"
    environment = {**os.environ, "FACEEDIT_CONFIG": str(folder / "none.toml")}
    return subprocess.run(["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True)


needs_shell = pytest.mark.skipif(sys.platform != "linux", reason="needs a Linux shell")


class TestDisk:
    @needs_shell
    def test_a_full_disk_leaves_neither_a_file_nor_a_part(self, portrait: Path) -> None:
        """Breaks when the system's limit on files ends in a traceback, a short file or a temporary one."""
        run = shell("edit p.png 'rosy cheeks' -r smoke/inpaint --steps 1", portrait.parent, "ulimit -f 8;")
        assert run.returncode == 1 and run.stdout == ""
        assert "cannot write" in run.stderr and "too large" in run.stderr and "Traceback" not in run.stderr
        assert alone(portrait)

    @needs_shell
    def test_a_full_stdout_is_said(self, portrait: Path) -> None:
        """Breaks when `-o -` into a full disk looks like success, or like a fault of ours."""
        run = shell("recipes list > /dev/full", portrait.parent)
        assert run.returncode == 1
        assert run.stderr.startswith("error: cannot write to stdout: No space left") and run.stderr.count("\n") == 2

    @pytest.mark.parametrize("flag", ["-o", "--save-mask", "--compare"])
    def test_a_file_where_a_folder_should_be(self, call: Call, portrait: Path, flag: str) -> None:
        """Breaks when this is found out after the edit, or as another exception (root may write anywhere else)."""
        refused(call("edit", portrait, "rosy cheeks", flag, portrait / "x.png", *SMOKE), 1, "does not exist")
        assert alone(portrait)

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write anywhere")
    def test_a_folder_that_may_not_be_written(self, call: Call, portrait: Path) -> None:
        portrait.parent.chmod(0o500)
        try:
            refused(call("edit", portrait, "rosy cheeks", *SMOKE), 1, "cannot write")
        finally:
            portrait.parent.chmod(0o700)

    def test_a_second_file_that_fails_takes_the_first_away(
        self, call: Call, portrait: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Breaks when a result stays whose mask or sheet could not be written: the command said that it failed."""
        real, seen = os.fsync, []

        def full(descriptor: int) -> None:
            seen.append(descriptor)
            if len(seen) == 2:
                raise OSError(28, "No space left on device")
            real(descriptor)

        monkeypatch.setattr(os, "fsync", full)
        mask = portrait.with_name("m.png")
        refused(call("edit", portrait, "rosy cheeks", "--save-mask", mask, *SMOKE), 1, "No space left")
        assert alone(portrait)

    def test_a_name_that_no_disk_takes(self, call: Call, portrait: Path) -> None:
        """Breaks when the name of the result is longer than that of the input may be, and the system says so first."""
        long = portrait.rename(portrait.with_name(f"{'n' * 246}.png"))
        refused(call("edit", long, "rosy cheeks", *SMOKE), 1, "cannot write", "too long")
        refused(
            call("edit", portrait.with_name("n" * 300 + ".png"), "rosy cheeks", "-o", "x.png", *SMOKE), 1, "too long"
        )


class TestStreams:
    @needs_shell
    @pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
    def test_closed_streams_change_no_result(self, portrait: Path, closed: str) -> None:
        """Breaks when a closed stream is an AttributeError, or a result file takes its place."""
        run = shell(f"edit p.png 'rosy cheeks' -r smoke/inpaint --steps 1 -o out.png {closed}", portrait.parent)
        assert run.returncode == 0, run.stderr
        assert load_picture(portrait.with_name("out.png")).size == (192, 192)

    @needs_shell
    def test_a_closed_stdin_holds_no_picture(self, portrait: Path) -> None:
        run = shell("faces - <&-", portrait.parent)
        assert run.returncode == 1 and "stdin holds no picture" in run.stderr

    @pytest.mark.parametrize("data", [b"no picture", b"\x89PNG\r\n\x1a\n", png(20_000, 20_000)])
    def test_bad_bytes_on_stdin(self, call: Call, portrait: Path, data: bytes) -> None:
        """Breaks when stdin is read by another way than a file."""
        refused(call("edit", "-", "rosy cheeks", "-o", portrait.with_name("o.png"), *SMOKE, stdin=data), 1, "picture")
        assert alone(portrait)

    def test_stdin_without_end_is_cut_at_the_limit(
        self, call: Call, portrait: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Breaks when `cat /dev/zero | faceedit edit -` fills the memory."""
        monkeypatch.setattr("faceedit.decode.MAX_BYTES", 1 << 20)
        outcome = call("edit", "-", "rosy cheeks", "-o", portrait.with_name("o.png"), *SMOKE, stdin=bytes(3 << 20))
        refused(outcome, 1, "stdin holds more than 1 MiB")


class TestInterruption:
    """Ctrl-C and its kin at the worst moments, as a real signal to a process of its own."""

    # Imports everything once and forks for each moment; nothing has started a thread by then.
    SCRIPT = """
import json, os, signal, sys
from pathlib import Path
import faceedit.images, faceedit.run, faceedit.models.stable_diffusion as sd
from faceedit.cli import main
from faceedit.models.random import random_components

random_components(0)

def moment(patch, number):
    def interrupted(*_, **__):
        os.kill(os.getpid(), number)
        signal.sigtimedwait([], 1) if hasattr(signal, "sigtimedwait") else None
    exec(patch, {**globals(), "interrupted": interrupted})
    return main(["edit", "p.png", "rosy cheeks", "-r", "smoke/inpaint", "--steps", "2"])

for name, (patch, number) in json.loads(sys.argv[1]).items():
    child = os.fork()
    if not child:
        os.chdir(name)
        for stream, file in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"../{name}.{file}", os.O_WRONLY | os.O_CREAT), stream)
        os._exit(moment(patch, number))
    Path(f"{name}.code").write_text(str(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])))
"""
    WRITING = "os.fsync = interrupted"
    MOMENTS: ClassVar[dict[str, tuple[str, str]]] = {
        "in the edit": ("sd.StableDiffusion.predict_noise = interrupted", "SIGINT"),
        "while reading": ("faceedit.images.load_picture = faceedit.run.load_picture = interrupted", "SIGINT"),
        "while writing": (WRITING, "SIGINT"),
        "while naming": ("os.link = interrupted", "SIGINT"),
        "terminated": (WRITING, "SIGTERM"),
        "terminal closed": (WRITING, "SIGHUP"),
    }

    @pytest.fixture(scope="class")
    def ended(self, tmp_path_factory: pytest.TempPathFactory, face: NDArray[np.uint8]) -> Path:
        """A folder with what every moment ended in: "NAME" beside "NAME.code", "NAME.out" and "NAME.err"."""
        folder = tmp_path_factory.mktemp("interrupted")
        for name in self.MOMENTS:
            (folder / name).mkdir()
            Image.fromarray(face).save(folder / name / "p.png")
        words = json.dumps({name: (patch, getattr(signal, number)) for name, (patch, number) in self.MOMENTS.items()})
        subprocess.run([sys.executable, "-c", self.SCRIPT, words], cwd=folder, check=True)
        return folder

    @pytest.mark.skipif(os.name == "nt", reason="Windows has no such signals")
    @pytest.mark.parametrize("moment", MOMENTS)
    def test_it_ends_with_130_and_no_half_file(self, ended: Path, moment: str) -> None:
        """Breaks when an interruption is an error, a success, or leaves a part of a file.

        The system's own reaction to SIGTERM and SIGHUP would leave a hidden temporary file.
        """
        err = (ended / f"{moment}.err").read_text()
        assert (ended / f"{moment}.code").read_text() == "130", err
        assert "Traceback" not in err and "interrupted" in err and (ended / f"{moment}.out").read_text() == ""
        assert alone(ended / moment / "p.png")

    def test_the_default_reaction_to_the_signal_stays(self) -> None:
        """Breaks when a command leaves a handler of its own behind, which would swallow the second Ctrl-C."""
        before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        assert main(["recipes", "list", "-q"]) == 0
        assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def turned(face: NDArray[np.uint8], orientation: int) -> bytes:
    """The upright portrait stored turned, with the EXIF tag that turns it back."""
    back = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]
    stored = Image.fromarray(face[:, 8:184])  # not square, so that a forgotten turn shows in the size
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encoded(stored if back is None else stored.transpose(Image.Transpose(back)), exif=exif)


class TestOddPictures:
    @pytest.mark.parametrize("orientation", range(2, 9))
    def test_a_turned_photograph_is_edited_where_an_upright_one_is(
        self, face: NDArray[np.uint8], orientation: int
    ) -> None:
        """Breaks when the face is sought, or the mask laid, on the picture as it is stored."""
        upright, found = locate_mask(Request(turned(face, 1), ("red lips",), recipe="smoke/inpaint"))
        other, same = locate_mask(Request(turned(face, orientation), ("red lips",), recipe="smoke/inpaint"))
        assert other.picture.size == (192, 176) == upright.picture.size
        assert np.array_equal(found.values, same.values)

    def test_a_mask_belongs_to_the_upright_picture(self, call: Call, face: NDArray[np.uint8], tmp_path: Path) -> None:
        """Breaks when a mask as an image viewer shows it does not fit, or one of the stored size is taken."""
        (tmp_path / "in.png").write_bytes(turned(face, 6))
        Image.fromarray(np.pad(np.full((40, 40), 255, np.uint8), ((80, 72), (70, 66)))).save(tmp_path / "m.png")
        Image.new("L", (192, 176), 255).save(tmp_path / "stored.png")
        out = tmp_path / "out.png"
        assert call("edit", tmp_path / "in.png", "rosy cheeks", "-m", tmp_path / "m.png", "-o", out, *SMOKE)[0] == 0
        before, after = load_picture(tmp_path / "in.png").rgb, load_picture(out).rgb
        assert after.shape == (192, 176, 3)
        assert np.array_equal(before[:60], after[:60]) and not np.array_equal(before, after)
        words = ("edit", tmp_path / "in.png", "rosy cheeks", "-m", tmp_path / "stored.png", "-o", tmp_path / "x.png")
        refused(call(*words, *SMOKE), 2, "192x176")

    KINDS: tuple[tuple[str, str, str], ...] = (
        ("CMYK", "TIFF", "RGB"),
        ("RGBA", "PNG", "RGBA"),
        ("RGBA", "WEBP", "RGBA"),
        ("L", "PNG", "L"),
        ("LA", "PNG", "LA"),
        ("P", "PNG", "RGB"),
        ("I;16", "PNG", "L"),
        ("animated", "TIFF", "RGB"),
    )

    @pytest.mark.parametrize(("mode", "container", "kept"), KINDS)
    def test_it_comes_back_in_its_own_mode_and_equal_outside_the_mask(
        self, face: NDArray[np.uint8], mode: str, container: str, kept: str
    ) -> None:
        """Breaks when a mode reaches the editor as it is, alpha or grey is lost, or the outside changes."""
        image, options = Image.fromarray(face), {"lossless": True, "exact": True} if container == "WEBP" else {}
        if mode == "animated":
            options |= {"save_all": True, "append_images": [image.rotate(90), image.rotate(180)]}
        elif mode == "I;16":
            image = Image.fromarray(np.asarray(image.convert("L"), dtype=np.uint16) * 257)
        else:
            image = image.convert(mode)
        if mode in ("RGBA", "LA"):
            image.putalpha(Image.fromarray(np.tile(np.arange(192, dtype=np.uint8) + 40, (192, 1))))
        data = encoded(image, container, **options)
        result = edit(Request(data, ("rosy cheeks",), recipe="smoke/inpaint", steps=2))
        assert result.picture.mode == kept and result.rgb.shape == (192, 192, 3)
        outside = result.mask.values == 0
        assert np.array_equal(result.rgb[outside], result.picture.rgb[outside]) and not outside.all()
        assert bool(result.picture.notes) == (mode not in ("RGBA", "L", "LA"))

    @pytest.mark.parametrize("size", [(181, 203), (199, 187)])
    def test_a_size_that_no_model_likes_comes_back(self, face: NDArray[np.uint8], size: tuple[int, int]) -> None:
        """Breaks when the result is rounded to a multiple of eight."""
        data = encoded(Image.fromarray(face).resize(size))
        assert edit(Request(data, ("rosy cheeks",), recipe="smoke/inpaint", steps=1)).rgb.shape == (size[1], size[0], 3)


class TestWords:
    @pytest.mark.parametrize("prompt", ["", " \t\n", "\u200b", "…", "\0", "😀", "--", "no", "\ud83d"])
    def test_words_that_say_nothing_are_refused(self, call: Call, portrait: Path, prompt: str) -> None:
        """Breaks when an empty text runs, or an odd one is a crash."""
        refused(call("edit", portrait, "--", prompt) if prompt == "--" else call("edit", *SMOKE, portrait, prompt), 2)
        assert alone(portrait)

    @pytest.mark.parametrize("prompt", ["rosy cheeks 漢字 😀", "re\u0301d lips", "rosy cheeks \udcff", "RED   LIPS\n"])
    def test_words_of_any_script_are_taken(self, call: Call, portrait: Path, prompt: str) -> None:
        """Breaks when a letter, an accent of its own, or a byte that is no text stops an edit or its record."""
        code, _, err = call("edit", portrait, prompt, *SMOKE, "-o", portrait.with_name("o.png"))
        assert code == 0, err
        assert call("replay", portrait.with_name("o.png"), "--json")[1].count(b'"identical": true') == 1

    def test_more_words_than_the_encoder_reads_are_refused(self, call: Call, portrait: Path) -> None:
        """Breaks when words are cut off in silence: what is cut is not edited."""
        refused(call("edit", portrait, "rosy cheeks " + "a b c " * 90, *SMOKE, "-q"), 2, "77 tokens")
        assert alone(portrait)

    def test_a_prompt_without_end(self, call: Call, portrait: Path) -> None:
        """Breaks when a megabyte of clauses is taken apart for hours before it is refused."""
        refused(call("edit", portrait, "no " * 300_000 + "lips", *SMOKE), 2, "characters")
        refused(call("edit", portrait, "lips", "--source-prompt", "x" * 2000, *SMOKE), 2, "characters")


class TestMasks:
    @pytest.mark.parametrize(
        ("data", "code", "word"),
        [
            (b"", 1, "mask: "),
            (b"words", 1, "mask: "),
            (encoded(Image.new("L", (192, 192), 255))[:60], 1, "mask: "),
            (png(20_000, 20_000), 1, "too large"),
            (encoded(Image.new("L", (192, 192), 0)), 5, "empty"),
            (encoded(Image.new("L", (64, 64), 255)), 2, "64x64"),
            (encoded(Image.new("L", (192, 96), 255)), 2, "another aspect"),
        ],
    )
    def test_faults_of_a_mask(self, call: Call, portrait: Path, data: bytes, code: int, word: str) -> None:
        """Breaks when a mask that cannot be meant is resized, taken as empty, or read without limits."""
        mask = portrait.parent.parent / "mask.png"
        mask.write_bytes(data)
        refused(call("edit", portrait, "rosy cheeks", "-m", mask, *SMOKE), code, word)
        assert alone(portrait)

    def test_a_mask_drawn_in_alpha_only(self, call: Call, portrait: Path) -> None:
        """Breaks when a black picture with a drawn alpha channel is an empty mask."""
        drawn = Image.new("RGBA", (192, 192), (0, 0, 0, 0))
        drawn.paste((0, 0, 0, 255), (80, 90, 120, 120))
        mask = portrait.parent.parent / "mask.png"
        drawn.save(mask)
        assert call("edit", portrait, "rosy cheeks", "-m", mask, *SMOKE)[0] == 0

    def test_a_full_mask_is_warned_of(self, call: Call, portrait: Path) -> None:
        mask = portrait.parent.parent / "mask.png"
        Image.new("L", (192, 192), 255).save(mask)
        assert "almost nothing is kept" in call("edit", portrait, "rosy cheeks", "-m", mask, *SMOKE)[2]


class TestNumbers:
    """A value that is not finite, anywhere on the way, is an error: cast to pixels it would be black."""

    @pytest.mark.parametrize("value", [float("nan"), float("inf")])
    @pytest.mark.parametrize("place", ["encode_image", "encode_text", "predict_noise", "decode_image"])
    def test_it_is_never_a_picture(
        self, call: Call, portrait: Path, monkeypatch: pytest.MonkeyPatch, place: str, value: float
    ) -> None:
        """Breaks when one bad value passes a stage unseen and is saved."""
        real = getattr(StableDiffusion, place)

        def poisoned(self: StableDiffusion, *values: Any, **named: Any) -> Any:
            result = real(self, *values, **named)
            result[..., ::2] = value  # columns of latents, features of words, or two of the colours
            return result

        monkeypatch.setattr(StableDiffusion, place, poisoned)
        refused(call("edit", portrait, "rosy cheeks", *SMOKE), 1, "finite")
        assert alone(portrait)

    def test_a_black_frame_is_never_saved(self, call: Call, portrait: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Breaks when what a safety filter or an overflow leaves behind passes as a result."""

        def black(self: StableDiffusion, latents: torch.Tensor) -> NDArray[np.float32]:  # noqa: ARG001
            return np.zeros((len(latents), 64, 64, 3), np.float32)

        monkeypatch.setattr(StableDiffusion, "decode_image", black)
        refused(call("edit", portrait, "rosy cheeks", *SMOKE), 1, "black")
        assert alone(portrait)


def test_seeds_are_what_the_record_says(call: Call, portrait: Path) -> None:
    """Breaks when a result cannot be told apart from another seed's, or is made again from its record only by luck."""
    outs = [portrait.with_name(f"{seed}.png") for seed in (1, 2, 1)]
    outs[2] = portrait.with_name("again.png")
    for seed, out in zip((1, 2, 1), outs, strict=True):
        assert call("edit", portrait, "rosy cheeks", "-s", seed, "-o", out, *SMOKE)[0] == 0
    first, second, again = (out.read_bytes() for out in outs)
    assert first == again and first != second
    refused(call("edit", portrait, "rosy cheeks", "-s", 1 << 70, *SMOKE), UsageError.exit_code)
