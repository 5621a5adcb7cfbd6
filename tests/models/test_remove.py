"""Removing fetched weights: what the set names and nobody else uses, inside the cache."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from fake_hub import COMMIT, OTHER, REPOSITORY

from faceedit.errors import UsageError, WeightsError
from faceedit.models.manifest import WeightFile, WeightSet
from faceedit.models.remove import plan_removal, remove

KNOWN = WeightSet("tiny", "hub", REPOSITORY, COMMIT, files=(WeightFile("unet/a.safetensors"), WeightFile("b.json")))


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two snapshots that share `b.json`; the first also holds a file that faceedit does not know."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    folder = tmp_path / "hub/models--owner--tiny"
    (folder / "blobs").mkdir(parents=True)
    for name, text in (("1", "aaaa"), ("2", "{}"), ("3", "mine")):
        (folder / "blobs" / name).write_text(text)
    links = {
        f"{COMMIT}/unet/a.safetensors": "1",
        f"{COMMIT}/b.json": "2",
        f"{COMMIT}/own.ckpt": "3",
        f"{OTHER}/b.json": "2",
    }
    for name, blob in links.items():
        path = folder / "snapshots" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.symlink_to(Path(*[".."] * (len(Path(name).parts)), "blobs", blob))
    return folder


def test_shared_contents_and_foreign_files_stay(repository: Path) -> None:
    """Breaks when another revision loses a file, or what the user put there goes, too."""
    todo = plan_removal(KNOWN)
    assert [path.name for path in todo.blobs] == ["1"] and todo.size == 4
    assert (repository / "blobs/1").exists(), "a plan removes nothing"
    remove(todo)
    left = sorted(str(path.relative_to(repository)) for path in repository.rglob("*") if not path.is_dir())
    assert left == ["blobs/2", "blobs/3", f"snapshots/{COMMIT}/own.ckpt", f"snapshots/{OTHER}/b.json"]
    assert (repository / f"snapshots/{OTHER}/b.json").read_text() == "{}"
    assert not (repository / f"snapshots/{COMMIT}/unet").exists()


def test_a_set_that_pins_no_commit_is_removed(repository: Path) -> None:
    """Breaks when what was pulled under a name that moves can never be removed again."""
    os.utime(repository / "snapshots" / OTHER, (1, 1))
    todo = plan_removal(replace(KNOWN, revision=""))
    assert todo.snapshot.name == COMMIT and todo.size == 4
    remove(todo)
    assert not (repository / f"snapshots/{COMMIT}/unet").exists()


def test_files_without_links_are_removed(repository: Path) -> None:
    """Breaks where the file system has no links and the cache holds the files themselves."""
    path = repository / f"snapshots/{COMMIT}/unet/a.safetensors"
    path.unlink()
    path.write_text("xyz")
    todo = plan_removal(KNOWN)
    assert todo.size == 3
    remove(todo)
    assert not path.exists() and (repository / "blobs/1").exists()


def test_t8_nothing_outside_the_cache_is_touched(repository: Path, tmp_path: Path) -> None:
    """Breaks when a link or a name in a manifest makes removal delete files elsewhere."""
    (tmp_path / "precious.json").write_text("{}")
    inside = repository / f"snapshots/{COMMIT}/b.json"
    inside.unlink()
    inside.symlink_to(tmp_path / "precious.json")
    up = "../" * 5 + "precious.json"
    remove(plan_removal(WeightSet("tiny", "hub", REPOSITORY, COMMIT, files=(*KNOWN.files, WeightFile(up)))))
    assert (tmp_path / "precious.json").read_text() == "{}" and not inside.is_symlink()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/b.json").write_text("{}")
    (repository / "snapshots" / ("a" * 40)).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(WeightsError, match="leads out of the cache"):
        plan_removal(WeightSet("tiny", "hub", REPOSITORY, "a" * 40, files=KNOWN.files))


def test_bundled_and_absent_weights_are_said_so(repository: Path) -> None:
    """Breaks when `weights rm mini-1` damages the installation."""
    del repository
    with pytest.raises(UsageError, match="part of faceedit"):
        plan_removal(WeightSet("mini-1", "bundled"))
    with pytest.raises(WeightsError, match="not on this machine"):
        plan_removal(WeightSet("x", "hub", "owner/other", COMMIT))
