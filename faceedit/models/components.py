"""The parts of a backbone as they travel, and the only classes that a part may be of."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import torch

from faceedit.errors import WeightsError


@dataclass(frozen=True)
class ImageStatistics:
    """How a vision encoder wants its pictures: (x - mean) / std per channel of pictures in [0, 1]."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Components:
    """Loaded parts: modules are frozen, in eval mode, on the plan's device and in its precision.

    With a memory preset other than "full" the modules rest on the CPU and visit `device` while they run, so take
    `device` for tensors and not the device of a parameter.
    """

    device: torch.device
    vae: Any = None
    unet: Any = None
    transformer: Any = None
    text_encoder: Any = None
    tokenizer: Any = None
    text_encoder_2: Any = None
    tokenizer_2: Any = None
    vision: Any = None
    reference_net: Any = None
    adapter: Any = None
    image_processor: ImageStatistics | None = None
    scheduler: Any = None


MODELS = ("vae", "unet", "transformer", "text_encoder", "text_encoder_2", "vision", "reference_net", "adapter")
# What CA-Edit adds to a backbone; no other editor looks at it.
CONDITION_PARTS = ("reference_net", "adapter")
# Stands for the class of an adapter that is a single published file, which names none.
IP_ADAPTER = "IP-Adapter"
TOKENIZERS = ("tokenizer", "tokenizer_2")
PARTS = (*MODELS, *TOKENIZERS, "image_processor", "scheduler")

# Published pipelines call the CLIP vision encoder and its preprocessing by these names.
PUBLISHED_NAMES = {"image_encoder": "vision", "feature_extractor": "image_processor"}

# part -> class named in model_index.json -> (library, class that is built).
# SD 1.x ships PNDM or other samplers over the very same noise schedule; DDIM is the one that can be inverted.
_DDIM = ("diffusers", "DDIMScheduler")
_TEXT = {
    "CLIPTextModel": ("transformers", "CLIPTextModel"),
    "CLIPTextModelWithProjection": ("transformers", "CLIPTextModelWithProjection"),
    "T5EncoderModel": ("transformers", "T5EncoderModel"),
}
_TOKENIZER = {
    "CLIPTokenizer": ("transformers", "CLIPTokenizer"),
    "CLIPTokenizerFast": ("transformers", "CLIPTokenizer"),
    "T5Tokenizer": ("transformers", "T5Tokenizer"),
    "T5TokenizerFast": ("transformers", "T5Tokenizer"),
}
ALLOWED: dict[str, dict[str, tuple[str, str]]] = {
    "vae": {"AutoencoderKL": ("diffusers", "AutoencoderKL")},
    "unet": {"UNet2DConditionModel": ("diffusers", "UNet2DConditionModel")},
    "transformer": {"FluxTransformer2DModel": ("diffusers", "FluxTransformer2DModel")},
    "text_encoder": _TEXT,
    "text_encoder_2": _TEXT,
    "tokenizer": _TOKENIZER,
    "tokenizer_2": _TOKENIZER,
    # No part of an edit, so not among PARTS: faceedit.safety loads it.
    "safety_checker": {
        "StableDiffusionSafetyChecker": (
            "diffusers.pipelines.stable_diffusion.safety_checker",
            "StableDiffusionSafetyChecker",
        )
    },
    "vision": {"CLIPVisionModelWithProjection": ("transformers", "CLIPVisionModelWithProjection")},
    "reference_net": {
        "ReferenceNet": ("faceedit.models.reference_net", "ReferenceNet"),
        "BrushNetModel": ("faceedit.models.reference_net", "ReferenceNet"),
    },
    "adapter": {"ConditionAdapter": ("faceedit.models.condition_adapter", "ConditionAdapter")},
    "scheduler": {
        "DDIMScheduler": _DDIM,
        "PNDMScheduler": _DDIM,
        "LMSDiscreteScheduler": _DDIM,
        "DDPMScheduler": _DDIM,
        "FlowMatchEulerDiscreteScheduler": ("diffusers", "FlowMatchEulerDiscreteScheduler"),
    },
}


def component_class(part: str, class_name: str) -> Any:
    """The class that a part is built from.

    Raises:
        WeightsError: a class outside the table; no name from a file ever reaches an import.
    """
    known = ALLOWED[part]
    if class_name not in known:
        raise WeightsError(
            f"{part}: class {class_name!r} is not one that faceedit loads", f"it takes {', '.join(known)}"
        )
    library, name = known[class_name]
    return getattr(importlib.import_module(library), name)
