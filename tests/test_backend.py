"""Which recipe serves a request, and that it is said why."""

from __future__ import annotations

import json
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest

from faceedit.backend import choose_recipe, overrides, what_is_missing
from faceedit.errors import UsageError
from faceedit.models import manifest
from faceedit.models.random import random_components
from faceedit.models.save import save_components
from faceedit.recipe import load_recipe
from faceedit.request import Request

Memory = namedtuple("Memory", "available")
COMMIT = "451f4fe16113bff5a5d2269ed5ad43b0592e9a14"


def asked(**options: object) -> Request:
    return Request(image=b"", prompts=("rosy cheeks",), **options)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty Hugging Face cache."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def published(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same with tiny weights in the place of Stable Diffusion 1.5, of which the manifest then knows no sizes."""
    folder = cache / "models--stable-diffusion-v1-5--stable-diffusion-v1-5/snapshots" / COMMIT
    save_components(random_components(), folder)
    # Choosing a recipe looks only whether its safety checker is there.
    index = json.loads((folder / "model_index.json").read_text())
    index["safety_checker"] = ["stable_diffusion", "StableDiffusionSafetyChecker"]
    (folder / "model_index.json").write_text(json.dumps(index))
    (folder / "safety_checker").mkdir()
    (folder / "safety_checker/model.safetensors").write_bytes(b"")
    sets = tuple(replace(known, files=()) if known.id == "sd-1.5" else known for known in manifest.weight_sets())
    monkeypatch.setattr("faceedit.models.manifest.weight_sets", lambda: sets)


@pytest.mark.usefixtures("cache")
def test_without_published_weights_the_bundled_models_serve() -> None:
    """Breaks when `auto` takes what is not there, or does not say what would be better."""
    choice = choose_recipe(asked())
    assert choice.recipe.name == "mini/ca-edit"
    assert "inpaint (weights not on this machine)" in choice.better and "faceedit weights list" in choice.better


@pytest.mark.usefixtures("published")
def test_published_weights_win_where_they_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks when weights on the machine are passed over, or weights that the memory does not hold are taken."""
    assert choose_recipe(asked()).recipe.name == "inpaint"
    assert choose_recipe(asked(recipe="mini/inpaint")).recipe.name == "mini/inpaint"
    monkeypatch.setattr("psutil.virtual_memory", lambda: Memory(1000))
    assert what_is_missing(load_recipe("inpaint")).startswith("needs about")
    assert choose_recipe(asked()).recipe.name == "mini/ca-edit"


def test_mini_is_a_backend_of_its_own() -> None:
    """Breaks when `-b mini` is refused, or nags about weights that were not asked for."""
    choice = choose_recipe(asked(backend="mini"))
    assert (choice.recipe.name, choice.better) == ("mini/ca-edit", "")


@pytest.mark.usefixtures("cache")
def test_backends_that_do_not_exist_or_do_not_fit_are_refused() -> None:
    """Breaks when a mistyped backend silently becomes another one."""
    with pytest.raises(UsageError, match="unknown backend 'inpant'"):
        choose_recipe(asked(backend="inpant"))
    with pytest.raises(UsageError, match="runs inpaint, not mag-edit"):
        choose_recipe(asked(backend="mag-edit", recipe="mini/inpaint"))


def test_options_reach_the_recipe_and_win_over_set() -> None:
    """Breaks when an option is read and dropped."""
    request = asked(
        steps=7, strength=0.25, dilate=0.0, feather=0.1, device="cpu", dtype="fp32", memory="low",
        settings={"sampling.steps": "9", "sampling.guidance": "2"}, recipe="smoke/inpaint",
    )  # fmt: skip
    recipe = choose_recipe(request).recipe
    assert (recipe.sampling.steps, recipe.sampling.strength, recipe.sampling.guidance) == (7, 0.25, 2.0)
    assert (recipe.locator.dilate, recipe.paste.feather) == (0.0, 0.1)
    assert (recipe.device.device, recipe.device.dtype, recipe.device.memory) == ("cpu", "fp32", "low")
    assert overrides(asked()) == {}


@pytest.mark.usefixtures("cache")
@pytest.mark.parametrize("editor", ["inpaint", "ca-edit", "mag-edit", "flux-sculptor"])
def test_every_editor_is_a_backend(editor: str) -> None:
    """Breaks when an editor cannot be asked for by name, or its name runs another one."""
    recipe = choose_recipe(asked(backend=editor)).recipe
    assert recipe.editor == editor and recipe.weights.kind == "bundled"
