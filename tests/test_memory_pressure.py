"""Out of memory: one step down that is said, recorded and replayed; then a clear stop with its own exit code."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from faceedit.cli import main
from faceedit.errors import ImageError, OutOfMemoryError
from faceedit.memory_pressure import is_out_of_memory, step_down
from faceedit.models.stable_diffusion import StableDiffusion
from faceedit.provenance import read_record
from faceedit.recipe import load_recipe
from faceedit.recipe_schema import Recipe
from faceedit.request import Request
from faceedit.run import edit, prepare
from faceedit.warm import Warm

SAID = (
    MemoryError(),
    np._core._exceptions._ArrayMemoryError((1 << 40,), np.dtype(np.uint8)),
    torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 999 bytes."),
    RuntimeError("MPS backend out of memory (MPS allocated: 8 GB, max allowed: 9 GB)"),
    RuntimeError("Invalid buffer size: 40.00 GiB"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("HIP out of memory"),
    cv2.error("OpenCV(5.0) error: (-4:Insufficient memory) Failed to allocate 1099511627776 bytes"),
    OutOfMemoryError("no memory"),
)
OTHER = (
    RuntimeError("shape mismatch"),
    ImageError("out of memory.png does not exist"),
    OSError(28, "No space left on device"),
    KeyError("out of memory"),
)


@pytest.mark.parametrize("error", SAID, ids=lambda error: str(error)[:30])
def test_every_way_of_saying_it_is_understood(error: Exception) -> None:
    """Breaks when a device's or library's own wording ends as "unexpected RuntimeError" with exit code 1."""
    assert is_out_of_memory(error)


@pytest.mark.parametrize("error", OTHER, ids=str)
def test_other_errors_are_left_alone(error: Exception) -> None:
    """Breaks when a file's name or a full disk starts a retry."""
    assert not is_out_of_memory(error)


def test_the_real_allocators_are_understood() -> None:
    """Breaks when an upgrade of torch or numpy words it in another way."""
    for ask in (lambda: torch.empty(1 << 58), lambda: np.empty(1 << 58)):
        with pytest.raises((RuntimeError, MemoryError)) as caught:
            ask()
        assert is_out_of_memory(caught.value)


def recipe(memory: str, candidates: int) -> Recipe:
    return load_recipe("smoke/inpaint", {"inpaint.candidates": str(candidates), "device.memory": memory})


@pytest.mark.parametrize(
    ("memory", "candidates", "device", "said"),
    [
        ("full", 4, "cuda", "device.memory full -> low"),
        ("auto", 4, "cuda", "device.memory auto -> lowest"),
        ("low", 4, "cuda", "device.memory low -> lowest"),
        ("lowest", 4, "cuda", "inpaint.candidates 4 -> 1"),
        ("auto", 4, "mps", "inpaint.candidates 4 -> 1"),
        ("auto", 2, "cpu", "inpaint.candidates 2 -> 1"),
        ("lowest", 1, "cuda", None),
        ("auto", 1, "cpu", None),
    ],
)
def test_the_step_that_keeps_the_result_comes_first(
    memory: str, candidates: int, device: str, said: str | None
) -> None:
    """Breaks when a step down changes nothing, or gives up candidates while models could wait off the device."""
    found = step_down(recipe(memory, candidates), device)
    assert (found and found[1]) == said
    if found is not None:
        assert found[0] != recipe(memory, candidates)
        assert step_down(found[0], device) != found


@pytest.mark.parametrize(
    ("memory", "bank", "device", "said"),
    [
        ("auto", "auto", "cuda", "device.memory auto -> lowest"),
        ("lowest", "auto", "cuda", "flux_sculptor.bank auto -> dual"),
        ("auto", "auto", "cpu", "flux_sculptor.bank auto -> dual"),
        ("auto", "store", "cpu", None),
        ("auto", "dual", "cpu", None),
    ],
)
def test_what_is_kept_of_the_source_is_given_up(memory: str, bank: str, device: str, said: str | None) -> None:
    """Breaks when a bank that was asked for is given up, or one that was not is kept until memory runs out again."""
    asked = load_recipe("smoke/flux-sculptor", {"bank": bank, "device.memory": memory})
    found = step_down(asked, device)
    assert (found and found[1]) == said


Fail = Callable[[Callable[[int], bool]], list[int]]


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> Fail:
    """Runs out of memory in the UNet for every batch that the given question answers with yes; lists the batches."""

    def install(too_large: Callable[[int], bool]) -> list[int]:
        seen: list[int] = []
        real = StableDiffusion.predict_noise

        def predict(self: StableDiffusion, z: torch.Tensor, *rest: Any, **named: Any) -> torch.Tensor:
            seen.append(len(z))
            if too_large(len(z)):
                raise torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB")
            return real(self, z, *rest, **named)

        monkeypatch.setattr(StableDiffusion, "predict_noise", predict)
        return seen

    return install


@pytest.fixture
def portrait(tmp_path: Path) -> Path:
    """A rendered portrait, alone in its folder."""
    from faceedit.portraits.render import render

    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.fromarray(render(0, 192, regions=False).image).save(folder / "p.png")
    return folder / "p.png"


def asked(portrait: Path, candidates: int = 3) -> Request:
    return Request(
        portrait,
        ("rosy cheeks",),
        recipe="smoke/inpaint",
        steps=2,
        settings={"inpaint.candidates": str(candidates)},
    )


def test_one_step_down_is_said_and_recorded(portrait: Path, fail: Fail) -> None:
    """Breaks when the retry is silent, when the record still names what ran out of memory, or when it is no edit."""
    seen = fail(lambda batch: batch > 2)
    result = edit(asked(portrait))
    assert seen == [6, 2, 2]
    assert result.record.data["step_down"] == "inpaint.candidates 3 -> 1"
    assert result.record.data["recipe"]["inpaint"]["candidates"] == 1
    assert any("inpaint.candidates 3 -> 1" in warning for warning in result.warnings)
    assert not np.array_equal(result.rgb, result.picture.rgb)


def test_the_step_lasts_and_equals_the_leaner_recipe(portrait: Path, fail: Fail) -> None:
    """Breaks when every further picture runs out of memory again first, or when the step changes more than it says."""
    lean: NDArray[np.uint8] = edit(asked(portrait, candidates=1)).rgb
    seen = fail(lambda batch: batch > 2)
    request = asked(portrait)
    prepared = prepare(request)
    warm = Warm(prepared.recipe)
    first, second = warm.edit(prepared, request), warm.edit(prepared, request)
    assert seen == [6, 2, 2, 2, 2]
    assert np.array_equal(first.rgb, lean) and np.array_equal(second.rgb, lean)
    assert first.warnings == second.warnings and first.record == second.record


def test_no_memory_after_the_step_is_a_stop(portrait: Path, fail: Fail) -> None:
    """Breaks when it goes on down in silence, tries for ever, or lets the device's own error through."""
    seen = fail(lambda _: True)
    with pytest.raises(OutOfMemoryError, match=r"candidates 3 -> 1") as caught:
        edit(asked(portrait))
    assert caught.value.hint and seen == [6, 2]


def test_without_a_step_it_stops_at_once(portrait: Path, fail: Fail) -> None:
    """Breaks when the same recipe is tried twice."""
    seen = fail(lambda _: True)
    with pytest.raises(OutOfMemoryError):
        edit(asked(portrait, candidates=1))
    assert seen == [2]


def test_other_failures_are_no_reason_for_a_step(portrait: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks when a fault of another kind is tried again with fewer candidates."""
    calls = []

    def broken(*_: object, **__: object) -> None:
        calls.append(1)
        raise RuntimeError("shape mismatch")

    monkeypatch.setattr(StableDiffusion, "predict_noise", broken)
    with pytest.raises(RuntimeError, match="shape mismatch"):
        edit(asked(portrait))
    assert len(calls) == 1


def test_loading_takes_the_step_too(portrait: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks when models that do not fit are an error although fewer of them would."""
    from faceedit import warm as module

    real, seen = module.load_editor, []

    def load(recipe: Recipe) -> Any:
        seen.append(recipe.inpaint.candidates)
        if recipe.inpaint.candidates > 1:
            raise MemoryError
        return real(recipe)

    monkeypatch.setattr(module, "load_editor", load)
    request = asked(portrait)
    prepared = prepare(request)
    warm = Warm(prepared.recipe)
    warm.load()
    assert seen == [3, 1]
    assert warm.edit(prepared, request).record.data["step_down"]


def test_the_command_ends_with_seven_and_leaves_nothing(
    portrait: Path, fail: Fail, capsys: pytest.CaptureFixture[str]
) -> None:
    """Breaks when running out of memory ends in another exit code, a traceback or a file."""
    fail(lambda _: True)
    words = ["edit", str(portrait), "rosy cheeks", "-r", "smoke/inpaint", "--steps", "2"]
    assert main(words) == 7
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 3
    assert [path.name for path in portrait.parent.iterdir()] == ["p.png"]


def test_a_result_after_a_step_replays_to_the_same_bytes(
    portrait: Path, fail: Fail, capsys: pytest.CaptureFixture[str]
) -> None:
    """Breaks when a replay asks for what ran out of memory, or forgets the step in its own record."""
    fail(lambda batch: batch > 2)
    words = ["edit", str(portrait), "rosy cheeks", "-r", "smoke/inpaint", "--steps", "2", "-o"]
    out = portrait.with_name("out.png")
    assert main([*words, str(out), "--set", "inpaint.candidates=3"]) == 0
    assert "candidates 3 -> 1" in capsys.readouterr().err
    assert read_record(out).data["step_down"] == "inpaint.candidates 3 -> 1"
    assert main(["replay", str(out)]) == 0
    assert portrait.with_name("out.replay.png").read_bytes() == out.read_bytes()


def test_a_choice_without_a_step_leaves_no_trace(portrait: Path) -> None:
    """Breaks when the record of an ordinary edit speaks of memory: its bytes would change."""
    request = asked(portrait, candidates=1)
    assert "step_down" not in edit(request).record.data
