"""The small FLUX's training on drawn discs: true targets, guidance as an input, exact resume, exports that load."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from faceedit.models.flux import pack
from faceedit.train import flux
from faceedit.train.checkpoint import latest_checkpoint
from faceedit.train.data import PortraitCache
from faceedit.train.flux import FluxObjective
from faceedit.train.loop import train
from faceedit.train.settings import FluxSettings, LoopSettings
from faceedit.train.t5_tokenizer import t5_tokenizer_of

LOOP = LoopSettings(steps=2, batch=4, warmup=1, checkpoint_every=1, evaluate_every=100, log_every=1, threads=1)


@pytest.fixture
def settings(backbone: Path, tmp_path: Path) -> FluxSettings:
    return FluxSettings(
        loop=LOOP,
        vae=str(backbone / "vae"),
        clip=str(backbone),
        latents=str(tmp_path / "latents"),
        double_blocks=1,
        single_blocks=2,
        heads=2,
        rope=(4, 6, 6),
        text_width=16,
        text_layers=1,
        text_heads=2,
    )


def on_the_line(batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """Z_t of the batch and the velocity of its straight line."""
    z0, noise = pack(batch["clean"]), pack(batch["noise"])
    t = batch["time"][:, None, None]
    return (1 - t) * z0 + t * noise, noise - z0


def perturbed(modules: dict[str, Any]) -> dict[str, Any]:
    """A fresh network answers 0 whatever it is asked; this one does not."""
    generator = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for parameter in modules["transformer"].parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.1)
    return modules


def test_fresh_network_answers_nothing(settings: FluxSettings, portraits: PortraitCache) -> None:
    """Breaks when a modulation starts open, or the loss is not the error of v = noise - z0: a network that answers 0
    has exactly the velocity's own square as error."""
    objective = FluxObjective(settings, portraits, portraits)
    batch = objective.batch(0)
    _, parts = objective.loss(objective.build(), batch, 0)
    _, target = on_the_line(batch)
    torch.testing.assert_close(parts["velocity"], target.square().mean())


def test_guided_rows_learn_the_teachers_guided_velocity(
    settings: FluxSettings, portraits: PortraitCache, tmp_path: Path
) -> None:
    """Breaks when rows with a guidance scale learn another target than the teacher's v_0 + g (v_c - v_0), tell it to
    the network as another scale, or the teacher learns as well."""
    former = FluxObjective(settings, portraits, portraits)
    former.export(perturbed(former.build()), tmp_path / "former")
    whole = dataclasses.replace(
        settings, teacher=str(tmp_path / "former"), guided_share=1.0, stated_weight=0.0, regions=0.0
    )
    objective = FluxObjective(whole, portraits, portraits)
    modules, batch = perturbed(objective.build()), objective.batch(0)
    total, _ = objective.loss(modules, batch, 0)
    z, _ = on_the_line(batch)
    n, t, ones = len(z), batch["time"], torch.ones(len(z))
    tokens = objective.teacher["text_encoder_2"](input_ids=batch["ids"]).last_hidden_state
    told = objective._velocity(objective.teacher, z, t, tokens[:-1], batch["pooled"][:-1], ones)
    nothing = tokens[-1:].expand(n, -1, -1), batch["pooled"][-1:].expand(n, -1)
    untold = objective._velocity(objective.teacher, z, t, *nothing, ones)
    target = untold + batch["guidance"][:, None, None] * (told - untold)
    own = modules["text_encoder_2"](input_ids=batch["ids"]).last_hidden_state
    v = objective._velocity(modules, z, t, own[:-1], batch["pooled"][:-1], batch["guidance"])
    torch.testing.assert_close(total, (v - target).square().mean(), rtol=1e-5, atol=1e-6)
    assert (batch["guidance"] > 1).all()
    assert not any(p.requires_grad for module in objective.teacher.values() for p in module.parameters())


def test_without_a_teacher_guidance_is_one(settings: FluxSettings, portraits: PortraitCache) -> None:
    """Breaks when a network that nobody teaches is told a scale, or learns another velocity than the line's own."""
    objective = FluxObjective(dataclasses.replace(settings, stated_weight=0.0, regions=0.0), portraits, portraits)
    modules, batch = perturbed(objective.build()), objective.batch(0)
    total, parts = objective.loss(modules, batch, 0)
    z, target = on_the_line(batch)
    tokens = modules["text_encoder_2"](input_ids=batch["ids"]).last_hidden_state
    plain = torch.ones(len(z))
    assert torch.equal(batch["guidance"], plain)
    v = objective._velocity(modules, z, batch["time"], tokens[:-1], batch["pooled"][:-1], plain)
    torch.testing.assert_close(total, (v - target).square().mean(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(parts["velocity"], total.detach(), rtol=1e-5, atol=1e-6)


def test_regions_and_weights_turn_with_the_picture(settings: FluxSettings, portraits: PortraitCache) -> None:
    """Breaks when mirrored latents come with unmirrored regions, or the weight lies elsewhere than what is said."""
    objective = FluxObjective(settings, portraits, portraits)
    batch = objective.batch(3)
    assert batch["regions"].shape == (4, 22, 16)
    assert ((batch["weight"] >= 1) & (batch["weight"] <= 1 + settings.stated_weight)).all()
    straight = FluxObjective(dataclasses.replace(settings, flip=False), portraits, portraits).batch(3)
    mirrored = [not torch.equal(a, b) for a, b in zip(batch["clean"], straight["clean"], strict=True)]
    assert any(mirrored)
    for turned, a, b in zip(mirrored, batch["regions"], straight["regions"], strict=True):
        same = b.reshape(22, 4, 4).flip(-1).reshape(22, 16) if turned else b
        torch.testing.assert_close(a, same)


def test_run_resumes_in_the_same_bits_and_exports(
    settings: FluxSettings, portraits: PortraitCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Breaks when kept features or the order of random numbers decide on the bits, the helping head is exported, or a
    part of the export does not read back."""
    from diffusers import FlowMatchEulerDiscreteScheduler, FluxTransformer2DModel
    from transformers import T5EncoderModel, T5Tokenizer

    monkeypatch.setattr(flux, "SHEET_STEPS", 1)
    train(FluxObjective(settings, portraits, portraits), LOOP, tmp_path / "straight")
    sitting = dataclasses.replace(LOOP, max_minutes=1e-9)
    first = train(FluxObjective(settings, portraits, portraits), sitting, tmp_path / "parts")
    last = train(FluxObjective(settings, portraits, portraits), sitting, tmp_path / "parts", resume=True)
    assert (first.step, last.step) == (1, 2)
    ends = [latest_checkpoint(tmp_path / name / "checkpoints") for name in ("straight", "parts")]
    straight, parts = (load_file(end / "model.safetensors") for end in ends if end is not None)
    assert all(torch.equal(straight[name], parts[name]) for name in straight)
    export = tmp_path / "parts" / "export"
    names = {path.name for path in export.iterdir() if path.is_dir()}
    assert names == {"transformer", "text_encoder_2", "tokenizer_2", "scheduler"}
    assert FluxTransformer2DModel.from_pretrained(export / "transformer").config.guidance_embeds
    text = T5EncoderModel.from_pretrained(export / "text_encoder_2")
    tokenizer = T5Tokenizer.from_pretrained(export / "tokenizer_2")
    assert text.config.vocab_size == len(tokenizer)
    assert FlowMatchEulerDiscreteScheduler.from_pretrained(export / "scheduler").config.use_dynamic_shifting
    again = FluxObjective(dataclasses.replace(settings, start_from=str(export)), portraits, portraits).build()
    assert torch.equal(
        again["transformer"].proj_out.weight,
        FluxTransformer2DModel.from_pretrained(export / "transformer").proj_out.weight,
    )


def test_t5_words_are_single_tokens_and_ascii_is_never_lost() -> None:
    """Breaks when a caption's word is spelt by characters, an ASCII character becomes unknown, or T5's numbers move."""
    tokenizer = t5_tokenizer_of(["a person with rosy cheeks", "a person with freckles"], 100)
    assert tokenizer.convert_ids_to_tokens(tokenizer("rosy cheeks")["input_ids"]) == ["▁rosy", "▁cheeks", "</s>"]
    printable = "".join(chr(c) for c in range(33, 127))
    ids = tokenizer(printable)["input_ids"]
    assert tokenizer.unk_token_id not in ids
    assert tokenizer.decode(ids, skip_special_tokens=True) == printable
    assert (tokenizer.pad_token_id, tokenizer.eos_token_id, tokenizer.unk_token_id) == (0, 1, 2)
    assert np.array_equal(tokenizer("cheeks!")["input_ids"][:1], tokenizer("cheeks")["input_ids"][:1])
