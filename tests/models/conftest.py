"""Tiny real components, built once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from faceedit.models.components import Components
from faceedit.models.plan import DevicePlan, device_plan
from faceedit.models.random import random_components
from faceedit.models.save import save_components
from faceedit.recipe_schema import Weights


@pytest.fixture(scope="session")
def tiny() -> Components:
    """Seeded tiny SD components."""
    return random_components(seed=3)


@pytest.fixture(scope="session")
def cpu() -> DevicePlan:
    """Everything on the CPU in fp32."""
    return device_plan(device="cpu")


@pytest.fixture
def saved(tiny: Components, tmp_path: Path) -> Path:
    """A folder in diffusers layout that the test may damage."""
    save_components(tiny, tmp_path / "set")
    return tmp_path / "set"


@pytest.fixture
def local() -> Callable[[Path], Weights]:
    """The weights section for a folder."""
    return lambda folder: Weights(kind="local", path=str(folder))
