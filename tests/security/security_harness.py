"""Command lines around one portrait, for the tests of docs/security.md."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

SMOKE = ("-r", "smoke/inpaint", "--steps", "2")
Call = Callable[..., tuple[int, str, str]]


def names(folder: Path) -> set[str]:
    """All that lies in a folder and below."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def alone(portrait: Path) -> bool:
    """Whether nothing was written beside the portrait."""
    return [path.name for path in portrait.parent.iterdir()] == [portrait.name]


def refused(outcome: tuple[int, str, str], code: int, *words: str) -> None:
    """Asserts that a command ended with a code, nothing on stdout, and one line each on what and on what to do."""
    found, out, err = outcome
    lines = [line for line in err.splitlines() if not line.startswith("recipe ")]
    assert (found, out) == (code, ""), err
    assert len(lines) == 2 and lines[0].startswith("error: ") and lines[1].startswith("hint: "), err
    assert all(word in lines[0] for word in words), err
    assert "unexpected" not in err


def shell(words: str, folder: Path, limit: str = "") -> subprocess.CompletedProcess[str]:
    """A command line as a shell runs it, with redirections and limits of its own."""
    command = f"{limit} exec {sys.executable} -m faceedit {words}"
    environment = {**os.environ, "FACEEDIT_CONFIG": str(folder / "none.toml")}
    return subprocess.run(["bash", "-c", command], cwd=folder, env=environment, capture_output=True, text=True)
