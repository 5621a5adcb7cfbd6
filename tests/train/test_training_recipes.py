"""Training recipes: every shipped one loads, wrong keys and values are refused, a run is not overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest

from faceedit.errors import UsageError
from faceedit.resources import recipes_dir
from faceedit.train.recipes import load_settings
from faceedit.train.run import NAMES, run
from faceedit.train.settings import (
    Ca2Settings,
    ClipSettings,
    FluxSettings,
    JudgeSettings,
    PaslSettings,
    TokenizerSettings,
    UnetSettings,
    VaeSettings,
)

KINDS = {
    "vae": VaeSettings,
    "clip": ClipSettings,
    "judge": JudgeSettings,
    "unet": UnetSettings,
    "ca2": Ca2Settings,
    "tokenizer": TokenizerSettings,
    "pasl": PaslSettings,
    "flux": FluxSettings,
}


@pytest.mark.parametrize("name", NAMES)
def test_shipped_recipe_loads(name: str) -> None:
    """Breaks when a setting is renamed and its recipe is forgotten."""
    load_settings(KINDS[name], recipes_dir() / "train" / f"{name}.yaml")


def test_the_published_locator_is_trained_as_published() -> None:
    """Breaks when an option beyond the paper is on in its preset, or a number that the paper gives is another."""
    settings = load_settings(PaslSettings, recipes_dir() / "train" / "pasl-paper.yaml")
    assert (settings.coordinates, settings.dilations, settings.similarity) == (False, (1, 1), "dot")
    assert (settings.phrases, settings.made_up, settings.augment, settings.data.size) == (0, 0, False, 512)
    assert (settings.channels, settings.hidden) == ((64, 128, 256, 512, 512, 512), 1024)
    loop = settings.loop
    assert (loop.learning_rate, loop.weight_decay, loop.warmup, loop.batch) == (1e-4, 0.02, 500, 64)
    assert loop.steps * loop.batch == 32 * 70_000


def test_overrides_reach_nested_settings() -> None:
    """Breaks when --set does not arrive or changes type on its way."""
    path = recipes_dir() / "train" / "vae.yaml"
    settings = load_settings(VaeSettings, path, {"loop.steps": "7", "channels": "[16, 32]", "loop.learning_rate": "1"})
    assert settings.loop.steps == 7
    assert settings.channels == (16, 32)
    assert settings.loop.learning_rate == 1.0


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("loop.stepz", "7", "unknown key loop.stepz"),
        ("loop.steps", "many", "loop.steps must be int"),
        ("loop", "7", "loop must be a section"),
        ("channels", "[16, wide]", "channels must be int"),
        ("loop.steps.more", "7", "no keys below"),
    ],
)
def test_wrong_settings_are_refused(key: str, value: str, message: str) -> None:
    """Breaks when a typing error in a long command silently trains with the default."""
    with pytest.raises(UsageError, match=message):
        load_settings(VaeSettings, recipes_dir() / "train" / "vae.yaml", {key: value})


def test_unknown_name_lists_the_known_ones() -> None:
    """Breaks when a wrong name ends in a traceback."""
    with pytest.raises(UsageError) as error:
        run("vea")
    assert "vae" in error.value.hint


def test_run_in_the_folder_is_kept(tmp_path: Path) -> None:
    """Breaks when hours of training are overwritten by a repeated command."""
    (tmp_path / "checkpoints").mkdir()
    with pytest.raises(UsageError, match="holds a run"):
        run("vae", tmp_path)
