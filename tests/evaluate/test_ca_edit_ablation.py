"""`benchmarks/ca_edit.py --ablation` from the command line: every variant runs, and table and figure are written."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_table_and_figure_of_the_ablations(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Breaks when a variant's setting is unknown, or a recipe does not run the backend that it is handed to."""
    pytest.importorskip("matplotlib")
    monkeypatch.syspath_prepend(BENCHMARKS)
    arguments = ["--ablation", "1", "--split", "validation", "--recipe", "smoke/ca-edit", "--set", "sampling.steps=1"]
    arguments += ["--baseline", "smoke/inpaint", "-o", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["ca_edit.py", *arguments])
    runpy.run_path(str(BENCHMARKS / "ca_edit.py"), run_name="__main__")
    table = (tmp_path / "table.md").read_text()
    variants = ["full", "without CA²", "parallel injection", "without STFG", "inpaint"]
    assert [row.split(" | ")[0].strip("| ") for row in table.splitlines()[2:]] == variants
    assert table in capsys.readouterr().out
    assert (tmp_path / "figure-7.png").stat().st_size > 0
