"""`doctor`, `bench`, `weights` and `recipes`: what they say about this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from cli_harness import Call
from torch import nn

from faceedit.bench import BenchReport, child, peak_memory, recorded_calls, replay_calls
from faceedit.bench import Call as ModelCall
from faceedit.models.manifest import WeightFile, WeightSet


def test_doctor_sees_what_runs(call: Call) -> None:
    (document,) = call("doctor", "--json").documents
    assert document["schema"] == "faceedit.doctor/1"
    recipes = {row["name"]: row for row in document["recipes"]}
    assert recipes["smoke/inpaint"]["ok"] is True
    assert recipes["inpaint"]["ok"] is True or recipes["inpaint"]["advice"]
    packages = {row["name"]: row for row in document["packages"]}
    assert packages["torch"]["ok"] is True
    assert {row["name"] for row in document["machine"]} >= {"python", "platform", "memory", "disk", "torch", "cpu"}


def test_doctor_names_a_package_out_of_range(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("faceedit.doctor.requires", lambda _: ["torch>=99", "nosuchpackage>=1", 'x; extra == "dev"'])
    outcome = call("doctor", "--json")
    old, absent, *extras = outcome.documents[0]["packages"]
    assert all(row["ok"] is None for row in extras), "nothing is wrong where an extra is absent"
    assert (old["ok"], old["advice"]) == (False, "pip install 'torch>=99'")
    assert absent["value"].startswith("missing")
    assert "torch>=99" in call("doctor").out


class Twice(nn.Module):
    """A model whose parts are called by it and, one of them, also on its own."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(2, 2)
        self.head = nn.Linear(2, 2)

    def forward(self, x: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        out: torch.Tensor = self.head(self.inner(x)) * scale
        return out


def test_the_floor_holds_the_outermost_calls() -> None:
    """A part called by its model must not be counted twice; a part called on its own must be counted."""
    model = Twice()
    x = torch.ones(1, 2)
    with recorded_calls([model]) as calls:
        model(x, scale=2.0)
        model.inner(x)
    assert [(call.model, call.kwargs) for call in calls] == [(model, {"scale": 2.0}), (model.inner, {})]
    with recorded_calls([model]) as again:
        replay_calls(calls)
    assert [call.model for call in again] == [model, model.inner]
    model(x)
    assert len(again) == 2


def test_a_failing_call_leaves_the_count_right() -> None:
    model = Twice()
    with recorded_calls([model]) as calls:
        with pytest.raises(RuntimeError):
            model(torch.ones(1, 3))
        model(torch.ones(1, 2))
    assert [call.model for call in calls] == [model, model]
    assert isinstance(calls[0], ModelCall)


def test_peak_memory_is_in_bytes() -> None:
    """torch alone takes more than 50 MiB; a unit wrong by 1024 would show."""
    peak = peak_memory()
    assert peak is None or 50 * 1024**2 < peak < 100 * 1024**3


def test_bench_measures_an_edit() -> None:
    """What the measured process answers, run here; the floor must hold the edit's very calls."""
    answer = child({"options": {"recipe": "smoke/inpaint"}, "repeats": 1})
    report = BenchReport(help_seconds=0.1, **answer)
    assert report.calls["UNet2DConditionModel"] == 2
    assert report.calls["Encoder"] == 1 and report.calls["Decoder"] >= 1
    assert report.warm_seconds == pytest.approx(report.prepare_seconds + report.edit_seconds + report.encode_seconds)
    assert report.ratio == pytest.approx(report.warm_seconds / report.floor_seconds)
    assert report.edit_ratio == pytest.approx(report.edit_seconds / report.floor_seconds)


def test_bench_counts_a_transformers_evaluations() -> None:
    """Breaks when bench knows UNets only: RF-Solver takes 4N calls of the transformer, two rows or one in each."""
    for bank in ("store", "dual"):
        settings = {"sampling.steps": "2", "flux_sculptor.bank": bank}
        report = child({"options": {"recipe": "smoke/flux-sculptor", "settings": settings}, "repeats": 1})
        assert report["calls"]["FluxTransformer2DModel"] == 8
        assert report["calls"]["T5EncoderModel"] == 2


def test_bench_keeps_the_exit_code_of_the_edit(call: Call) -> None:
    """Through the fresh process and back."""
    outcome = call("bench", "-r", "nosuch", "--json")
    assert outcome.code == 2
    assert "nosuch" in outcome.documents[0]["error"]["message"]


@pytest.fixture
def one_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A manifest with one bundled set of one file, present and whole."""
    folder = tmp_path / "weights" / "tiny"
    folder.mkdir(parents=True)
    (folder / "a.bin").write_bytes(b"weights")
    digest = "9a3f6e0b8ed1a8a2f0d1d8a2c3a2b2b9f0c9be3ea7ee1a7ec3a9c2c4c8a0f0d0"
    known = WeightSet("tiny", "bundled", files=(WeightFile("a.bin", 7, digest),), licence="Apache-2.0")
    monkeypatch.setattr("faceedit.models.manifest.weight_sets", lambda: (known,))
    monkeypatch.setattr("faceedit.models.manifest.bundled_weights_dir", lambda: folder.parent)
    return folder


@pytest.mark.usefixtures("one_set")
def test_weights_verify_finds_damage(call: Call) -> None:
    """The bytes do not have the manifest's hash: exit code 4, the file named."""
    outcome = call("weights", "verify")
    assert outcome.code == 4
    assert "a.bin" in outcome.out
    assert "tiny" in outcome.err


def test_weights_list_and_path(call: Call, one_set: Path) -> None:
    (document,) = call("weights", "list", "--json").documents
    assert (document["id"], document["bytes"], document["licence"]) == ("tiny", 7, "Apache-2.0")
    assert call("weights", "path", "tiny").out == f"{one_set}\n"
    assert call("weights", "path", "tyni").code == 2


def test_absent_weights_have_no_path(call: Call, one_set: Path) -> None:
    (one_set / "a.bin").unlink()
    one_set.rmdir()
    assert call("weights", "path", "tiny").code == 4


def test_recipes_list_and_show(call: Call) -> None:
    assert "smoke/inpaint" in call("recipes", "list").out
    shown = call("recipes", "show", "smoke/inpaint", "--set", "sampling.guidance=3")
    (row,) = [line.split() for line in shown.out.splitlines() if line.startswith("sampling.guidance ")]
    assert row[1] == "3.0"
    assert "prompts:" not in shown.out


def test_a_recipe_with_a_closed_vocabulary_shows_its_words(call: Call) -> None:
    """Breaks if a user cannot find out which prompts mini takes."""
    assert "rosy cheeks" in call("recipes", "show", "mini/inpaint").out
