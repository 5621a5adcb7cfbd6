"""Whether a recipe runs here: the verdict, why, and what to type."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from faceedit.models import manifest
from faceedit.models.plan import DevicePlan
from faceedit.models.random import random_components
from faceedit.models.save import save_components
from faceedit.readiness import NOT, RUNS, SLOWLY, judge, readiness

GB = 10**9
CPU = DevicePlan(torch.device("cpu"), torch.float32)
CARD = DevicePlan(torch.device("cuda"), torch.bfloat16, memory="auto")
COMMIT = "451f4fe16113bff5a5d2269ed5ad43b0592e9a14"


@pytest.mark.parametrize(
    ("sizes", "plan", "free", "device_free", "state", "word"),
    [
        ([30_000_000], CPU, 8 * GB, None, RUNS, ""),
        ([3 * GB, GB], CPU, 16 * GB, None, SLOWLY, "accelerator"),
        ([3 * GB, GB], CPU, 7 * GB, None, NOT, "about 8 GB of free memory and 7 GB are free"),
        ([3 * GB, GB], CARD, 16 * GB, 24 * GB, RUNS, ""),
        ([3 * GB, GB], CARD, 16 * GB, 5 * GB, SLOWLY, "take turns in 5 GB"),
        ([3 * GB, GB], replace(CARD, memory="low"), 16 * GB, 24 * GB, SLOWLY, "take turns"),
    ],
)
def test_the_verdict_follows_memory_and_device(
    sizes: list[int], plan: DevicePlan, free: int, device_free: int | None, state: str, word: str
) -> None:
    """Breaks when weights that do not fit are said to run, or a verdict comes without its reason and advice."""
    found = judge(sizes, 2 * sum(sizes), plan, free, device_free)
    assert found.state == state and word in found.why
    assert bool(found.why) == bool(found.advice) == (state != RUNS)
    assert str(found).startswith(state)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    return tmp_path


@pytest.mark.usefixtures("cache")
def test_what_is_missing_comes_with_the_command_that_fetches_it() -> None:
    """Breaks when a user has to find out how to get weights, or that mini needs none."""
    found = readiness("inpaint")
    assert found.state == NOT and "not in the Hugging Face cache" in found.why
    assert found.advice == "faceedit weights pull --recipe inpaint (5.5 GB)"
    assert readiness("mini/inpaint").state == readiness("smoke/inpaint").state == RUNS


def test_what_is_here_is_not_read(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks when doctor hashes gigabytes, or passes over a missing safety checker."""
    folder = cache / "models--stable-diffusion-v1-5--stable-diffusion-v1-5/snapshots" / COMMIT
    save_components(random_components(), folder)
    monkeypatch.setattr(manifest, "digest", lambda *_: pytest.fail("a file was hashed"))
    sets = tuple(replace(known, files=()) for known in manifest.weight_sets() if known.id == "sd-1.5")
    monkeypatch.setattr(manifest, "weight_sets", lambda: sets)
    assert "safety checker" in readiness("inpaint").why
    index = json.loads((folder / "model_index.json").read_text())
    index["safety_checker"] = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    (folder / "model_index.json").write_text(json.dumps(index))
    (folder / "safety_checker").mkdir()
    (folder / "safety_checker/model.safetensors").write_bytes(b"")
    assert readiness("inpaint").state == RUNS
