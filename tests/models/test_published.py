"""Full-size published configurations on the meta device: sizes, and the names and shapes that their files have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from faceedit.errors import UsageError, WeightsError
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
FLUX_VAE = VAE | {
    "force_upcast": True,
    "latent_channels": 16,
    "mid_block_add_attention": True,
    "sample_size": 1024,
    "scaling_factor": 0.3611,
    "shift_factor": 0.1159,
    "use_post_quant_conv": False,
    "use_quant_conv": False,
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
        ("vae", "AutoencoderKL", FLUX_VAE, 83_819_683, 244),
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


# Some names of each kind of layer in the files of FLUX.1-dev, with the shapes that they have there.
FLUX_NAMES: dict[str, dict[str, tuple[int, ...]]] = {
    "transformer": {
        "x_embedder.weight": (3072, 64),
        "context_embedder.weight": (3072, 4096),
        "time_text_embed.guidance_embedder.linear_1.weight": (3072, 256),
        "time_text_embed.text_embedder.linear_1.weight": (3072, 768),
        "transformer_blocks.18.attn.add_v_proj.weight": (3072, 3072),
        "transformer_blocks.0.attn.norm_added_k.weight": (128,),
        "transformer_blocks.0.ff_context.net.0.proj.weight": (12288, 3072),
        "transformer_blocks.0.norm1_context.linear.weight": (18432, 3072),
        "single_transformer_blocks.37.attn.to_v.weight": (3072, 3072),
        "single_transformer_blocks.37.proj_out.weight": (3072, 15360),
        "norm_out.linear.weight": (6144, 3072),
        "proj_out.weight": (64, 3072),
    },
    "vae": {
        "encoder.conv_out.weight": (32, 512, 3, 3),
        "decoder.conv_in.weight": (512, 16, 3, 3),
        "decoder.mid_block.attentions.0.to_out.0.weight": (512, 512),
    },
    "text_encoder_2": {
        "shared.weight": (32128, 4096),
        "encoder.block.23.layer.1.DenseReluDense.wi_1.weight": (10240, 4096),
        "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight": (32, 64),
        "encoder.final_layer_norm.weight": (4096,),
    },
}


@pytest.mark.parametrize(
    ("part", "class_name", "config"),
    [
        ("transformer", "FluxTransformer2DModel", FLUX),
        ("vae", "AutoencoderKL", FLUX_VAE),
        ("text_encoder_2", "T5EncoderModel", T5),
    ],
)
def test_flux_keeps_the_names_of_its_files(part: str, class_name: str, config: dict[str, Any]) -> None:
    """Breaks when a new release renames a layer of FLUX.1-dev, or the loader renames what needs no other name."""
    module = published(part, class_name, config)
    shapes = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    assert FLUX_NAMES[part].items() <= shapes.items()
    rename = renamer(module)
    assert all(rename(key) == key for key in shapes)
    assert not [key for key in shapes if "quant_conv" in key]


def test_value_fusion_reaches_the_last_blocks_of_the_full_transformer() -> None:
    """Breaks when m = 18 means other blocks than the single ones from 20 to 37, or a processor stays behind."""
    from faceedit.attention.value_fusion import ValueFusion, ValueProcessor, leave

    transformer = published("transformer", "FluxTransformer2DModel", FLUX)
    before = dict(transformer.attn_processors)
    for blocks, first in ((18, 39), (38, 19), (57, 0)):
        fusion = ValueFusion(transformer, blocks, 4096)
        with fusion.acting(leave):
            inside = list(transformer.attn_processors.values())
        assert [isinstance(p, ValueProcessor) for p in inside] == [k >= first for k in range(57)]
        assert transformer.attn_processors == before
    with pytest.raises(UsageError, match="58 blocks: the transformer has 57"):
        ValueFusion(transformer, 58, 4096)
