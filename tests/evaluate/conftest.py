"""A benchmark small enough for tests: 64 px portraits, random weights, and a judge that knows the right answers."""

from __future__ import annotations

import pytest
from eval_nearest import NearestRender

from faceedit.backend import choose_recipe
from faceedit.evaluate.runner import Setup
from faceedit.evaluate.scorers import ClipPair
from faceedit.evaluate.tasks import EditTask, make_tasks
from faceedit.models.loader import load_components
from faceedit.models.plan import device_plan
from faceedit.request import Request
from faceedit.run import load_editor

SIZE = 64
ATTRIBUTES = ("glasses", "necklace=gold", "hat=none")
COUNT = 5


@pytest.fixture(scope="session")
def tasks() -> tuple[EditTask, ...]:
    return tuple(make_tasks(COUNT, 0, ATTRIBUTES, size=SIZE))


@pytest.fixture(scope="session")
def setup(tasks: tuple[EditTask, ...]) -> Setup:
    choice = choose_recipe(Request(image=b"", prompts=(), recipe="smoke/inpaint"))
    components = load_components(choice.recipe.weights, device_plan(choice.recipe.device))
    return Setup(choice, load_editor(choice.recipe), NearestRender(tasks), ClipPair(components))
