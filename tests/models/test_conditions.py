"""CA-Edit's parts from disk: folders, and files with the names and shapes that BrushNet and IP-Adapter publish."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import init_empty_weights
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file
from test_published import UNET

from faceedit.errors import WeightsError
from faceedit.models.components import Components
from faceedit.models.condition_adapter import ConditionAdapter
from faceedit.models.conditions import published_adapter
from faceedit.models.loader import empty_module, load_components
from faceedit.models.places import weight_paths
from faceedit.models.plan import DevicePlan
from faceedit.models.random import random_components
from faceedit.models.reference_net import ReferenceNet
from faceedit.models.save import save_components
from faceedit.models.tensors import StoredTensor, matched_keys
from faceedit.recipe_schema import Weights

Local = Callable[[Path], Weights]
BRUSHNET_FILE = "diffusion_pytorch_model.safetensors"

# The configuration that the published SD 1.5 checkpoints of BrushNet come with.
BRUSHNET: dict[str, Any] = {
    "_class_name": "BrushNetModel",
    "_diffusers_version": "0.27.0.dev0",
    "act_fn": "silu",
    "addition_embed_type": None,
    "addition_embed_type_num_heads": 64,
    "addition_time_embed_dim": None,
    "attention_head_dim": 8,
    "block_out_channels": [320, 640, 1280, 1280],
    "brushnet_conditioning_channel_order": "rgb",
    "class_embed_type": None,
    "conditioning_channels": 5,
    "conditioning_embedding_out_channels": [16, 32, 96, 256],
    "cross_attention_dim": 768,
    "down_block_types": ["DownBlock2D"] * 4,
    "downsample_padding": 1,
    "encoder_hid_dim": None,
    "encoder_hid_dim_type": None,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "global_pool_conditions": False,
    "in_channels": 4,
    "layers_per_block": 2,
    "mid_block_scale_factor": 1,
    "mid_block_type": "MidBlock2D",
    "norm_eps": 1e-05,
    "norm_num_groups": 32,
    "num_attention_heads": None,
    "num_class_embeds": None,
    "only_cross_attention": False,
    "projection_class_embeddings_input_dim": None,
    "resnet_time_scale_shift": "default",
    "transformer_layers_per_block": 1,
    "up_block_types": ["UpBlock2D"] * 4,
    "upcast_attention": False,
    "use_linear_projection": False,
}


def affine(name: str, *shape: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def resnet(name: str, before: int, width: int, time: int) -> dict[str, tuple[int, ...]]:
    found = {
        **affine(f"{name}.norm1", before),
        **affine(f"{name}.conv1", width, before, 3, 3),
        **affine(f"{name}.time_emb_proj", width, time),
        **affine(f"{name}.norm2", width),
        **affine(f"{name}.conv2", width, width, 3, 3),
    }
    return found | (affine(f"{name}.conv_shortcut", width, before, 1, 1) if before != width else {})


def brushnet_shapes(widths: list[int], layers: int) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a BrushNet file, from its architecture and not from our class."""
    time = 4 * widths[0]
    found = affine("conv_in_condition", widths[0], 9, 3, 3)
    found |= affine("time_embedding.linear_1", time, widths[0]) | affine("time_embedding.linear_2", time, time)
    down, before = [widths[0]], widths[0]
    for i, width in enumerate(widths):
        for j in range(layers):
            found |= resnet(f"down_blocks.{i}.resnets.{j}", before if j == 0 else width, width, time)
            down.append(width)
        if i < len(widths) - 1:
            found |= affine(f"down_blocks.{i}.downsamplers.0.conv", width, width, 3, 3)
            down.append(width)
        before = width
    for j in range(2):
        found |= resnet(f"mid_block.resnets.{j}", before, before, time)
    skips, up = list(down), []
    for i, width in enumerate(reversed(widths)):
        for j in range(layers + 1):
            found |= resnet(f"up_blocks.{i}.resnets.{j}", before + skips.pop(), width, time)
            before = width
            up.append(width)
        if i < len(widths) - 1:
            found |= affine(f"up_blocks.{i}.upsamplers.0.conv", width, width, 3, 3)
            up.append(width)
    for kind, places in (("down", down), ("up", up)):
        for i, width in enumerate(places):
            found |= affine(f"brushnet_{kind}_blocks.{i}", width, width, 1, 1)
    return found | affine("brushnet_mid_block", widths[-1], widths[-1], 1, 1)


def ip_adapter_shapes(embedding: int = 1024) -> dict[str, tuple[int, ...]]:
    """Names and shapes of `ip-adapter_sd15.safetensors`."""
    widths = [320, 320, 640, 640, 1280, 1280, *[1280] * 3, *[640] * 3, *[320] * 3, 1280]
    found = affine("image_proj.proj", 3072, embedding) | affine("image_proj.norm", 768)
    for place, width in enumerate(widths):
        for kind in "kv":
            found[f"ip_adapter.{2 * place + 1}.to_{kind}_ip.weight"] = (width, 768)
    return found


def write(path: Path, shapes: dict[str, tuple[int, ...]], dtype: torch.dtype = torch.float32) -> Path:
    generator = torch.Generator().manual_seed(0)
    save_file({name: 0.05 * torch.randn(shape, generator=generator).to(dtype) for name, shape in shapes.items()}, path)
    return path


def test_brushnets_published_names_and_shapes() -> None:
    """Breaks when a published checkpoint would not load strictly into our convolution-only layout."""
    net = empty_module(ReferenceNet, BRUSHNET)
    shapes = brushnet_shapes([320, 640, 1280, 1280], 2)
    assert net.layout == "brushnet"
    assert shapes == {key: tuple(value.shape) for key, value in net.state_dict().items()}
    assert [shapes[f"brushnet_down_blocks.{i}.weight"][0] for i in range(12)] == [320] * 4 + [640] * 3 + [1280] * 5
    assert [shapes[f"brushnet_up_blocks.{i}.weight"][0] for i in range(15)] == [1280] * 8 + [640] * 4 + [320] * 3


def test_a_published_brushnet_loads(
    saved: Path, tmp_path: Path, cpu: DevicePlan, capfd: pytest.CaptureFixture[str]
) -> None:
    """Breaks when the published configuration, or one of a file's names, is refused, or a key that is gone is not."""
    small = {"block_out_channels": [32, 64], "layers_per_block": 1, "norm_num_groups": 8, "cross_attention_dim": 32}
    types = {"down_block_types": ["DownBlock2D"] * 2, "up_block_types": ["UpBlock2D"] * 2}
    folder = tmp_path / "brushnet"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(BRUSHNET | small | types))
    shapes = brushnet_shapes([32, 64], 1)
    write(folder / BRUSHNET_FILE, shapes)
    weights = Weights(kind="local", path=str(saved), folders={"reference_net": str(folder)})
    loaded = load_components(weights, cpu, skip=("adapter",)).reference_net
    assert "not expected" not in capfd.readouterr().err
    stored = load_file(folder / BRUSHNET_FILE)
    assert all(torch.equal(value, stored[key]) for key, value in loaded.state_dict().items())
    del shapes["brushnet_mid_block.bias"]
    write(folder / BRUSHNET_FILE, shapes)
    with pytest.raises(WeightsError, match=r"1 key \(brushnet_mid_block.bias\) missing"):
        load_components(weights, cpu)


def test_a_published_ip_adapter_loads(tmp_path: Path) -> None:
    """Breaks when IP-Adapter's numbering, names or shapes are not ours: every key must find its place."""
    file = write(tmp_path / "ip-adapter_sd15.safetensors", ip_adapter_shapes(), torch.float16)
    assert file.stat().st_size == pytest.approx(44.6e6, rel=1e-3)
    unet = empty_module(UNet2DConditionModel, UNET)
    adapter = published_adapter(file, unet, {"projection_dim": 1024}, torch.float32)
    assert not adapter.has_score and set(adapter.state_dict()) == set(ip_adapter_shapes())
    assert adapter.visual_tokens(torch.zeros(1, 1024)).shape == (1, 4, 768)
    with pytest.raises(WeightsError, match=r"image_proj.proj.weight \[3072, 1024\] instead of \[3072, 1280\]"):
        published_adapter(file, unet, {"projection_dim": 1280}, torch.float32)


def test_the_full_adapter_has_ip_adapters_keys_and_scores_beside_them() -> None:
    """Breaks when our own keys replace a published one, or a layer has no score predictor."""
    with init_empty_weights():
        net = ReferenceNet.from_unet(empty_module(UNet2DConditionModel, UNET))
        adapter = ConditionAdapter.from_net(net, image_dim=1024, pooled_dim=768)
    shapes = {key: tuple(value.shape) for key, value in adapter.state_dict().items()}
    published = ip_adapter_shapes()
    assert {key: shape for key, shape in shapes.items() if ".score." not in key} == published
    widths = {number: published[f"ip_adapter.{number}.to_k_ip.weight"][0] for number in range(1, 33, 2)}
    scores: dict[str, tuple[int, ...]] = {}
    for number, width in widths.items():
        scores |= affine(f"ip_adapter.{number}.score.0", width, width + 768)
        scores |= affine(f"ip_adapter.{number}.score.2", 2, width)
    assert {key: shape for key, shape in shapes.items() if ".score." in key} == scores
    stored = {name: StoredTensor(Path("x"), name, shape, 0) for name, shape in published.items()}
    with pytest.raises(WeightsError, match=r"64 keys \(ip_adapter\.1\.score\.0\.weight.*missing"):
        matched_keys(adapter.state_dict(), stored, {}, "adapter")


def published_form(adapter: ConditionAdapter) -> dict[str, torch.Tensor]:
    return {key: value for key, value in adapter.state_dict().items() if ".score." not in key}


def test_an_adapter_can_be_a_single_file(tiny: Components, saved: Path, tmp_path: Path, cpu: DevicePlan) -> None:
    """Breaks when `weights.folders.adapter` takes folders only, or its file counts in no list of weights."""
    file = tmp_path / "ip-adapter.safetensors"
    save_file(published_form(tiny.adapter), file)
    weights = Weights(kind="local", path=str(saved), folders={"adapter": str(file)})
    loaded = load_components(weights, cpu).adapter
    assert not loaded.has_score and not loaded.training
    assert all(torch.equal(value, tiny.adapter.state_dict()[key]) for key, value in loaded.state_dict().items())
    assert weight_paths(weights)["adapter/ip-adapter.safetensors"] == file
    damaged = file.with_suffix(".bin")
    damaged.write_bytes(b"PK\x03\x04 a pickle in a zip archive")
    with pytest.raises(WeightsError, match="renamed pickle archive"):
        load_components(Weights(kind="local", path=str(saved), folders={"adapter": str(damaged)}), cpu)
    index = json.loads((saved / "model_index.json").read_text())
    del index["vision"]
    (saved / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(WeightsError, match="needs the vision encoder") as caught:
        load_components(weights, cpu)
    assert "weights.folders.vision" in caught.value.hint


def test_an_adapter_of_another_encoder_is_refused(saved: Path, tmp_path: Path, cpu: DevicePlan) -> None:
    """Breaks when the wrong vision encoder is only noticed as a matrix product in the middle of an edit."""
    tiny = random_components(3)
    other = ConditionAdapter.from_net(tiny.unet, image_dim=48, pooled_dim=32)
    file = tmp_path / "other.safetensors"
    save_file(published_form(other), file)
    with pytest.raises(WeightsError, match=r"image_proj.proj.weight \[128, 48\] instead of \[128, 32\]"):
        load_components(Weights(kind="local", path=str(saved), folders={"adapter": str(file)}), cpu)
    other.save_pretrained(tmp_path / "other")
    with pytest.raises(WeightsError, match="adapter was made for image_dim 48, and vision has 32") as caught:
        load_components(Weights(kind="local", path=str(saved), folders={"adapter": str(tmp_path / "other")}), cpu)
    assert "weights.folders.adapter" in caught.value.hint


def test_a_reference_net_of_another_backbone_is_refused(saved: Path, tmp_path: Path, cpu: DevicePlan) -> None:
    """Breaks when residuals of another UNet are only noticed as a shape in the middle of an edit."""
    wide = {"block_out_channels": (32, 96), "norm_num_groups": 8, "cross_attention_dim": 32, "layers_per_block": 1}
    types = {"down_block_types": ("DownBlock2D",) * 2, "up_block_types": ("UpBlock2D",) * 2}
    ReferenceNet(**wide, **types, attention_head_dim=2).save_pretrained(tmp_path / "wide")
    with pytest.raises(WeightsError, match=r"reference_net was made for block_out_channels \[32, 96\], and unet has"):
        load_components(Weights(kind="local", path=str(saved), folders={"reference_net": str(tmp_path / "wide")}), cpu)


def test_another_class_is_not_a_reference_net(saved: Path, cpu: DevicePlan, local: Local) -> None:
    """Breaks when a folder's configuration can name any class of the library."""
    config = json.loads((saved / "reference_net/config.json").read_text())
    (saved / "reference_net/config.json").write_text(json.dumps(config | {"_class_name": "ControlNetModel"}))
    index = json.loads((saved / "model_index.json").read_text())
    index["reference_net"] = ["diffusers", "ControlNetModel"]
    (saved / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(WeightsError, match="class 'ControlNetModel'"):
        load_components(local(saved), cpu)


def test_the_two_parts_survive_half_precision(tiny: Components, tmp_path: Path, cpu: DevicePlan, local: Local) -> None:
    """Breaks when a configuration loses what the parts are built from: layer widths, layout, text width."""
    save_components(tiny, tmp_path, torch.float16)
    loaded = load_components(local(tmp_path), cpu)
    for part in ("reference_net", "adapter"):
        one, other = (getattr(components, part).state_dict() for components in (tiny, loaded))
        assert list(one) == list(other)
        assert all(torch.equal(one[key].half().float(), other[key]) for key in one)
    shutil.rmtree(tmp_path / "adapter")
    with pytest.raises(WeightsError, match="adapter"):
        load_components(local(tmp_path), cpu)
