"""`data`, `train` and `eval`: the verbs around training, from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from cli_harness import SMOKE, Call
from PIL import Image

REPORT_KEYS = {
    "backend",
    "count",
    "seed",
    "attr_edit",
    "attr_preserve",
    "psnr_before_db",
    "psnr_after_db",
    "psnr_gain_db",
    "outside_max_abs_diff",
    "seconds_per_edit",
}


def test_data_portraits(call: Call, tmp_path: Path) -> None:
    out = tmp_path / "portraits"
    outcome = call("data", "portraits", "-o", out, "--count", 1, "--seed", 5, "--size", 128, "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.documents[0]["output"] == str(out)
    (line,) = (out / "portraits.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["seed"] == 5
    with Image.open(out / "images" / "000000.png") as image:
        assert image.size == (128, 128)
    assert (out / "masks" / "000000" / "cheeks.png").exists()
    again = call("data", "portraits", "-o", out, "--count", 1)
    assert again.code == 1 and "--force" in again.err


def test_data_lamask_caption(call: Call, tmp_path: Path) -> None:
    """Breaks when portraits do not come out in the form, or absent models are met with a traceback."""
    out = tmp_path / "lamask"
    outcome = call("data", "lamask-caption", "--portraits", 2, "-o", out, "--size", 128, "--json")
    assert outcome.code == 0, outcome.err
    lines = (out / "captions.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == outcome.documents[0]["captions"] > 20
    assert call("data", "lamask-caption", "-o", out).code == 2
    assert call("data", "lamask-caption", out, "--portraits", 2, "-o", tmp_path / "x").code == 2
    assert call("data", "lamask-caption", tmp_path / "nowhere", "-o", tmp_path / "x").code == 2
    absent = call("data", "lamask-caption", out / "images", "-o", tmp_path / "x")
    assert absent.code == 4 and "GB" in absent.err and "weights pull" in absent.err
    assert not (tmp_path / "x").exists()


def test_train_refuses_what_is_no_training(call: Call) -> None:
    outcome = call("train", "nosuch")
    assert outcome.code == 2
    assert "tokenizer" in outcome.err


def test_train_refuses_an_unknown_setting(call: Call, tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert call("train", "tokenizer", "-o", out, "--set", "captionz=10").code == 2
    assert not out.exists()


def test_train_tokenizer(call: Call, tmp_path: Path) -> None:
    out = tmp_path / "run"
    outcome = call("train", "tokenizer", "-o", out, "--set", "captions=50", "--set", "words=700", "--json")
    assert outcome.code == 0, outcome.err
    assert Path(outcome.documents[0]["output"]) == out / "export"
    assert any((out / "export").iterdir())


@pytest.fixture
def untrained_scorers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small judge and CLIP pair of the real classes, untrained: the figures mean nothing, their shape does."""
    from faceedit.evaluate.judge import Judge, JudgeConfig
    from faceedit.evaluate.scorers import ClipPair, JudgedPictures
    from faceedit.models.random import random_components

    with torch.random.fork_rng():
        torch.manual_seed(0)
        judge = JudgedPictures(Judge(JudgeConfig(channels=(8, 8), size=16)).eval())
    monkeypatch.setattr("faceedit.evaluate.portraits.bundled_judge", lambda: judge)
    monkeypatch.setattr("faceedit.evaluate.portraits.bundled_clip", lambda: ClipPair(random_components(0)))


@pytest.mark.usefixtures("untrained_scorers")
def test_eval_portraits(call: Call, tmp_path: Path) -> None:
    """One object with the figures that docs/cli.md and docs/evaluation.md promise, and the sheet."""
    words = ("eval", "portraits", *SMOKE, "--count", 2, "--size", 128, "--attributes", "glasses", "--trips", 1)
    outcome = call(*words, "--json", "-o", tmp_path / "sheet.png")
    assert outcome.code == 0, outcome.err
    (document,) = outcome.documents
    assert set(document) >= REPORT_KEYS | {"judge_accuracy", "round_trips", "sheet"}
    assert document["schema"] == "faceedit.eval.portraits/1"
    assert document["outside_max_abs_diff"] == 0
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > sheet.height > 0


@pytest.mark.usefixtures("untrained_scorers")
def test_eval_prints_a_table(call: Call) -> None:
    outcome = call("eval", "portraits", *SMOKE, "--count", 1, "--size", 128, "--attributes", "glasses")
    assert outcome.code == 0, outcome.err
    assert "gain dB" in outcome.out and "judge:" in outcome.out
    assert "\x1b" not in outcome.out


def test_eval_needs_a_file_for_its_sheet(call: Call) -> None:
    assert call("eval", "portraits", *SMOKE, "-o", "-").code == 2
