"""The networks that score: pictures reach them in the range and with the statistics that they were trained with."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from faceedit.errors import WeightsError
from faceedit.evaluate import scorers
from faceedit.evaluate.judge import Judge, JudgeConfig
from faceedit.evaluate.scorers import JudgedPictures, bundled_clip, bundled_judge
from faceedit.models.clip import image_features
from faceedit.models.random import random_components
from faceedit.portraits.render import counterfactual, render
from faceedit.portraits.split import held_out_seed
from faceedit.recipe import load_recipe

PICTURE = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)


def test_clip_keeps_its_own_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks when the encoder's normalisation is left behind and the published one is used in its place."""
    monkeypatch.setattr(scorers, "load_recipe", lambda _name: load_recipe("smoke/inpaint"))
    clip = bundled_clip()
    wanted = image_features(random_components(0), PICTURE[None].astype(np.float32) / 255)
    assert np.allclose(clip.images([PICTURE]), wanted.numpy(), atol=1e-6)
    assert clip.components.image_processor is not None
    assert clip.components.unet is None
    assert clip.sentences(["a person", "a hat"]).shape == (2, wanted.shape[1])


def test_the_judge_sees_pixels_in_its_range() -> None:
    """Breaks when pictures reach the judge in another range or with channels last."""
    judge = Judge(JudgeConfig(channels=(8,), size=32)).eval()
    seen: list[torch.Tensor] = []
    judge.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    (values,) = JudgedPictures(judge).predict([PICTURE])
    assert set(values) == set(judge.config.fields)
    assert torch.allclose((seen[0][0].permute(1, 2, 0) + 1) * 127.5, torch.from_numpy(PICTURE).float(), atol=1e-3)


def test_a_missing_judge_is_said_so(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    """Breaks when a benchmark without its judge ends in a traceback."""
    monkeypatch.setattr(scorers, "bundled_weights_dir", lambda: tmp_path)
    with pytest.raises(WeightsError):
        bundled_judge()


def test_the_same_person_is_closer_than_another() -> None:
    """Breaks when the stand-in for a face recogniser cannot tell people apart, at another size than the judge's own."""
    seeds = [held_out_seed(i) for i in range(6)]
    before = [render(seed, 128).image for seed in seeds]
    after = [counterfactual(seed, 128, "glasses", "sunglasses").image for seed in seeds]
    judge = bundled_judge()
    same = judge.identity(before) @ judge.identity(after).T
    others = same[~np.eye(len(seeds), dtype=bool)]
    assert np.diag(same).min() > others.max()
    assert np.allclose(np.linalg.norm(judge.identity(before), axis=1), 1, atol=1e-5)
