"""Tiny components with seeded random weights: the real classes for tests of the code path, never for a picture."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch

from faceedit.models.components import Components, ImageStatistics

TEXT_WIDTH = 32


def byte_tokenizer() -> Any:
    """A CLIP tokenizer without merges: any text round-trips, one token per byte.

    Its vocabulary is the 256 byte symbols, the same 256 with the end-of-word mark, and the start and end tokens.
    """
    from transformers import CLIPTokenizer

    symbols = _byte_symbols()
    words = [*symbols, *(symbol + "</w>" for symbol in symbols), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: index for index, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=77)


def _byte_symbols() -> list[str]:
    """GPT-2's printable stand-in for each byte, in byte order."""
    printable = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)}
    rest = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) if byte in printable else chr(256 + rest.index(byte)) for byte in range(256)]


def tiny_vae(**further: Any) -> Any:
    """An `AutoencoderKL` of factor 4 and 4 latent channels; `further` goes into its configuration."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        block_out_channels=(16, 32, 32),
        layers_per_block=1,
        norm_num_groups=8,
        latent_channels=4,
        sample_size=64,
        **further,
    )


def random_components(seed: int = 0, channels: int = 4) -> Components:
    """Tiny SD 1.x components on the CPU in fp32: VAE of factor 4, UNet with cross-attention at 16x16 for 64 px.

    Their reference net and adapter have no zero left in them, so that all they do shows in the result.

    Args:
        seed: of all weights.
        channels: input channels of the UNet; 9 for an inpainting UNet.
    """
    from diffusers import DDIMScheduler, UNet2DConditionModel
    from transformers import (
        CLIPTextConfig,
        CLIPTextModelWithProjection,
        CLIPVisionConfig,
        CLIPVisionModelWithProjection,
    )

    tokenizer = byte_tokenizer()
    ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    small = {"hidden_size": TEXT_WIDTH, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    with seeded(seed):
        parts = {
            "vae": tiny_vae(),
            "unet": UNet2DConditionModel(
                sample_size=16,
                in_channels=channels,
                out_channels=4,
                block_out_channels=(32, 64),
                layers_per_block=1,
                down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
                up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
                cross_attention_dim=TEXT_WIDTH,
                attention_head_dim=2,
                norm_num_groups=8,
            ),
            "text_encoder": CLIPTextModelWithProjection(
                CLIPTextConfig(**small, **ids, vocab_size=len(tokenizer), projection_dim=TEXT_WIDTH)
            ),
            "vision": CLIPVisionModelWithProjection(
                CLIPVisionConfig(**small, image_size=32, patch_size=8, projection_dim=TEXT_WIDTH)
            ),
        }
        parts |= _conditions(parts["unet"])
    for module in parts.values():
        module.eval().requires_grad_(False)
    scheduler = DDIMScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
    )
    half = (0.5, 0.5, 0.5)
    return Components(
        torch.device("cpu"),
        tokenizer=tokenizer,
        image_processor=ImageStatistics(half, half),
        scheduler=scheduler,
        **parts,
    )


def _conditions(unet: Any) -> dict[str, Any]:
    from faceedit.models.condition_adapter import ConditionAdapter
    from faceedit.models.reference_net import ReferenceNet

    net = ReferenceNet.from_unet(unet)
    adapter = ConditionAdapter.from_net(net, image_dim=TEXT_WIDTH, pooled_dim=TEXT_WIDTH)
    for parameter in (*net.parameters(), *adapter.parameters()):
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    return {"reference_net": net, "adapter": adapter}


@contextlib.contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Constructors draw from the global generator: seed it here and give it back untouched."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
