"""The surface of the command line, as a snapshot: a verb or option that comes, goes or is renamed breaks it."""

from __future__ import annotations

import re
from typing import Any

import pytest
import typer
from cli_harness import Call

from faceedit.cli.app import app
from faceedit.cli.options import env_name

COMMON = {"--json", "--quiet", "--verbose", "--debug", "--help"}
CHOICE = {"--backend", "--recipe", "--set"}
MACHINE = {"--device", "--dtype", "--memory"}
PLACE = {"--mask", "--region", "--face", "--locator", "--dilate", "--feather", "--resize-mask"}

SURFACE: dict[str, set[str]] = {
    "edit": CHOICE
    | MACHINE
    | PLACE
    | {"--seed", "--variants", "--steps", "--strength", "--source-prompt"}
    | {"--stfg", "--save-maps", "--constraint"}
    | {"--output", "--save-mask", "--compare", "--force", "--dry-run", "--no-metadata", "--sign-cert", "--sign-key"},
    "batch run": CHOICE
    | MACHINE
    | (PLACE - {"--mask"})
    | {"--prompt", "--seed", "--steps", "--strength", "--source-prompt", "--name", "--root"}
    | {"--shard", "--workers", "--retry-failed", "--output", "--force", "--dry-run", "--no-metadata"}
    | {"--stfg", "--constraint", "--sign-cert", "--sign-key"},
    "batch status": set(),
    "batch merge": {"--output", "--force"},
    "mask": CHOICE | PLACE | {"--output", "--overlay", "--heat", "--force"},
    "faces": {"--output", "--force"},
    "compare": {"--output", "--difference", "--force"},
    "info": set(),
    "replay": {"--image", "--output", "--force"},
    "recipes list": set(),
    "recipes show": {"--set"},
    "weights list": set(),
    "weights verify": set(),
    "weights path": set(),
    "weights pull": {"--recipe", "--revision", "--allow-moving", "--accept-licence", "--dry-run"},
    "weights rm": {"--yes", "--dry-run"},
    "cache show": set(),
    "cache clear": set(),
    "data portraits": {"--output", "--count", "--seed", "--size", "--force"},
    "data lamask-caption": {"--output", "--portraits", "--seed", "--size", "--whole", "--parser", "--describer"}
    | {"--device", "--force"},
    "data text2mask": {"--output", "--portraits", "--seed", "--held-out", "--processes", "--parser", "--device"}
    | {"--size", "--grid", "--regions", "--sheet", "--force"},
    "train": {"--output", "--resume", "--set"},
    "eval portraits": CHOICE
    | MACHINE
    | {"--count", "--seed", "--size", "--attributes", "--locator", "--wordings", "--split", "--trips"}
    | {"--output", "--force"},
    "bench": CHOICE | MACHINE | {"--steps", "--repeats"},
    "doctor": set(),
}
SHORT = {
    "--output": "-o",
    "--backend": "-b",
    "--recipe": "-r",
    "--mask": "-m",
    "--seed": "-s",
    "--dry-run": "-n",
    "--quiet": "-q",
    "--verbose": "-v",
}


def verbs(command: Any, path: str = "") -> dict[str, Any]:
    """Every verb by its full name."""
    if not hasattr(command, "commands"):
        return {path: command}
    found: dict[str, Any] = {}
    for name, verb in command.commands.items():
        found |= verbs(verb, f"{path} {name}".strip())
    return found


VERBS = verbs(typer.main.get_command(app))


def test_every_verb_is_there() -> None:
    assert set(VERBS) == set(SURFACE)


@pytest.mark.parametrize("verb", SURFACE)
def test_options_of_a_verb(verb: str, call: Call) -> None:
    outcome = call(*verb.split(), "--help")
    assert outcome.code == 0
    assert outcome.err == ""
    shown = set(re.findall(r"^  (?:-\w, )?(--[a-z-]+)", outcome.out, flags=re.MULTILINE))
    assert shown == SURFACE[verb] | COMMON


@pytest.mark.parametrize("verb", SURFACE)
def test_options_mean_the_same_everywhere(verb: str) -> None:
    """Same short flag and same environment variable in every verb."""
    for parameter in VERBS[verb].params:
        if parameter.param_type_name != "option" or parameter.opts == ["--help"]:
            continue
        long = next(flag for flag in parameter.opts if flag.startswith("--"))
        assert [flag for flag in parameter.opts if flag != long] == ([SHORT[long]] if long in SHORT else [])
        assert parameter.envvar == env_name(long)


def test_first_lines_fit_the_list_of_verbs(call: Call) -> None:
    """Typer cuts longer ones off with dots."""
    assert "..." not in call("--help").out.partition("Commands:")[2]


def test_version(call: Call) -> None:
    from faceedit import __version__

    assert call("--version").out == f"faceedit {__version__}\n"


def test_no_words_print_the_help(call: Call) -> None:
    assert call().out == call("--help").out


def test_completion_is_available(call: Call) -> None:
    assert "--install-completion" in call("--help").out
