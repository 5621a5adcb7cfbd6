"""Sizes told from configurations and file headers are those of the loaded models."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from faceedit.models.components import Components
from faceedit.models.layerwise import bytes_at_rest
from faceedit.models.loader import load_components
from faceedit.models.places import weight_paths
from faceedit.models.plan import PRESETS, DevicePlan, device_plan
from faceedit.models.random_flux import random_flux_components
from faceedit.models.save import save_components
from faceedit.models.sizes import empty_models, loading_bytes, resident_bytes, running_bytes
from faceedit.recipe_schema import Weights

FLUX = ("vae", "transformer", "text_encoder", "text_encoder_2")


@pytest.fixture(scope="module")
def tiny() -> Components:
    return random_flux_components(seed=3)


@pytest.fixture
def weights(tiny: Components, tmp_path: Path) -> Weights:
    save_components(tiny, tmp_path / "set")
    return Weights(kind="local", path=str(tmp_path / "set"))


@pytest.mark.parametrize("preset", ["full", "24gb"])
@pytest.mark.parametrize("dtype", ["fp32", "bf16"])
def test_a_plans_sizes_are_those_of_the_loaded_models(weights: Weights, dtype: str, preset: str) -> None:
    """Breaks when a part is left out, counted in another precision, or T5's embedding is counted twice."""
    plan = device_plan(device="cpu", dtype=dtype, memory=preset)
    told = running_bytes(empty_models(weights), plan, preset)
    loaded = load_components(weights, plan)
    assert told == {part: bytes_at_rest(getattr(loaded, part)) for part in told} and {*told} == {*FLUX}


def test_random_models_and_skipped_parts() -> None:
    """Breaks when a dry run of a smoke recipe looks for files, or counts parts that the editor leaves out."""
    random = Weights(kind="random", family="flux")
    assert {*empty_models(random)} == {*FLUX} and {*empty_models(random, skip=("vae",))} == {*FLUX} - {"vae"}


def test_what_is_on_the_device_while_a_part_runs(weights: Weights) -> None:
    """Breaks when models that take turns are counted together, or quantised ones, which stay, are left out."""
    card, models = DevicePlan(torch.device("cuda"), torch.bfloat16), empty_models(weights)
    sizes = running_bytes(models, card)
    assert set(resident_bytes(models, card, "full").values()) == {sum(sizes.values())}
    assert resident_bytes(models, card, "low") == sizes
    assert all(0 < layer < sizes[part] for part, layer in resident_bytes(models, card, "lowest").items())
    quantised = DevicePlan(torch.device("cuda"), torch.bfloat16, quantization=PRESETS["16gb"].quantization)
    four = running_bytes(models, quantised)
    assert four["transformer"] < sizes["transformer"] / 2
    stays = four["transformer"] + four["text_encoder_2"]
    assert resident_bytes(models, quantised, "16gb")["vae"] == stays + four["vae"]
    assert resident_bytes(models, quantised, "16gb")["transformer"] == stays


def test_loading_takes_files_once_unless_they_are_cast(weights: Weights) -> None:
    """Breaks when 34 GB of bf16 files are said to need 68 GB, or a cast copy is forgotten."""
    files = weight_paths(weights)
    size = sum(path.stat().st_size for path in files.values())
    vae = sum(path.stat().st_size for name, path in files.items() if name.startswith("vae/"))
    assert loading_bytes(files, device_plan(device="cpu", dtype="fp32")) == size
    assert loading_bytes(files, device_plan(device="cpu", dtype="bf16")) == 2 * size - vae
