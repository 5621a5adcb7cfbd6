"""Full-size published configurations on the meta device: sizes, and the names and shapes that their files have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from faceedit.errors import WeightsError
from faceedit.models.components import component_class
from faceedit.models.keys import renamer
from faceedit.models.loader import empty_module
from faceedit.models.tensors import StoredTensor, matched_keys, tied_keys

UNET: dict[str, Any] = {
    "act_fn": "silu",
    "attention_head_dim": 8,
    "block_out_channels": [320, 640, 1280, 1280],
    "center_input_sample": False,
    "cross_attention_dim": 768,
    "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
    "downsample_padding": 1,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "in_channels": 4,
    "layers_per_block": 2,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-05,
    "norm_num_groups": 32,
    "out_channels": 4,
    "sample_size": 64,
    "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
}
VAE: dict[str, Any] = {
    "act_fn": "silu",
    "block_out_channels": [128, 256, 512, 512],
    "down_block_types": ["DownEncoderBlock2D"] * 4,
    "in_channels": 3,
    "latent_channels": 4,
    "layers_per_block": 2,
    "norm_num_groups": 32,
    "out_channels": 3,
    "sample_size": 512,
    "up_block_types": ["UpDecoderBlock2D"] * 4,
}
TEXT: dict[str, Any] = {
    "architectures": ["CLIPTextModel"],
    "hidden_act": "quick_gelu",
    "hidden_size": 768,
    "intermediate_size": 3072,
    "max_position_embeddings": 77,
    "model_type": "clip_text_model",
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "vocab_size": 49408,
}
FLUX: dict[str, Any] = {
    "attention_head_dim": 128,
    "guidance_embeds": True,
    "in_channels": 64,
    "joint_attention_dim": 4096,
    "num_attention_heads": 24,
    "num_layers": 19,
    "num_single_layers": 38,
    "patch_size": 1,
    "pooled_projection_dim": 768,
}
T5: dict[str, Any] = {
    "architectures": ["T5EncoderModel"],
    "d_ff": 10240,
    "d_kv": 64,
    "d_model": 4096,
    "feed_forward_proj": "gated-gelu",
    "model_type": "t5",
    "num_heads": 64,
    "num_layers": 24,
    "tie_word_embeddings": False,
    "vocab_size": 32128,
}


def published(part: str, class_name: str, config: dict[str, Any]) -> Any:
    return empty_module(component_class(part, class_name), config)


@pytest.mark.parametrize(
    ("part", "class_name", "config", "parameters", "tensors"),
    [
        ("unet", "UNet2DConditionModel", UNET, 859_520_964, 686),
        ("unet", "UNet2DConditionModel", UNET | {"in_channels": 9}, 859_535_364, 686),
        ("vae", "AutoencoderKL", VAE, 83_653_863, 248),
        ("text_encoder", "CLIPTextModel", TEXT, 123_060_480, 196),
        ("text_encoder", "CLIPTextModelWithProjection", TEXT | {"projection_dim": 768}, 123_650_304, 197),
        ("transformer", "FluxTransformer2DModel", FLUX, 11_901_408_320, 1160),
        ("text_encoder_2", "T5EncoderModel", T5, 4_762_310_656, 219),
    ],
)
def test_published_configurations_have_their_known_size(
    part: str, class_name: str, config: dict[str, Any], parameters: int, tensors: int
) -> None:
    """Breaks when a class no longer builds the published network from its configuration, or needs memory for it."""
    module = published(part, class_name, config)
    assert all(p.is_meta for p in module.parameters())
    own = {key: value for key, value in module.state_dict().items() if key not in tied_keys(module)}
    assert (sum(value.numel() for value in own.values()), len(own)) == (parameters, tensors)


def as_published(part: str, key: str) -> str:
    """The name that the files of stable-diffusion-v1-5 give to one of today's keys."""
    if part == "text_encoder":
        return f"text_model.{key.removeprefix('text_model.')}"
    if part == "vae" and ".attentions.0.to_" in key:
        for new, old in (("to_q.", "query."), ("to_k.", "key."), ("to_v.", "value."), ("to_out.0.", "proj_attn.")):
            key = key.replace(new, old)
    return key


@pytest.mark.parametrize(
    ("part", "class_name", "config", "extra"),
    [
        ("unet", "UNet2DConditionModel", UNET, {}),
        ("vae", "AutoencoderKL", VAE, {}),
        ("text_encoder", "CLIPTextModel", TEXT, {"text_model.embeddings.position_ids": (1, 77)}),
    ],
)
def test_the_names_in_published_files_all_find_their_place(
    part: str, class_name: str, config: dict[str, Any], extra: dict[str, tuple[int, ...]]
) -> None:
    """Breaks when a key of the published SD 1.5 files counts as missing or unexpected, or a wrong shape passes."""
    module = published(part, class_name, config)
    wanted = module.state_dict()
    shapes = {as_published(part, key): tuple(value.shape) for key, value in wanted.items()} | extra
    stored = {name: StoredTensor(Path("x"), name, shape, 0) for name, shape in shapes.items()}
    found = matched_keys(wanted, stored, {}, part, renamer(module))
    assert {key: as_published(part, key) for key in wanted} == {key: tensor.name for key, tensor in found.items()}
    nine = module if part != "unet" else published(part, class_name, config | {"in_channels": 9})
    if part == "unet":
        with pytest.raises(WeightsError, match=r"conv_in.weight \[320, 4, 3, 3\] instead of \[320, 9, 3, 3\]"):
            matched_keys(nine.state_dict(), stored, {}, part, renamer(nine))
