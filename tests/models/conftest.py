"""Tiny real components, built once."""

from __future__ import annotations

import shutil
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


@pytest.fixture(scope="session")
def written(tiny: Components, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The components as a folder in diffusers layout, for copying."""
    folder = tmp_path_factory.mktemp("written")
    save_components(tiny, folder)
    return folder


@pytest.fixture
def saved(written: Path, tmp_path: Path) -> Path:
    """A folder in diffusers layout that the test may damage."""
    return Path(shutil.copytree(written, tmp_path / "set"))


@pytest.fixture
def local() -> Callable[[Path], Weights]:
    """The weights section for a folder."""
    return lambda folder: Weights(kind="local", path=str(folder))
