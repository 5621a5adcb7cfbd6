"""The published classes at a tiny size: loading, inference, and clear errors for what does not fit."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from faceedit.errors import WeightsError
from faceedit.lamask.describer import Describer
from faceedit.lamask.parser import FaceParser
from faceedit.lamask.parts import PARTS
from faceedit.lamask.weights import DESCRIBER, PARSER, model_folder
from faceedit.models import verified

PICTURE = np.random.default_rng(0).integers(0, 255, (80, 96, 3), np.uint8)


def test_parser_answers_in_our_order(parser_folder: Path) -> None:
    """Breaks when a published model's own order of labels is taken for ours, or the map is not the picture's size."""
    parser = FaceParser(parser_folder)
    parts = parser.parse(PICTURE)
    assert parts.shape == (80, 96)
    assert parts.dtype == np.uint8
    with torch.no_grad():
        parser.module.decode_head.classifier.weight.zero_()
        parser.module.decode_head.classifier.bias.copy_(torch.arange(len(PARTS)).float())
    # The model's last label is called "background", since its names are reversed.
    assert bool((parser.parse(PICTURE) == PARTS.index("background")).all())


def test_parser_of_other_parts_is_refused(parser_folder: Path, tmp_path: Path) -> None:
    """Breaks when a parser of clothes or of 11 parts is taken, or a missing tensor stays random."""
    other = shutil.copytree(parser_folder, tmp_path / "other")
    config = json.loads((other / "config.json").read_text())
    config["id2label"]["0"] = "sky"
    (other / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match="other parts"):
        FaceParser(other)
    short = shutil.copytree(parser_folder, tmp_path / "short")
    tensors = load_file(short / "model.safetensors")
    del tensors["decode_head.classifier.bias"]
    save_file(tensors, short / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsError, match=r"1 keys do not fit, such as decode_head\.classifier\.bias"):
        FaceParser(short)


def test_describer_answers_the_same_for_the_same_seed(describer_folder: Path) -> None:
    """Breaks when the picture's tokens do not match its features, or the answer hangs on the global random state."""
    describer = Describer(describer_folder, longest=8)
    torch.manual_seed(1)
    first = describer.answer(PICTURE, "What is it?", seed=3)
    torch.manual_seed(2)
    assert describer.answer(PICTURE, "What is it?", seed=3) == first
    others = {describer.answer(PICTURE, "What is it?", seed=seed) for seed in range(4)}
    assert len(others) > 1


def test_describer_sees_the_picture(describer_folder: Path) -> None:
    """Breaks when the features of the picture do not reach the answer."""
    describer = Describer(describer_folder)
    seen = []
    describer.model.register_forward_hook(lambda _m, _a, out: seen.append(out.logits[0, -1]))
    for picture in (PICTURE, 255 - PICTURE):
        describer.answer(picture, "What is it?")
    steps = len(seen) // 2
    assert not torch.allclose(seen[0], seen[steps])


def test_describer_with_a_missing_tensor_is_refused(describer_folder: Path, tmp_path: Path) -> None:
    """Breaks when transformers' own habit of leaving a missing tensor random goes through."""
    short = shutil.copytree(describer_folder, tmp_path / "short")
    tensors = load_file(short / "model.safetensors")
    name = next(name for name in tensors if name.endswith("norm.weight"))
    del tensors[name]
    save_file(tensors, short / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsError, match="do not fit"):
        Describer(short)


@pytest.mark.parametrize("name", [PARSER, DESCRIBER])
def test_absent_weights_say_what_to_pull(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Breaks when absent weights end in a traceback or a download, or when their size is not told."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(WeightsError, match="GB") as caught:
        model_folder(name)
    assert f"weights pull {name}" in caught.value.hint


def test_pulled_weights_without_a_pinned_commit_are_found(
    parser_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Breaks when a set that names no commit cannot be used once it was pulled, or an older pull is taken."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(verified, "cache_folder", lambda: tmp_path / "stamps")
    snapshots = tmp_path / "models--jonathandinu--face-parsing" / "snapshots"
    for number, commit in enumerate(("a" * 40, "b" * 40)):
        shutil.copytree(parser_folder, snapshots / commit)
        os.utime(snapshots / commit, (1000 + number, 1000 + number))
    assert model_folder(PARSER) == snapshots / ("b" * 40)
    FaceParser(model_folder(PARSER)).parse(PICTURE)
