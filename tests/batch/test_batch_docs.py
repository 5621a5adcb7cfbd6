"""The scripts in docs/batch.md work as they are printed; its tables name what there is."""

from __future__ import annotations

import os
import re
import signal
import stat
import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import pytest
from batch_harness import Files, Lines

from faceedit.batch.journal import ItemRecord
from faceedit.batch.manifest import COLUMNS
from faceedit.batch.naming import DEFAULT_TEMPLATE, FIELDS

DOCS = Path(__file__).parents[2] / "docs" / "batch.md"
pytestmark = pytest.mark.skipif(os.name == "nt", reason="shell scripts")


def printed(heading: str) -> str:
    """The script under a heading."""
    part = DOCS.read_text(encoding="utf-8").split(f"\n## {heading}\n")[1]
    found = re.search(r"```bash\n(.*?)```", part, flags=re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture
def shell(tmp_path: Path) -> dict[str, str]:
    """An environment with `faceedit` of this interpreter, and a `scontrol` that notes what it was asked."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, body in {
        "faceedit": f'exec "{sys.executable}" -m faceedit "$@"',
        "scontrol": f'echo "$@" >> "{tmp_path}/scontrol.log"',
    }.items():
        (programs / name).write_text(f"#!/bin/sh\n{body}\n")
        (programs / name).chmod(stat.S_IRWXU)
    return os.environ | {"PATH": f"{programs}:{os.environ['PATH']}", "FACEEDIT_CONFIG": str(tmp_path / "none.toml")}


def test_the_script(shell: dict[str, str], pictures: Path, tmp_path: Path, files: Files) -> None:
    script, out = tmp_path / "script.sh", tmp_path / "out"
    script.write_text(printed("A script"))
    (pictures / "bad.png").write_bytes(b"nothing")
    words = ["bash", str(script), str(pictures), str(out), "smoke/inpaint"]
    done = subprocess.run(words, env=shell, capture_output=True, text=True, check=False)
    assert done.returncode == 3, done.stderr
    assert set(files(out)) == {"a.rosy-cheeks.png", "sub/b.rosy-cheeks.png"}
    assert (out / "merged.jsonl").read_text().count("\n") == 3
    assert re.search(r"^failed +1$", done.stdout, flags=re.MULTILINE)


def test_the_slurm_array(shell: dict[str, str], pictures: Path, tmp_path: Path, lines: Lines) -> None:
    """SIGUSR1 to the shell: the item in hand is finished, the task is queued again, and then goes on to its end."""
    script, out = tmp_path / "array.sh", tmp_path / "out"
    text = printed("A Slurm array")
    assert "--array=0-3" in text and '"$SLURM_ARRAY_TASK_ID/4"' in text
    # One task of one, so that both pictures are its own.
    script.write_text(text.replace("$SLURM_ARRAY_TASK_ID/4", "$SLURM_ARRAY_TASK_ID/1"))
    for number in range(12):
        (pictures / f"more{number}.png").write_bytes((pictures / "a.png").read_bytes())
    words = ["bash", str(script), str(pictures), str(out), "smoke/inpaint"]
    slurm = shell | {"SLURM_ARRAY_TASK_ID": "0", "SLURM_ARRAY_JOB_ID": "77"}
    with subprocess.Popen(words, env=slurm, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not (out.is_dir() and lines(out)):
            time.sleep(0.01)
        process.send_signal(signal.SIGUSR1)
        assert process.wait() == 130
    assert (tmp_path / "scontrol.log").read_text() == "requeue 77_0\n"
    assert 0 < len([line for line in lines(out) if line["status"] == "ok"]) < 14
    assert lines(out)[-1]["status"] == "ok"
    assert subprocess.run(words, env=slurm, capture_output=True, check=False).returncode == 0
    assert len([line for line in lines(out) if line["status"] == "ok"]) == 14


def test_tables() -> None:
    text = DOCS.read_text(encoding="utf-8")
    assert set(re.findall(r"\{([a-z]+)\}", text)) == set(FIELDS)
    assert f"`{DEFAULT_TEMPLATE}`" in text
    columns = text.split("| column |")[1].split("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", columns.replace("`prompt` takes", ""))) == set(COLUMNS)
    record = text.split("| key of `faceedit.batch.item/1` |")[1].split("\n\n")[0]
    assert {item.name for item in fields(ItemRecord)} <= set(re.findall(r"`(\w+)`", record))
