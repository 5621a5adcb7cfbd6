"""Tiny FLUX.1 components with seeded random weights: the real classes for tests of the code path."""

from __future__ import annotations

import string
from typing import Any

import torch

from faceedit.models.components import Components
from faceedit.models.random import TEXT_WIDTH, byte_tokenizer, seeded, tiny_vae


def character_t5_tokenizer() -> Any:
    """A T5 tokenizer that spells: one token for each printable ASCII character.

    Other characters become `<unk>` and runs of spaces one, as in the published tokenizer.
    """
    from transformers import T5Tokenizer

    characters = ["▁", *(c for c in string.printable if not c.isspace())]
    pieces = [(name, 0.0) for name in ("<pad>", "</s>", "<unk>")] + [(c, -1.0) for c in characters]
    return T5Tokenizer(vocab=pieces, extra_ids=0)


def tiny_transformer(text_width: int) -> Any:
    """Two double and three single blocks of width 32, guidance as an input; tokens of 16 channels."""
    from diffusers import FluxTransformer2DModel

    return FluxTransformer2DModel(
        in_channels=16,
        num_layers=2,
        num_single_layers=3,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=text_width,
        pooled_projection_dim=text_width,
        guidance_embeds=True,
        axes_dims_rope=(4, 6, 6),
    )


def random_flux_components(seed: int = 0) -> Components:
    """Tiny FLUX.1 components on the CPU in fp32: VAE of factor 4, so that 64 px are 8x8 tokens of 16 channels.

    Two double and three single blocks, guidance as an input, and a VAE with a shift.
    """
    from diffusers import FlowMatchEulerDiscreteScheduler
    from transformers import CLIPTextConfig, CLIPTextModel, T5Config, T5EncoderModel

    tokenizer, tokenizer_2 = byte_tokenizer(), character_t5_tokenizer()
    ids = {name: getattr(tokenizer, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    with seeded(seed):
        parts = {
            "vae": tiny_vae(
                scaling_factor=0.3611, shift_factor=0.1159, use_quant_conv=False, use_post_quant_conv=False
            ),
            "transformer": tiny_transformer(TEXT_WIDTH),
            "text_encoder": CLIPTextModel(
                CLIPTextConfig(
                    hidden_size=TEXT_WIDTH,
                    intermediate_size=64,
                    num_hidden_layers=2,
                    num_attention_heads=2,
                    vocab_size=len(tokenizer),
                    **ids,
                )
            ),
            "text_encoder_2": T5EncoderModel(
                T5Config(
                    vocab_size=len(tokenizer_2),
                    d_model=TEXT_WIDTH,
                    d_kv=16,
                    d_ff=64,
                    num_layers=2,
                    num_heads=2,
                    feed_forward_proj="gated-gelu",
                )
            ),
        }
    for module in parts.values():
        module.eval().requires_grad_(False)
    scheduler = FlowMatchEulerDiscreteScheduler(
        shift=3.0,
        use_dynamic_shifting=True,
        base_shift=0.5,
        max_shift=1.15,
        base_image_seq_len=256,
        max_image_seq_len=4096,
    )
    return Components(torch.device("cpu"), tokenizer=tokenizer, tokenizer_2=tokenizer_2, scheduler=scheduler, **parts)
