"""Where key names in published files differ from those of today's classes; any other difference is an error."""

from __future__ import annotations

import re
from collections.abc import Callable

import torch
from torch import nn

# Files of SD 1.x (and 2.x) VAEs were written when diffusers still had its AttentionBlock; its own loader renames the
# same four names.
_VAE_ATTENTION = re.compile(
    r"^((?:encoder|decoder)\.mid_block\.attentions\.\d+)\.(query|key|value|proj_attn)\.(weight|bias)$"
)
_VAE_NAMES = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}

# A constant arange that transformers before 4.31 saved with CLIP; the classes make their own.
_POSITION_IDS = re.compile(r"(^|\.)embeddings\.position_ids$")

# The safety checker's vision encoder has one more level of names in older releases of transformers.
_VISION, _VISION_TWICE = "vision_model.", "vision_model.vision_model."

# `CLIPTextModel` keeps its layers under `text_model.` in older releases of transformers and at the top in newer ones.
_TEXT_PREFIX = "text_model."


def renamer(module: nn.Module) -> Callable[[str], str | None]:
    """Stored name -> name in this module, or `None` for a known tensor that it makes itself."""
    keys = module.state_dict().keys()
    is_checker, doubled = "concept_embeds" in keys, any(key.startswith(_VISION_TWICE) for key in keys)
    prefixed = any(key.startswith(_TEXT_PREFIX) for key in keys)
    is_clip_text = any(key.removeprefix(_TEXT_PREFIX) == "embeddings.token_embedding.weight" for key in keys)

    def rename(name: str) -> str | None:
        if _POSITION_IDS.search(name):
            return None
        match = _VAE_ATTENTION.match(name)
        if match:
            return f"{match[1]}.{_VAE_NAMES[match[2]]}.{match[3]}"
        if is_checker and name.startswith(_VISION):
            return (_VISION_TWICE if doubled else _VISION) + name.removeprefix(_VISION_TWICE).removeprefix(_VISION)
        if is_clip_text and not prefixed:
            return name.removeprefix(_TEXT_PREFIX)
        if is_clip_text and not name.startswith((_TEXT_PREFIX, "text_projection.")):
            return _TEXT_PREFIX + name
        return name

    return rename


def kept_in_fp32(module: nn.Module, dtype: torch.dtype) -> Callable[[str], torch.dtype | None]:
    """Precision of the layers that a class wants in fp32 (T5's `wo` overflows in fp16)."""
    names = set(getattr(module, "_keep_in_fp32_modules", None) or ()) if dtype == torch.float16 else set()
    names |= set(getattr(module, "_keep_in_fp32_modules_strict", None) or ())
    return lambda key: torch.float32 if names.intersection(key.split(".")) else None
