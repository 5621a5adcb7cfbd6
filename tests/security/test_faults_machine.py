"""What goes wrong around an edit: disks, pipes, signals, numbers that are none. Each one ends in a documented exit code
with one line on what and one on what to do, or in a right result; nothing half-written stays.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hostile_files import png
from numpy.typing import NDArray
from PIL import Image
from security_harness import SMOKE, Call, alone, refused, shell

from faceedit.cli import main
from faceedit.errors import UsageError
from faceedit.images import load_picture
from faceedit.models.stable_diffusion import StableDiffusion

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
