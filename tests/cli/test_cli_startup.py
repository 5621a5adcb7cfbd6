"""Start-up: what `--help` may import, and the two ways to start the program."""

from __future__ import annotations

import os
import subprocess
import sys
import time

import pytest

HEAVY = ("torch", "numpy", "cv2", "PIL", "diffusers", "transformers", "skimage", "omegaconf", "rich")
PROBE = """
import sys
from faceedit.cli import main
code = main({words!r})
print(",".join(sorted(set(sys.modules) & set({heavy!r}))), code, file=sys.stderr)
"""


@pytest.mark.parametrize(
    "words", [["--help"], ["edit", "--help"], ["--version"], ["recipes", "show", "--help"], ["edit"]]
)
def test_help_imports_nothing_heavy(words: list[str]) -> None:
    """Breaks when a verb's module imports a model or picture library at its top."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(words=words, heavy=HEAVY)], capture_output=True, text=True, check=True
    )
    loaded, code = done.stderr.splitlines()[-1].split(" ")
    assert loaded == ""
    assert code == ("2" if words == ["edit"] else "0")


def test_help_answers_at_once() -> None:
    """Under half a second of processor time, which other work on the machine does not stretch as it does the clock."""
    start, before = time.perf_counter(), os.times()
    subprocess.run([sys.executable, "-m", "faceedit", "--help"], stdout=subprocess.DEVNULL, check=True)
    wall, after = time.perf_counter() - start, os.times()
    # Windows does not count the time of child processes; there the clock has to do.
    used = after.children_user - before.children_user + after.children_system - before.children_system
    assert (used or wall) < 0.5


def test_module_exit_code() -> None:
    done = subprocess.run([sys.executable, "-m", "faceedit", "nosuch"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")


def test_reader_that_leaves_early() -> None:
    """`faceedit recipes show mini | head -1`: no traceback, no complaint of the interpreter at its end."""
    words = [sys.executable, "-c", "import sys; from faceedit.cli import main; sys.exit(main(['--help']))"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
