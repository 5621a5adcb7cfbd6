"""The loop: exact resume, the schedule, the average, a stop on a non-finite loss, a loss that falls."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from faceedit.errors import NumericError
from faceedit.train.data import PortraitCache
from faceedit.train.ema import MovingAverage, learning_rate
from faceedit.train.log import read_log
from faceedit.train.loop import train
from faceedit.train.settings import LoopSettings, VaeLossSettings, VaeSettings
from faceedit.train.vae import VaeObjective

LOOP = LoopSettings(
    steps=6, batch=4, warmup=2, checkpoint_every=3, evaluate_every=100, log_every=1, threads=1, learning_rate=2e-3
)


def tiny_vae(portraits: PortraitCache, loop: LoopSettings, **changes: object) -> VaeObjective:
    settings = dataclasses.replace(VaeSettings(), loop=loop, channels=(16, 16), groups=8, **changes)
    return VaeObjective(settings, portraits, portraits)


def newest(out: Path) -> dict[str, torch.Tensor]:
    folder = sorted((out / "checkpoints").iterdir())[-1]
    names = ("model", "ema", "optimizer")
    return {f"{n}/{k}": t for n in names for k, t in load_file(folder / f"{n}.safetensors").items()}


@pytest.mark.parametrize("accumulate", [1, 2])
def test_resumed_run_ends_in_the_same_bits(portraits: PortraitCache, tmp_path: Path, accumulate: int) -> None:
    """Breaks when anything but the step's number decides on data, noise or rate, or when state is not saved."""
    loop = dataclasses.replace(LOOP, accumulate=accumulate)
    loss = VaeLossSettings(adversarial=0.05)
    train(tiny_vae(portraits, loop, loss=loss), loop, tmp_path / "straight")
    stopped = _StopsAfter(tiny_vae(portraits, loop, loss=loss), 3)
    with pytest.raises(_LostMachineError):
        train(stopped, loop, tmp_path / "twice")
    train(tiny_vae(portraits, loop, loss=loss), loop, tmp_path / "twice", resume=True)
    straight, twice = newest(tmp_path / "straight"), newest(tmp_path / "twice")
    assert straight.keys() == twice.keys()
    assert all(torch.equal(straight[name], twice[name]) for name in straight)
    assert [row["step"] for row in read_log(tmp_path / "twice" / "log.jsonl") if "loss" in row] == [1, 2, 3, 4, 5, 6]


class _LostMachineError(Exception):
    pass


class _StopsAfter:
    """An objective that fails in the step after `last`, as a lost machine would."""

    name = "vae"

    def __init__(self, inner: VaeObjective, last: int) -> None:
        self.inner, self.last = inner, last

    def loss(self, modules, batch, step):
        if step > self.last:
            raise _LostMachineError
        return self.inner.loss(modules, batch, step)

    def __getattr__(self, name: str) -> object:
        return getattr(self.inner, name)


def test_loss_falls_and_everything_is_written(portraits: PortraitCache, tmp_path: Path) -> None:
    """Breaks when gradients do not reach the weights, or when a run leaves out one of its files."""
    loop = dataclasses.replace(LOOP, steps=20, checkpoint_every=5, keep_checkpoints=2)
    train(tiny_vae(portraits, loop), loop, tmp_path)
    losses = [row["loss"]["total"] for row in read_log(tmp_path / "log.jsonl") if "loss" in row]
    assert sum(losses[-3:]) < 0.8 * sum(losses[:3])
    assert [p.name for p in sorted((tmp_path / "checkpoints").iterdir())] == ["00000015", "00000020"]
    assert (tmp_path / "sheets" / "00000020.png").is_file()
    config = json.loads((tmp_path / "export" / "config.json").read_text())
    assert config["_class_name"] == "AutoencoderKL"
    assert config["scaling_factor"] != 0.18215


def test_non_finite_loss_stops_the_run(portraits: PortraitCache, tmp_path: Path) -> None:
    """Breaks when a NaN is trained on instead of reported with its step."""
    loop = dataclasses.replace(LOOP, learning_rate=1e30, warmup=0)
    with pytest.raises(NumericError, match="step 1"):
        train(tiny_vae(portraits, loop), loop, tmp_path)


def test_learning_rate_warms_up_and_ends_at_its_floor() -> None:
    """Breaks when the schedule's ends or its middle move."""
    settings = LoopSettings(steps=110, warmup=10, learning_rate=1.0, final_learning_rate=0.2)
    assert learning_rate(0, settings) == pytest.approx(0.1)
    assert learning_rate(9, settings) == learning_rate(10, settings) == pytest.approx(1.0)
    assert learning_rate(60, settings) == pytest.approx(0.6)
    assert learning_rate(110, settings) == pytest.approx(0.2)


def test_average_follows_its_formula_and_gives_the_weights_back() -> None:
    """Breaks when the decay of a step is wrong, or when evaluation leaves averaged weights in the model."""
    modules = {"m": nn.Linear(1, 1, bias=False)}
    weight = modules["m"].weight
    with torch.no_grad():
        weight.fill_(1.0)
    average = MovingAverage(modules, 0.9)
    expected = 1.0
    for step, value in enumerate((2.0, 3.0, 5.0)):
        with torch.no_grad():
            weight.fill_(value)
        average.update(modules, step)
        decay = min(0.9, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    with average.applied(modules):
        assert weight.item() == pytest.approx(expected)
    assert weight.item() == 5.0
