"""Hashes of downloaded weights: checked before first use, remembered, checked again when a file changes."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from faceedit.errors import WeightsError
from faceedit.models import manifest, verified

CONTENT = b"tensors"


@pytest.fixture
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[manifest.WeightSet, Path]:
    monkeypatch.setattr(verified, "cache_folder", lambda: tmp_path / "cache")
    path = tmp_path / "model.safetensors"
    path.write_bytes(CONTENT)
    file = manifest.WeightFile("model.safetensors", len(CONTENT), hashlib.sha256(CONTENT).hexdigest())
    return manifest.WeightSet("tiny", "hub", files=(file,)), path


def test_a_flipped_byte_of_the_same_size_is_found(weights: tuple[manifest.WeightSet, Path]) -> None:
    """Breaks when corruption that keeps the size goes unnoticed before first use."""
    known, path = weights
    path.write_bytes(b"tensorz")
    with pytest.raises(WeightsError, match=r"model\.safetensors does not have its hash"):
        verified.require_verified(known, path.parent, (path,))


def test_a_whole_file_is_read_once_and_again_after_a_change(
    weights: tuple[manifest.WeightSet, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Breaks when gigabytes are hashed for every edit, or a change after the first check is not seen."""
    known, path = weights
    read: list[Path] = []
    digest = manifest.digest
    monkeypatch.setattr(manifest, "digest", lambda file, kind="sha256": read.append(file) or digest(file, kind))
    for _ in range(2):
        verified.require_verified(known, path.parent, (path,))
    assert read == [path]
    path.write_bytes(b"tensorz")
    os.utime(path, ns=(1, 1))
    with pytest.raises(WeightsError):
        verified.require_verified(known, path.parent, (path,))


def test_no_cache_folder_means_checking_anew(
    weights: tuple[manifest.WeightSet, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Breaks when a read-only home stops every edit."""
    known, path = weights
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(verified, "cache_folder", lambda: tmp_path / "file" / "below")
    verified.require_verified(known, path.parent, (path,))
