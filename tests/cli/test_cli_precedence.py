"""Where an option's value comes from: flag, environment, the user's file, recipe."""

from __future__ import annotations

from pathlib import Path

import pytest
from cli_harness import Call
from typer.main import get_command

from faceedit.cli.app import app
from faceedit.cli.userfile import defaults, user_file


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's file, used by the command lines of the test."""
    path = tmp_path / "config.toml"
    monkeypatch.setenv("FACEEDIT_CONFIG", str(path))
    return path


def steps(call: Call, *words: str) -> int:
    """The steps that `recipes show` ends up with; the same road that `edit` takes for `--set`."""
    outcome = call("recipes", "show", "smoke/inpaint", "--json", *words)
    assert outcome.code == 0, outcome.err
    value: int = outcome.documents[0]["values"]["sampling"]["steps"]
    return value


def test_order(call: Call, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each source wins over the ones below it."""
    monkeypatch.setenv("FACEEDIT_CONFIG", str(config))
    assert steps(call) == 2
    config.write_text('set = ["sampling.steps=3"]')
    assert steps(call) == 3
    config.write_text('set = ["sampling.steps=3"]\n[recipes.show]\nset = ["sampling.steps=4"]')
    assert steps(call) == 4
    monkeypatch.setenv("FACEEDIT_SET", "sampling.steps=5")
    assert steps(call) == 5
    assert steps(call, "--set", "sampling.steps=6") == 6


def test_environment_of_a_flag(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEEDIT_JSON", "1")
    assert call("recipes", "list").documents


def test_wrong_environment_value(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEEDIT_SEED", "many")
    outcome = call("edit", "a.png", "x")
    assert outcome.code == 2
    assert "--seed" in outcome.err and "(from FACEEDIT_SEED)" in outcome.err


def test_wrong_value_in_the_file(call: Call, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FACEEDIT_CONFIG", str(config))
    config.write_text('[edit]\nseed = "many"')
    outcome = call("edit", "a.png", "x")
    assert outcome.code == 2
    assert f"(from {config})" in outcome.err


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("sede = 3", "'seed'"),
        ("[edti]\nseed = 3", "'edit'"),
        ("[edit]\ncount = 3", "count"),
        ("seed = ", "config.toml"),
    ],
)
def test_a_bad_file_is_an_error(
    call: Call, config: Path, monkeypatch: pytest.MonkeyPatch, text: str, word: str
) -> None:
    """A misspelt default must not be ignored in silence."""
    monkeypatch.setenv("FACEEDIT_CONFIG", str(config))
    config.write_text(text)
    outcome = call("recipes", "list")
    assert outcome.code == 2
    assert word in outcome.err


def test_dashes_or_underscores(config: Path) -> None:
    config.write_text('source-prompt = "a man"\n[edit]\nsave_mask = "m.png"')
    found = defaults(get_command(app))
    assert found["edit"] == {"source_prompt": "a man", "save_mask": "m.png"}
    assert found["weights"]["path"] == {}


def test_user_file_without_the_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FACEEDIT_CONFIG", raising=False)
    assert user_file().name == "config.toml"
    assert user_file().parent.name == "faceedit"
