"""Tiny real components, built once."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fake_hub import UNET, FakeHub
from huggingface_hub import set_client_factory
from huggingface_hub.utils import _http

from faceedit.models import ledger, verified
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


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache and an empty ledger of a user who is online and not logged in."""
    folder = tmp_path / "hub"
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(folder))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 16)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setattr("huggingface_hub.constants.HF_STORED_TOKENS_PATH", str(tmp_path / "tokens"))
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda _: None)
    monkeypatch.setattr(ledger, "ledger_path", lambda: tmp_path / "data/weights.json")
    monkeypatch.setattr(verified, "cache_folder", lambda: tmp_path / "stamps")
    return folder


@pytest.fixture
def remote(cache: Path) -> Iterator[FakeHub]:
    """A repository with two files that are wanted and two that never are."""
    del cache
    fake = FakeHub({
        "model_index.json": b'{"unet": ["diffusers", "UNet2DConditionModel"]}',
        UNET: bytes(range(200)),
        "unet/model.bin": b"pickle",
        "pipeline.py": b"import os",
    })  # fmt: skip
    fake.install()
    yield fake
    set_client_factory(_http.default_client_factory)
