"""`benchmarks/flux_sculptor.py` from the command line on random weights: every variant runs, every file is written."""

from __future__ import annotations

import json
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
Run = Callable[..., dict[str, Any]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs one of the benchmark's commands on two edits, and gives its JSON."""
    pytest.importorskip("matplotlib")
    monkeypatch.syspath_prepend(BENCHMARKS)

    def made(what: str, *more: str) -> dict[str, Any]:
        arguments = ["--recipe", "smoke/flux-sculptor", "--count", "2", "--attributes", "glasses", "cheeks=rosy"]
        monkeypatch.setattr("sys.argv", ["flux_sculptor.py", what, *more, *arguments, "-o", str(tmp_path)])
        runpy.run_path(str(BENCHMARKS / "flux_sculptor.py"), run_name="__main__")
        document: dict[str, Any] = json.loads((tmp_path / f"{what}.json").read_text())
        return document

    return made


def test_the_grid_of_table_3(run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Breaks when a portrait is inverted once per variant, a variant is another's double, or a file is not written."""
    found = run("grid", "--steps", "3", "--set", "flux_sculptor.source_path=trajectory")
    assert len(found["variants"]) == 7
    assert len(found["inversions"]) == 2
    figures = found["figures"]
    assert len(found["edits"]["no fusion"]) == 2
    pictures = {name: (f["whole_db"], f["outside_db"], f["gain_db"]) for name, f in figures.items()}
    assert len(set(pictures.values())) == len(pictures)
    # M = 0 holds every latent after the first step; inside the place they are let go.
    everywhere, located = (figures[f"latent, {where}"]["whole_db"] for where in ("everywhere", "located"))
    assert figures["no fusion"]["whole_db"] < located < everywhere
    assert figures["no fusion"]["evaluations"] == figures["s2d-ec, everywhere"]["evaluations"] == 6
    table = (tmp_path / "grid.md").read_text()
    assert table in capsys.readouterr().out
    assert all(f"| {name} |" in table for name in figures)
    for picture in ("grid.png", "grid-sheet.jpg"):
        assert min(Image.open(tmp_path / picture).size) > 200


def test_the_stages_of_figure_8(run: Run, tmp_path: Path) -> None:
    """Breaks when T is not what a variant says, or latents that are held everywhere to the end do not come back."""
    found = run("stages", "--steps", "4", "--stages", "1", "4", "--set", "flux_sculptor.mask=whole")
    assert {name.split(",")[0] for name in found["variants"]} == {"latent", "value", "s2d-ec"}
    assert len(found["inversions"]) == 2
    assert found["figures"]["latent, T = 4"]["whole_db"] == 100
    assert found["figures"]["latent, T = 1"]["whole_db"] < 100
    assert (tmp_path / "stages.png").stat().st_size > 0


def test_the_papers_stages_are_scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks when figure 8's T no longer lie at the paper's shares of N."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    variants = runpy.run_path(str(BENCHMARKS / "flux_sculptor.py"))["stage_variants"]
    assert [*variants(30, None)["s2d-ec"]] == [1, 3, 5, 7, 9]
    assert [*variants(12, None)["s2d-ec"]] == [1, 2, 3, 4]
    assert variants(30, [2])["latent"][2].settings["flux_sculptor.structure_steps"] == "2"


def test_four_kinds_of_masks(run: Run) -> None:
    """Breaks when the editor does not get the mask that the row names."""
    found = run("masks", "--steps", "2")
    shares = {name: f["mask_share"] for name, f in found["figures"].items() if name in found["variants"]}
    assert [*shares] == ["precise", "rough", "noisy", "coarse"]
    assert len(set(shares.values())) == 4
    assert shares["coarse"] > 2 * shares["precise"]


def test_a_sweep_of_options(run: Run) -> None:
    """Breaks when a combination is missing, or an option does not reach the editor."""
    found = run("sweep", "sampling.guidance=1,4", "sampling.strength=0.5,1", "--steps", "2")
    edits = {name: f["evaluations"] for name, f in found["figures"].items() if name in found["variants"]}
    assert edits == {
        "guidance 1, strength 0.5": 2,
        "guidance 1, strength 1": 4,
        "guidance 4, strength 0.5": 2,
        "guidance 4, strength 1": 4,
    }
    assert len(found["inversions"]) == 4
    assert len({f["clip_score"] for f in found["figures"].values()}) == len(found["figures"])


def test_editors_beside_it(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    """Breaks when the other editors are measured on other edits, or a result is not pasted back."""
    found = run("editors", "--editors", "smoke/inpaint", "--set", "sampling.steps=2")
    assert [*found] == ["smoke/inpaint", "smoke/flux-sculptor"]
    edits = [[(edit["seed"], edit["key"]) for edit in report["edits"]] for report in found.values()]
    assert edits[0] == edits[1]
    assert [report["outside_max_abs_diff"] for report in found.values()] == [0, 0]
    assert "| smoke/flux-sculptor |" in capsys.readouterr().out
