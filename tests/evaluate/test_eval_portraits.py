"""The benchmark from end to end, bracketed by an editor that does nothing and one that knows the answer."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from eval_nearest import NearestRender
from rich.console import Console

from faceedit.errors import UsageError
from faceedit.evaluate import portraits
from faceedit.evaluate.report import PortraitReport
from faceedit.evaluate.round_trips import round_trip_task, round_trips
from faceedit.evaluate.runner import Findings, Setup, run_edits
from faceedit.evaluate.scorers import JudgedPictures
from faceedit.evaluate.scores import PSNR_CAP_DB
from faceedit.evaluate.sheet import draw_sheet
from faceedit.evaluate.table import table
from faceedit.evaluate.tasks import EditTask
from faceedit.evaluate.trivial import EncodedAnswer, KnownAnswer
from faceedit.recipe import load_recipe
from faceedit.request import EditText
from faceedit.run import load_editor

PROMISED = {
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


@pytest.fixture(scope="module")
def findings(setup: Setup, tasks: tuple[EditTask, ...]) -> Findings:
    return run_edits(setup, tasks, len(tasks), samples=3)


@pytest.fixture(scope="module")
def report(setup: Setup, findings: Findings) -> PortraitReport:
    return portraits.make_report(setup, findings, wordings="canonical", split="held-out", seed=0, size=64)


def test_doing_nothing_gains_nothing(report: PortraitReport) -> None:
    """Breaks when the score can be had without an edit."""
    figures = report.references["identity"]
    assert figures.psnr_gain_db == 0
    assert figures.attr_edit == 0
    assert figures.attr_preserve == 1
    assert figures.gain_share == 0
    assert figures.clip_direction is None


def test_the_answer_gains_everything(report: PortraitReport) -> None:
    """Breaks when pasting back, masks or counterfactuals are off: the truth must come through the walk untouched."""
    figures = report.references["truth"]
    assert figures.psnr_after_db == PSNR_CAP_DB
    assert figures.attr_edit == figures.attr_edit_truth == 1
    assert figures.attr_preserve == figures.attr_preserve_labels == 1
    assert figures.gain_share == 1
    assert figures.outside_max_abs_diff == 0


def test_the_autoencoder_is_the_ceiling_of_its_model(report: PortraitReport) -> None:
    """Breaks when the model's own picture of the answer is mixed up with the answer, or skips the model."""
    figures = report.references["autoencoder"]
    assert figures.psnr_after_db < report.references["truth"].psnr_after_db
    assert figures.psnr_after_db != report.figures.psnr_after_db
    assert figures.outside_max_abs_diff == 0


def test_an_exact_autoencoder_gives_the_truth(setup: Setup, tasks: tuple[EditTask, ...]) -> None:
    """Breaks when the answer is encoded at another size or with another person's picture."""
    exact = replace(setup, editor=KnownAnswer(tasks[0].before.image))
    found = run_edits(exact, tasks[:1], 1).edits
    assert found["autoencoder"][0].mse_after == 0


@pytest.mark.parametrize(("recipe", "denoiser"), [("smoke/mag-edit", "unet"), ("smoke/flux-sculptor", "transformer")])
def test_the_autoencoder_inverts_nothing(recipe: str, denoiser: str, tasks: tuple[EditTask, ...]) -> None:
    """Breaks when the bracket pays for inversions that it does not look at, or encodes otherwise than they do."""
    editor = load_editor(load_recipe(recipe, {"sampling.steps": "1"}))
    answer = np.ascontiguousarray(tasks[0].after.image)
    inverted = editor.invert(answer / np.float32(255), "a person").latents
    calls = []
    hook = getattr(editor.components, denoiser).register_forward_pre_hook(lambda *_: calls.append(1))
    bracket = EncodedAnswer(editor, answer)
    known = bracket.invert(tasks[0].before.image / np.float32(255), "a person")
    (step,) = bracket.edit(known, EditText((), "", ""), np.ones((64, 64), np.float32), torch.Generator())
    hook.remove()
    assert not calls
    assert torch.equal(step.latents, inverted)


def test_random_weights_score_between_the_brackets(report: PortraitReport) -> None:
    """Breaks when the editor's own pictures are not the ones that are scored: noise must be far from the truth."""
    assert report.figures.psnr_gain_db < -3
    assert report.figures.psnr_before_db == report.references["identity"].psnr_before_db
    assert report.figures.seconds_per_edit > report.references["truth"].seconds_per_edit


def test_outside_is_untouched(findings: Findings) -> None:
    """Breaks when a pixel outside the feathered mask changes."""
    assert [edit.outside_max_abs_diff for edit in findings.edits["editor"]] == [0] * 5


def test_a_seam_in_the_outside_is_found(
    setup: Setup, tasks: tuple[EditTask, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Breaks when the outside score cannot fail: here the pasted picture is damaged in one far corner."""
    from faceedit.evaluate import runner

    honest = runner.edit_prepared

    def damaged(*args: object, **kwargs: object) -> object:
        result = honest(*args, **kwargs)
        rgb = result.rgb.copy()
        rgb[-1, 0, 0] = np.uint8(int(rgb[-1, 0, 0]) ^ 8)
        return replace(result, rgb=rgb)

    monkeypatch.setattr(runner, "edit_prepared", damaged)
    found = run_edits(setup, tasks[:1], 1)
    assert found.edits["truth"][0].outside_max_abs_diff == 8


def test_json_is_one_object_with_the_promised_keys(report: PortraitReport) -> None:
    """Breaks when a promised key is missing, a value is NaN or infinite, or pictures slip into the JSON."""
    document = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert document.keys() >= PROMISED | {"definitions", "locator", "recipe", "judge_accuracy", "judge_field_accuracy"}
    assert "samples" not in document
    assert document["backend"] == "inpaint"
    assert document["count"] == len(document["edits"]) == 5
    assert sum(row["count"] for row in document["by_attribute"].values()) == 5
    assert sum(row["count"] for row in document["by_kind"].values()) == 5
    assert document["judge_accuracy"] == 1.0


def test_same_seed_same_figures(setup: Setup, findings: Findings, tasks: tuple[EditTask, ...]) -> None:
    """Breaks when a run depends on what ran before it; only the time may differ."""
    again = run_edits(setup, tasks[1:2], 1)
    assert replace(again.edits["editor"][0], seconds=0) == replace(findings.edits["editor"][1], seconds=0)


def test_prompts_that_are_not_understood_are_counted(setup: Setup, tasks: tuple[EditTask, ...]) -> None:
    """Breaks when one odd wording ends the run, or vanishes without a trace."""
    strange = replace(tasks[0], phrase="")
    assert run_edits(setup, (strange, tasks[1]), 2).not_understood == [""]
    with pytest.raises(UsageError):
        run_edits(setup, (strange,), 1)


def test_the_public_call(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks when `evaluate` does not pass its arguments on; judge and CLIP are replaced by untrained ones."""
    from faceedit.evaluate.judge import Judge, JudgeConfig

    with torch.random.fork_rng():
        torch.manual_seed(0)
        judge = JudgedPictures(Judge(JudgeConfig(channels=(8, 8), size=16)).eval())
    monkeypatch.setattr(portraits, "bundled_judge", lambda: judge)
    monkeypatch.setattr(portraits, "bundled_clip", lambda: setup.clip)
    seen: list[tuple[int, int]] = []
    made = portraits.evaluate(
        "inpaint",
        "smoke/inpaint",
        count=2,
        seed=4,
        attributes=["glasses"],
        locator="hull",
        split="validation",
        size=64,
        samples=1,
        trips=1,
        progress=lambda done, count: seen.append((done, count)),
    )
    assert seen == [(0, 2), (1, 2), (2, 2)]
    assert made.to_json()["options"]["size"] == 64
    assert (made.locator, made.split, made.seed, made.figures.count, len(made.samples)) == (
        "hull",
        "validation",
        4,
        2,
        1,
    )
    assert made.round_trips is not None
    assert made.to_json()["round_trips"]["trips"] == 1
    assert 0 <= made.judge_accuracy < 1


def test_table_shows_every_row(report: PortraitReport) -> None:
    """Breaks when an attribute, a bracket or the judge is left out of the table."""
    console = Console(width=160)
    with console.capture() as captured:
        console.print(table(report))
    shown = captured.get()
    for word in (
        *report.by_attribute,
        *report.by_kind,
        "all",
        "(identity)",
        "(autoencoder)",
        "(truth)",
        "judge: 100.0%",
    ):
        assert word in shown


def test_sheet(report: PortraitReport) -> None:
    """Breaks when the sheet loses an edit or is drawn of nothing."""
    picture = draw_sheet(report.samples, height=64)
    assert picture.shape[0] > 2 * 64
    assert picture.shape[1] > 8 * 64
    with pytest.raises(UsageError):
        draw_sheet(())


def test_round_trips_of_an_editor_that_does_nothing(setup: Setup) -> None:
    """Breaks when keeping the picture is praised as two edits: the SSIM is 1, but no glasses ever come."""
    task = round_trip_task(size=64)
    idle = replace(setup, editor=KnownAnswer(task.before.image), judge=NearestRender([task]))
    found = round_trips(idle, task, trips=2)
    assert found.ssim == pytest.approx((1.0, 1.0))
    assert (found.added, found.removed, found.outside_max_abs_diff) == (0.0, 1.0, 0)
