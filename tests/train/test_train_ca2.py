"""CA-Edit's training on drawn discs: true triples, frozen parts that stay so, exact resume, exports that read back."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from faceedit.editors.base import build_editor
from faceedit.models.condition_adapter import ConditionAdapter
from faceedit.models.random import random_components
from faceedit.models.reference_net import ReferenceNet
from faceedit.recipe import load_recipe
from faceedit.request import EditText
from faceedit.samplers.blended import latent_mask
from faceedit.train import ca2
from faceedit.train.ca2 import Ca2Objective
from faceedit.train.checkpoint import latest_checkpoint
from faceedit.train.data import PortraitCache
from faceedit.train.frozen import FrozenEncoders
from faceedit.train.loop import train
from faceedit.train.settings import Ca2Settings, LoopSettings
from faceedit.train.triples import PortraitExamples

LOOP = LoopSettings(steps=2, batch=4, warmup=1, checkpoint_every=1, evaluate_every=100, log_every=1, threads=1)


@pytest.fixture
def settings(backbone: Path, tmp_path: Path) -> Ca2Settings:
    return Ca2Settings(
        loop=LOOP,
        unet=str(backbone / "unet"),
        vae=str(backbone / "vae"),
        clip=str(backbone),
        vision=str(backbone / "vision"),
        latents=str(tmp_path / "latents"),
    )


def objective_of(settings: Ca2Settings, portraits: PortraitCache) -> Ca2Objective:
    encoders = FrozenEncoders(Path(settings.clip), Path(settings.vae), Path(str(settings.vision)))
    train_examples, validation = (
        PortraitExamples(portraits, settings, encoders, Path(settings.latents), augment) for augment in (True, False)
    )
    return Ca2Objective(settings, encoders, train_examples, validation)


def test_run_resumes_in_the_same_bits_and_exports(
    settings: Ca2Settings, portraits: PortraitCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Breaks when kept features or the order of random numbers decide on the bits, or an export does not read back."""
    monkeypatch.setattr(ca2, "SHEET_STEPS", 1)
    monkeypatch.setattr(ca2, "EVALUATED", 4)
    train(objective_of(settings, portraits), LOOP, tmp_path / "straight")
    sitting = dataclasses.replace(LOOP, max_minutes=1e-9)
    first = train(objective_of(settings, portraits), sitting, tmp_path / "parts")
    last = train(objective_of(settings, portraits), sitting, tmp_path / "parts", resume=True)
    assert (first.step, last.step) == (1, 2)
    ends = [latest_checkpoint(tmp_path / name / "checkpoints") for name in ("straight", "parts")]
    straight, parts = (load_file(end / "model.safetensors") for end in ends if end is not None)
    assert all(torch.equal(straight[name], parts[name]) for name in straight)
    assert not torch.equal(straight["reference_net.brushnet_mid_block.weight"], torch.zeros(()).expand(64, 64, 1, 1))
    export = tmp_path / "parts" / "export"
    net, adapter = (
        ReferenceNet.from_pretrained(export / "reference_net"),
        ConditionAdapter.from_pretrained(export / "adapter"),
    )
    assert net.layout == "unet"
    assert adapter.has_score
    assert (tmp_path / "parts" / "sheets" / "00000002.png").is_file()


def test_training_goes_on_from_an_export(settings: Ca2Settings, portraits: PortraitCache, tmp_path: Path) -> None:
    """Breaks when `start_from` is read from another place than exports are written to."""
    first = objective_of(settings, portraits)
    built = first.build()
    with torch.no_grad():
        next(built["adapter"].parameters()).fill_(0.5)
    first.export(built, tmp_path / "export")
    again = objective_of(dataclasses.replace(settings, start_from=str(tmp_path / "export")), portraits).build()
    for name, module in built.items():
        loaded = again[name].state_dict()
        assert all(torch.equal(value, loaded[key]) for key, value in module.state_dict().items())


def test_gradients_reach_net_and_adapter_and_nothing_else(settings: Ca2Settings, portraits: PortraitCache) -> None:
    """Breaks when the backbone is trained, or when the adapter hangs on nothing once the residuals are not zero."""
    objective = objective_of(settings, portraits)
    modules = objective.build()
    with torch.no_grad():
        for convolution in modules["reference_net"].brushnet_down_blocks:
            convolution.weight.normal_()
    total, _ = objective.loss(modules, objective.batch(0), 0)
    total.backward()
    assert all(p.grad is None for p in objective.unet.parameters())
    for module in modules.values():
        assert any(p.grad is not None and bool(p.grad.abs().sum() > 0) for p in module.parameters())
    scores = [p.grad for name, p in modules["adapter"].named_parameters() if ".score." in name]
    assert any(grad is not None and bool(grad.abs().sum() > 0) for grad in scores)


def test_loss_weighs_the_outside(
    settings: Ca2Settings, portraits: PortraitCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Breaks when cells outside the mask count other than `outside` says, or when min-SNR is left out."""
    plain = dataclasses.replace(settings, outside=0.0, min_snr_gamma=0.0)
    objective = objective_of(plain, portraits)
    batch = objective.batch(0)
    monkeypatch.setattr(objective, "_predict", lambda _, batch: batch["noise"] + (1 - batch["mask"]))
    assert float(objective.loss({}, batch, 0)[0]) == 0.0
    everywhere = objective_of(dataclasses.replace(plain, outside=1.0), portraits)
    monkeypatch.setattr(everywhere, "_predict", lambda _, batch: batch["noise"] + (1 - batch["mask"]))
    expected = (1 - batch["mask"]).mean()
    assert float(everywhere.loss({}, batch, 0)[0]) == pytest.approx(float(expected), rel=1e-5)


def test_twins_are_the_original_and_the_mask_holds_their_target(
    settings: Ca2Settings, portraits: PortraitCache
) -> None:
    """Breaks when the target leaks: everything but the masked latents must come from the picture before the edit."""
    examples = objective_of(dataclasses.replace(settings, twin_visual=1.0, flip=False), portraits).examples
    rows = np.arange(8)
    triples = examples.draw(rows, np.random.default_rng(0))
    twins = np.asarray(portraits.twin)[rows]
    assert np.allclose(triples.visual, examples.visual[twins, 0], atol=1e-3)
    assert np.array_equal(triples.target_latents, examples.latents[rows, 0].astype(np.float32))
    assert np.array_equal(triples.original_latents, examples.latents[twins, 0].astype(np.float32))


def test_drops_are_as_often_as_said(settings: Ca2Settings, portraits: PortraitCache) -> None:
    """Breaks when guidance meets a network that never saw a missing sentence or picture."""
    many = dataclasses.replace(settings, loop=dataclasses.replace(LOOP, batch=48), image_dropout=0.2, text_dropout=0.3)
    objective = objective_of(dataclasses.replace(many, both_dropout=0.1), portraits)
    empty = objective.encoders.text([""])[1]
    no_image, no_text = [], []
    for index in range(12):
        batch = objective.batch(index)
        no_image.append((batch["visual"] == 0).all(1))
        no_text.append((batch["pooled"] == empty).all(1))
    image, text = torch.cat(no_image).float(), torch.cat(no_text).float()
    assert float(image.mean()) == pytest.approx(0.3, abs=0.06)
    assert float(text.mean()) == pytest.approx(0.4, abs=0.06)
    assert float((image * text).mean()) == pytest.approx(0.1, abs=0.05)


def test_an_edit_predicts_what_training_did(settings: Ca2Settings, portraits: PortraitCache) -> None:
    """Breaks when an edit greys, masks, resizes, pools or normalises other than training."""
    objective = objective_of(dataclasses.replace(settings, flip=False), portraits)
    modules = {name: module.eval() for name, module in objective.build().items()}
    torch.manual_seed(0)
    with torch.no_grad():
        for convolution in (
            *modules["reference_net"].brushnet_down_blocks,
            *modules["reference_net"].brushnet_up_blocks,
        ):
            convolution.weight.normal_(std=0.1)
        for layer in modules["adapter"].ip_adapter.values():
            layer.score[2].weight.normal_(std=3)
    triples = objective.validation.triples(
        *(rows[:1] for rows in objective.validation.edits(4)), np.random.default_rng(0)
    )
    told, untold = (
        objective._tensors(triples, np.random.default_rng(1), gone, gone)
        for gone in (np.array([False]), np.array([True]))
    )
    editor = build_editor(
        load_recipe("smoke/ca-edit", {"size": str(triples.original.shape[-1])}),
        dataclasses.replace(random_components(), **modules),
    )
    trajectory = editor.invert((triples.original[0].permute(1, 2, 0).numpy() + 1) / 2, "")
    m = latent_mask(triples.masks, told["mask"].shape[2:], editor.options.mask_threshold)
    predict = editor.predictor(trajectory, EditText((), "", triples.captions[0]), triples.masks, m)
    text = editor.backbone.encode_text(["", triples.captions[0]])
    with torch.no_grad():
        uncond, cond = predict(told["noisy"].expand(2, -1, -1, -1), told["timestep"][0], text).chunk(2)
        expected = [objective._predict(modules, batch | {"timestep": told["timestep"]}) for batch in (untold, told)]
        blind = objective._predict(modules, told | {"visual": 0 * told["visual"]})
    # Training keeps features in half precision.
    for found, wanted in zip((uncond, cond), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=2e-3)
    assert not torch.allclose(cond, blind, rtol=0, atol=1e-2)
