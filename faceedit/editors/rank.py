"""Choosing the best of several candidates by CLIP, as Blended Latent Diffusion does with its batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from faceedit.errors import WeightsError
from faceedit.request import EditText

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


@torch.no_grad()
def clip_image_features(vision: Any, images: NDArray[np.float32]) -> Tensor:
    """Unit embeddings [B, D] of pictures, float32 [B, S, S, 3] in [0, 1], resized to the encoder's own size."""
    side = vision.config.image_size
    parameter = next(vision.parameters())
    x = rearrange(torch.from_numpy(images), "b h w c -> b c h w")
    if x.shape[-1] != side:
        x = torch.nn.functional.interpolate(x, (side, side), mode="bicubic", antialias=True).clamp(0, 1)
    mean, std = (rearrange(torch.tensor(v), "c -> c 1 1") for v in (CLIP_MEAN, CLIP_STD))
    features: Tensor = vision(pixel_values=((x - mean) / std).to(parameter.device, parameter.dtype)).image_embeds
    return torch.nn.functional.normalize(features.float(), dim=-1)


@torch.no_grad()
def clip_text_features(text_encoder: Any, tokenizer: Any, sentences: list[str]) -> Tensor:
    """Unit embeddings [B, D] of sentences by a CLIP text encoder with projection."""
    ids = tokenizer(
        sentences, padding="max_length", max_length=tokenizer.model_max_length, truncation=True, return_tensors="pt"
    )["input_ids"]
    features: Tensor = text_encoder(ids.to(next(text_encoder.parameters()).device)).text_embeds
    return torch.nn.functional.normalize(features.float(), dim=-1)


def best_by_clip(components: Any, images: NDArray[np.float32], edit: EditText) -> int:
    """Index of the candidate whose embedding lies furthest from the source sentence towards the target.

    Raises:
        WeightsError: the recipe's weights hold no CLIP pair.
    """
    if components.vision is None or not hasattr(components.text_encoder, "text_projection"):
        raise WeightsError("ranking candidates needs a CLIP text and vision pair", "set inpaint.candidates=1")
    image = clip_image_features(components.vision, images)
    source, target = clip_text_features(components.text_encoder, components.tokenizer, [edit.source, edit.target])
    return int((image @ (target - source)).argmax())
