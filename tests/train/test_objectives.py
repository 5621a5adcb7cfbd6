"""The objectives on drawn discs: targets that are true, features that stay apart, exports that read back."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from faceedit.errors import WeightsError
from faceedit.evaluate.judge import load_judge
from faceedit.portraits.attributes import sample_attributes, visible_fields
from faceedit.portraits.vocabulary import ATTRIBUTES, FIELDS
from faceedit.train import unet
from faceedit.train.checkpoint import latest_checkpoint
from faceedit.train.clip import ClipObjective
from faceedit.train.data import PortraitCache
from faceedit.train.judge import JudgeObjective
from faceedit.train.loop import train
from faceedit.train.phrases import NAMES, Caption, compatible, draw_caption, required
from faceedit.train.settings import ClipSettings, DataSettings, JudgeSettings, LoopSettings, UnetSettings, VaeSettings
from faceedit.train.tokenizer import tokenizer_of
from faceedit.train.unet import UnetObjective
from faceedit.train.vae import VaeObjective, gradient_difference

LOOP = LoopSettings(steps=4, batch=4, warmup=1, checkpoint_every=2, evaluate_every=100, log_every=1, threads=1)


def indices_of(seed: int) -> np.ndarray:
    return np.array([FIELDS[n].index(v) for n, v in sample_attributes(seed).as_dict().items()], np.int8)


def visible_of(seed: int) -> np.ndarray:
    return np.array([name in visible_fields(sample_attributes(seed)) for name in NAMES])


def test_captions_are_true_of_their_own_portrait() -> None:
    """Breaks when a caption's demands are not met by the portrait it was drawn from: it would be its own negative."""
    indices, visible = np.stack([indices_of(s) for s in range(60)]), np.stack([visible_of(s) for s in range(60)])
    captions = [draw_caption(row, np.random.default_rng(i), (1, 3, 5)) for i, row in enumerate(indices)]
    truth = compatible(required(captions, indices), indices, visible)
    assert truth.diagonal().all()
    assert 0.02 < truth.mean() < 0.6


def test_caption_holds_for_everybody_with_that_value() -> None:
    """Breaks when a picture that satisfies a caption counts as its negative, or a hidden value as its positive."""
    indices = np.zeros((3, len(NAMES)), np.int8)
    visible = np.ones((3, len(NAMES)), bool)
    glasses = NAMES.index("glasses")
    indices[:, glasses] = [1, 1, 2]
    demand = required([Caption("a person with eyeglasses", ("glasses",))], indices[:1])
    assert compatible(demand, indices, visible).tolist() == [[True, True, False]]
    visible[1, glasses] = False
    assert compatible(demand, indices, visible).tolist() == [[True, False, False]]


def test_words_for_the_person_are_demands_too() -> None:
    """Breaks when "a young woman with a hat" is taken to be true of a man with a hat."""
    seen = set()
    for seed in range(200):
        caption = draw_caption(indices_of(seed), np.random.default_rng(seed), (2,))
        if " woman" in caption.text or " man " in caption.text:
            assert "gender" in caption.fields
            seen.add("gender")
        if "young " in caption.text:
            assert "age" in caption.fields
            seen.add("age")
    assert seen == {"gender", "age"}


def test_gradient_difference_of_a_step() -> None:
    """Breaks when the finite differences leave the picture or lose an axis."""
    a, b = torch.zeros(1, 1, 3, 3), torch.zeros(1, 1, 3, 3)
    a[..., 1:] = 1.0
    difference = gradient_difference(a, b)
    assert difference[0, 0].tolist() == [[1.0, 0.0, 0.0]] * 3


def test_a_frozen_encoder_stays_as_it_is(portraits: PortraitCache, tmp_path: Path) -> None:
    """Breaks when the latents that a UNet was trained on move while the decoder is trained on."""
    settings = VaeSettings(LOOP, channels=(16, 16), groups=8, data=DataSettings(size=portraits.images.shape[1]))
    train(VaeObjective(settings, portraits, portraits), LOOP, tmp_path / "first")
    first = tmp_path / "first/export"
    again = dataclasses.replace(settings, freeze_encoder=True, start_from=str(first))
    train(VaeObjective(again, portraits, portraits), LOOP, tmp_path / "second")
    before, after = (load_file(d / "diffusion_pytorch_model.safetensors") for d in (first, tmp_path / "second/export"))
    moved = {name.split(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"decoder", "post_quant_conv"}
    configs = [json.loads((tmp_path / run / "export/config.json").read_text()) for run in ("first", "second")]
    assert configs[0]["scaling_factor"] == configs[1]["scaling_factor"]


def test_judge_is_exported_and_read_back(portraits: PortraitCache, tmp_path: Path) -> None:
    """Breaks when the exported judge gives other logits, or one of another vocabulary is accepted."""
    settings = JudgeSettings(loop=LOOP, channels=(16, 16), degrade=1.0)
    train(JudgeObjective(settings, portraits, portraits), LOOP, tmp_path)
    judge = load_judge(tmp_path / "export")
    values = judge.values(torch.zeros(2, 3, 96, 96))
    assert values[0] == values[1]
    assert set(values[0]) == set(FIELDS)
    config = json.loads((tmp_path / "export" / "config.json").read_text())
    config["fields"]["hat"] = ["none"]
    (tmp_path / "export" / "config.json").write_text(json.dumps(config))
    with pytest.raises(WeightsError, match="other attributes"):
        load_judge(tmp_path / "export")


def test_judge_ignores_what_cannot_be_seen(portraits: PortraitCache) -> None:
    """Breaks when the judge is trained to guess an eye colour behind sunglasses."""
    hidden = dataclasses.replace(portraits, visible=np.zeros_like(portraits.visible))
    target = JudgeObjective(JudgeSettings(loop=LOOP), hidden, hidden).batch(0)["target"]
    assert bool((target == -100).all())


@pytest.fixture(scope="module")
def base(portraits: PortraitCache, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny tokenizer, CLIP pair and VAE, trained for a few steps."""
    root = tmp_path_factory.mktemp("base")
    phrases = [f"a person with {text}" for item in ATTRIBUTES for text in (*item.phrases, *item.removals)]
    tokenizer_of(phrases, 2000).save_pretrained(root / "tokenizer")
    clip = ClipSettings(
        loop=LOOP,
        data=DataSettings(size=32),
        tokenizer=str(root / "tokenizer"),
        text_width=32,
        text_layers=1,
        vision_width=32,
        vision_layers=1,
    )
    train(ClipObjective(clip, portraits, portraits), LOOP, root / "clip")
    vae = VaeSettings(loop=LOOP, channels=(16, 16, 16), groups=8)
    train(VaeObjective(vae, portraits, portraits), LOOP, root / "vae")
    return root


def test_clip_features_do_not_depend_on_padding(base: Path) -> None:
    """Breaks when training at the batch's length gives other features than inference at 77 tokens."""
    from transformers import CLIPTextModelWithProjection, CLIPTokenizer

    tokenizer = CLIPTokenizer.from_pretrained(base / "clip" / "export" / "tokenizer")
    model = CLIPTextModelWithProjection.from_pretrained(base / "clip" / "export" / "text_encoder").eval()
    text = ["a person with rosy cheeks", "a person with a full beard"]
    with torch.no_grad():
        short = model(**tokenizer(text, padding="longest", return_tensors="pt"))
        full = model(**tokenizer(text, padding="max_length", return_tensors="pt"))
    length = short.last_hidden_state.shape[1]
    assert torch.allclose(short.text_embeds, full.text_embeds, atol=1e-5)
    assert torch.allclose(short.last_hidden_state, full.last_hidden_state[:, :length], atol=1e-5)
    assert not torch.allclose(full.text_embeds[0], full.text_embeds[1])


def test_unet_run_resumes_in_the_same_bits_and_exports(
    base: Path, portraits: PortraitCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Breaks when kept text features or latents decide on the bits, or when a part is not written."""
    from safetensors.torch import load_file

    monkeypatch.setattr(unet, "SHEET_STEPS", 1)
    settings = UnetSettings(
        loop=LOOP,
        vae=str(base / "vae" / "export"),
        clip=str(base / "clip" / "export"),
        latents=str(tmp_path / "latents"),
        channels=(32, 32),
        cross_attention=(True, False),
        grounding_sizes=(8,),
    )
    loop = dataclasses.replace(LOOP, steps=2)
    train(UnetObjective(settings, portraits, portraits), loop, tmp_path / "straight")
    sitting = dataclasses.replace(loop, max_minutes=1e-9)
    first = train(UnetObjective(settings, portraits, portraits), sitting, tmp_path / "parts")
    last = train(UnetObjective(settings, portraits, portraits), sitting, tmp_path / "parts", resume=True)
    assert (first.step, last.step) == (1, 2)
    ends = [latest_checkpoint(tmp_path / name / "checkpoints") for name in ("straight", "parts")]
    straight, parts = (load_file(end / "model.safetensors") for end in ends if end is not None)
    assert all(torch.equal(straight[name], parts[name]) for name in straight)
    for file in ("unet/config.json", "unet/diffusion_pytorch_model.safetensors", "scheduler/scheduler_config.json"):
        assert (tmp_path / "parts" / "export" / file).is_file()
    assert (tmp_path / "parts" / "sheets" / "00000002.png").is_file()
