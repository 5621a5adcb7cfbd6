"""The safety checker: strictly loaded, never a black picture, and nothing written when it blocks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPConfig

from faceedit import safety
from faceedit.backend import what_is_missing
from faceedit.cli import main
from faceedit.errors import SafetyError, WeightsError
from faceedit.images import load_picture
from faceedit.models.components import component_class
from faceedit.models.keys import renamer
from faceedit.models.loader import empty_module
from faceedit.models.random import random_components
from faceedit.models.save import save_components
from faceedit.models.tensors import StoredTensor, matched_keys
from faceedit.portraits.render import render
from faceedit.provenance import read_record
from faceedit.recipe import load_recipe
from faceedit.recipe_schema import Recipe, Weights

MODEL = "safety_checker/model.safetensors"
PIXELS = np.random.default_rng(0).random((64, 64, 3)).astype(np.float32)


def tiny_checker(flags: bool) -> StableDiffusionSafetyChecker:
    """A small network of the same class whose thresholds no picture, or every picture, passes."""
    vision = {
        "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2,
        "image_size": 32, "patch_size": 16, "projection_dim": 8,
    }  # fmt: skip
    with torch.random.fork_rng():
        torch.manual_seed(5)
        checker = StableDiffusionSafetyChecker(CLIPConfig(vision_config=vision, projection_dim=8))
        torch.nn.init.normal_(checker.concept_embeds)
        torch.nn.init.normal_(checker.special_care_embeds)
    for weights in (checker.concept_embeds_weights, checker.special_care_embeds_weights):
        weights.data.fill_(-2.0 if flags else 2.0)
    return checker


def published(folder: Path, flags: bool) -> Path:
    """Tiny weights in diffusers layout with a checker under the names that published files have."""
    save_components(random_components(), folder)
    tiny_checker(flags).save_pretrained(folder / "safety_checker")
    state = {as_published(key): value for key, value in load_file(folder / MODEL).items()}
    state["vision_model.vision_model.embeddings.position_ids"] = torch.arange(5)[None]
    save_file(state, folder / MODEL, metadata={"format": "pt"})
    index = json.loads((folder / "model_index.json").read_text())
    index["safety_checker"] = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    (folder / "model_index.json").write_text(json.dumps(index))
    safety.load_checker.cache_clear()
    return folder


def as_published(key: str) -> str:
    return f"vision_model.{key}" if key.startswith("vision_model.") and "vision_model.vision" not in key else key


def recipe_for(folder: Path, mode: str) -> Recipe:
    return replace(load_recipe("smoke/inpaint"), weights=Weights(kind="local", path=str(folder)), safety=mode)


@pytest.mark.parametrize("flags", [False, True])
def test_the_verdict_is_the_librarys_own(tmp_path: Path, flags: bool) -> None:
    """Breaks when the checker is loaded or asked otherwise than the published pipeline does it."""
    folder = published(tmp_path / "w", flags)
    assert safety.finding(recipe_for(folder, "flag"), PIXELS) == ("flagged" if flags else "clear")
    ours = safety.load_checker(folder / "safety_checker").state_dict()
    for key, value in tiny_checker(flags).state_dict().items():
        assert torch.equal(ours[key], value)
    if flags:
        with pytest.raises(SafetyError, match="flagged"):
            safety.finding(recipe_for(folder, "block"), PIXELS)


def test_thresholds_decide_and_not_only_their_sign(tmp_path: Path) -> None:
    """Breaks when the picture plays no part: of two pictures one lies above a threshold between them, one below."""
    checker = safety.load_checker(published(tmp_path / "w", False) / "safety_checker")
    pictures = [PIXELS, np.zeros((64, 64, 3), np.float32)]
    found = []
    for level in np.linspace(-1, 1, 81):
        checker.concept_embeds_weights.data.fill_(float(level))
        found.append([safety.is_flagged(checker, picture) for picture in pictures])
    assert [True, False] in found or [False, True] in found
    assert found[0] == [True, True] and found[-1] == [False, False]


def test_off_needs_no_checker() -> None:
    """Breaks when mini, whose models know drawn portraits only, asks for one."""
    assert safety.finding(load_recipe("mini/inpaint"), PIXELS) == "off"
    assert safety.require_checker(load_recipe("mini/inpaint")) is None


def test_every_published_recipe_looks() -> None:
    """Breaks when the plain baseline on published weights comes without its checker."""
    for name in ("inpaint", "inpaint-9ch", "ca-edit", "mag-edit"):
        assert load_recipe(name).safety == "block", name


def damaged(folder: Path, name: str) -> None:
    if name == "missing key":
        state = load_file(folder / MODEL)
        del state["concept_embeds"]
        save_file(state, folder / MODEL)
    elif name == "only a pickle":
        (folder / MODEL).rename(folder / "safety_checker/pytorch_model.bin")
    elif name == "another class":
        config = json.loads((folder / "safety_checker/config.json").read_text()) | {"architectures": ["os.system"]}
        (folder / "safety_checker/config.json").write_text(json.dumps(config))
    elif name == "not in the index":
        index = json.loads((folder / "model_index.json").read_text()) | {"safety_checker": [None, None]}
        (folder / "model_index.json").write_text(json.dumps(index))
    elif name == "not finite":
        state = load_file(folder / MODEL)
        state["concept_embeds"][0, 0] = float("nan")
        save_file(state, folder / MODEL)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("missing key", r"1 key \(concept_embeds\) missing"),
        ("only a pickle", "a pickle that can run code"),
        ("another class", "is not one that faceedit loads"),
        ("not in the index", "holds no safety checker"),
        ("not finite", "NaN or infinity"),
    ],
)
def test_a_checker_that_is_not_whole_is_an_error(tmp_path: Path, name: str, message: str) -> None:
    """Breaks when an absent or damaged checker counts as one that found nothing."""
    folder = published(tmp_path / "w", False)
    damaged(folder, name)
    with pytest.raises(WeightsError, match=message):
        safety.finding(recipe_for(folder, "block"), PIXELS)


def test_auto_passes_over_a_backbone_without_its_checker(tmp_path: Path) -> None:
    """Breaks when `auto` takes a recipe that then fails for want of its checker."""
    save_components(random_components(), tmp_path / "w")
    assert "safety checker" in what_is_missing(recipe_for(tmp_path / "w", "block"))
    assert not what_is_missing(recipe_for(tmp_path / "w", "off"))


def run(folder: Path, where: Path, mode: str) -> int:
    Image.fromarray(render(seed=4, size=128).image).save(where / "in.png")
    words = ["edit", str(where / "in.png"), "rosy cheeks", "-r", "smoke/inpaint", "-o", str(where / "out.png")]
    settings = {"weights.kind": "local", "weights.path": folder, "safety": mode}
    return main([*words, *(word for key, value in settings.items() for word in ("--set", f"{key}={value}"))])


def test_a_blocked_edit_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Breaks when a flagged result, or a black one, is left behind, or the exit code is another."""
    folder = published(tmp_path / "w", True)
    assert run(folder, tmp_path, "block") == 6
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.png", "w"]
    assert "safety=flag" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [False, True])
def test_a_finding_that_does_not_block_is_written_down(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: bool
) -> None:
    """Breaks when the record does not say what the checker found, or the picture comes out black."""
    assert run(published(tmp_path / "w", flags), tmp_path, "flag") == 0
    assert read_record(tmp_path / "out.png").data["safety"] == ("flagged" if flags else "clear")
    assert ("the safety checker flagged" in capsys.readouterr().err) == flags
    assert load_picture(tmp_path / "out.png").rgb.mean() > 20


VISION: dict[str, Any] = {
    "hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16,
    "image_size": 224, "patch_size": 14, "projection_dim": 768,
}  # fmt: skip


def test_the_full_size_network_takes_the_names_of_the_published_file() -> None:
    """Breaks when a key of the published file (304 million numbers in 396 tensors) finds no place."""
    kind = component_class(safety.PART, "StableDiffusionSafetyChecker")
    module = empty_module(kind, {"vision_config": VISION, "projection_dim": 768})
    wanted = module.state_dict()
    # The published file has 1,215,981,830 bytes of fp32, a header of some 46 kB included.
    assert sum(value.numel() for value in wanted.values()) == 303_981_588
    assert 0 < 1_215_981_830 - 4 * 303_981_588 - 257 * 8 < 60_000
    shapes = {as_published(key): tuple(value.shape) for key, value in wanted.items()}
    shapes["vision_model.vision_model.embeddings.position_ids"] = (1, 257)
    stored = {name: StoredTensor(Path("x"), name, shape, 0) for name, shape in shapes.items()}
    assert set(matched_keys(wanted, stored, {}, safety.PART, renamer(module))) == set(wanted)
