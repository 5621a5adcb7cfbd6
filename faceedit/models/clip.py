"""Pictures and sentences as unit vectors in CLIP's space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from faceedit.errors import WeightsError

# The statistics of the published CLIP encoders, for weights that come without a processor of their own.
PUBLISHED_MEAN = (0.48145466, 0.4578275, 0.40821073)
PUBLISHED_STD = (0.26862954, 0.26130258, 0.27577711)


def require_clip(components: Any) -> None:
    """Raises WeightsError where the components hold no CLIP vision encoder or a text encoder without projection."""
    if components.vision is None or not hasattr(components.text_encoder, "text_projection"):
        raise WeightsError("these weights hold no CLIP text and vision pair", "set inpaint.candidates=1")


@torch.no_grad()
def image_features(components: Any, images: NDArray[np.float32]) -> Tensor:
    """Unit embeddings float32 [B, D] of pictures, float32 [B, H, W, 3] in [0, 1], resized to the encoder's own size."""
    x = rearrange(torch.from_numpy(np.ascontiguousarray(images)), "b h w c -> b c h w")
    return F.normalize(components.vision(pixel_values=vision_input(components, x)).image_embeds.float(), dim=-1)


def vision_input(components: Any, x: Tensor) -> Tensor:
    """Pictures [B, 3, H, W] in [0, 1] as the vision encoder takes them: its size, statistics, device and precision."""
    vision, processor = components.vision, components.image_processor
    side, parameter = vision.config.image_size, next(vision.parameters())
    if x.shape[-2:] != (side, side):
        x = F.interpolate(x, (side, side), mode="bicubic", antialias=True).clamp(0, 1)
    mean, std = (PUBLISHED_MEAN, PUBLISHED_STD) if processor is None else (processor.mean, processor.std)
    shift, scale = (rearrange(torch.tensor(v, device=x.device), "c -> c 1 1") for v in (mean, std))
    return ((x - shift) / scale).to(components.device, parameter.dtype)


@torch.no_grad()
def text_features(components: Any, sentences: Sequence[str]) -> Tensor:
    """Unit embeddings float32 [B, D] of sentences; what the encoder cannot read any more is cut off."""
    tokenizer = components.tokenizer
    ids = tokenizer(
        list(sentences),
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    )["input_ids"]
    features: Tensor = components.text_encoder(ids.to(components.device)).text_embeds
    return F.normalize(features.float(), dim=-1)
