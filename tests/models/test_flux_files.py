"""FLUX.1's files in their published layout, tiny: shards with an index, CLIP's older names, T5's embedding once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from faceedit.errors import WeightsError
from faceedit.models.components import Components
from faceedit.models.flux import Flux
from faceedit.models.loader import load_components
from faceedit.models.plan import DevicePlan
from faceedit.models.random_flux import random_flux_components
from faceedit.models.save import save_components
from faceedit.recipe_schema import Weights

INDEX = {
    "_class_name": "FluxPipeline",
    "_diffusers_version": "0.30.0.dev0",
    "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "text_encoder_2": ["transformers", "T5EncoderModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "tokenizer_2": ["transformers", "T5TokenizerFast"],
    "transformer": ["diffusers", "FluxTransformer2DModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}
TRANSFORMER = "transformer/diffusion_pytorch_model"
T5 = "text_encoder_2/model"


@pytest.fixture(scope="module")
def tiny() -> Components:
    return random_flux_components(seed=5)


def shard(folder: Path, stem: str, count: int) -> None:
    """Split a part's single file into `count` shards under the published names, in the files' own order of keys."""
    single = folder / f"{stem}.safetensors"
    state = load_file(single)
    names = sorted(state)
    files = [f"{single.stem}-{k + 1:05d}-of-{count:05d}.safetensors" for k in range(count)]
    homes = {name: files[i * count // len(names)] for i, name in enumerate(names)}
    for file in files:
        save_file({name: state[name] for name in names if homes[name] == file}, single.parent / file)
    index = {"metadata": {"total_size": sum(v.nbytes for v in state.values())}, "weight_map": homes}
    (folder / f"{stem}.safetensors.index.json").write_text(json.dumps(index))
    single.unlink()


@pytest.fixture
def published(tiny: Components, tmp_path: Path) -> Path:
    """A folder in the layout of black-forest-labs/FLUX.1-dev."""
    folder = tmp_path / "flux"
    save_components(tiny, folder)
    (folder / "model_index.json").write_text(json.dumps(INDEX))
    clip = folder / "text_encoder/model.safetensors"
    state = {f"text_model.{key.removeprefix('text_model.')}": value for key, value in load_file(clip).items()}
    save_file(state, clip)
    t5 = load_file(folder / f"{T5}.safetensors")
    t5.pop("encoder.embed_tokens.weight", None)
    save_file(t5, folder / f"{T5}.safetensors")
    shard(folder, TRANSFORMER, 3)
    shard(folder, T5, 2)
    return folder


def load(folder: Path, cpu: DevicePlan) -> Components:
    return load_components(Weights(kind="local", path=str(folder)), cpu)


def test_the_published_layout_loads_to_the_bit(published: Path, tiny: Components, cpu: DevicePlan) -> None:
    """Breaks when a shard, a tokenizer or an older name is passed over: text, latents and velocity must be the same."""
    loaded = load(published, cpu)
    for part in ("vae", "transformer", "text_encoder", "text_encoder_2"):
        wanted = getattr(tiny, part).state_dict()
        found = getattr(loaded, part).state_dict()
        assert wanted.keys() == found.keys() and all(torch.equal(wanted[key], found[key]) for key in wanted)
    assert loaded.scheduler.config.use_dynamic_shifting
    before, after = Flux(tiny, 24), Flux(loaded, 24)
    pixels = torch.linspace(-1, 1, 3 * 64 * 64).view(1, 3, 64, 64)
    assert torch.equal(before.encode_image(pixels), after.encode_image(pixels))
    texts = [flux.encode_text(["a smile"]) for flux in (before, after)]
    z = torch.linspace(-1, 1, 64 * 16).view(1, 64, 16)
    assert torch.equal(before.velocity(z, 0.5, texts[0], 2.0, (8, 8)), after.velocity(z, 0.5, texts[1], 2.0, (8, 8)))
    assert after.shift_factor == pytest.approx(0.1159)


def drop_key(folder: Path) -> None:
    path = folder / f"{TRANSFORMER}-00002-of-00003.safetensors"
    state = load_file(path)
    state.pop(min(state))
    save_file(state, path)


def repeat_key(folder: Path) -> None:
    path = folder / f"{T5}-00002-of-00002.safetensors"
    save_file({**load_file(path), **load_file(folder / f"{T5}-00001-of-00002.safetensors")}, path)


def lose_shard(folder: Path) -> None:
    (folder / f"{TRANSFORMER}-00003-of-00003.safetensors").unlink()


def another_size(folder: Path) -> None:
    path = folder / f"{T5}-00002-of-00002.safetensors"
    state = load_file(path)
    state["shared.weight"] = state["shared.weight"][:-1].clone()
    save_file(state, path)


def old_names(folder: Path) -> None:
    path = folder / f"{TRANSFORMER}-00001-of-00003.safetensors"
    state = {f"double_blocks.{key}" if "norm" in key else key: value for key, value in load_file(path).items()}
    save_file(state, path)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (drop_key, r"transformer: 1 key \(\w+\.[\w.]+\) missing$"),
        (repeat_key, r"is in model-00001-of-00002.safetensors and in model-00002-of-00002.safetensors"),
        (lose_shard, r"diffusion_pytorch_model-00003-of-00003.safetensors is missing"),
        (another_size, r"shared.weight \[\d+, 32\] instead of \[\d+, 32\]"),
        (old_names, r"missing; .* keys \(double_blocks"),
    ],
)
def test_damaged_shards_are_named(published: Path, cpu: DevicePlan, damage: Callable[[Path], None], told: str) -> None:
    """Breaks when a hole in a sharded model is left random, or a tensor is taken from the wrong one of two shards."""
    damage(published)
    with pytest.raises(WeightsError, match=told) as caught:
        load(published, cpu)
    assert "\n" not in str(caught.value) and caught.value.exit_code == 4
