"""CLIP's feature of a whole sentence, raw: what PASL reads. FLUX's own CLIP serves, with a projection added."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from faceedit.errors import WeightsError
from faceedit.models.components import component_class
from faceedit.models.jsonfile import read_config
from faceedit.models.keys import renamer
from faceedit.models.loader import empty_module
from faceedit.models.manifest import bundled_folder, by_repository
from faceedit.models.pasl import BUNDLED
from faceedit.models.places import hub_folder
from faceedit.models.tensors import load_into, read_header, weight_files
from faceedit.models.verified import require_verified

PROJECTION = "text_projection.safetensors"
"""Beside a locator's weights: the projection, where its text encoder is one without (FLUX.1's)."""
_WITH, _WITHOUT, _WHOLE = "CLIPTextModelWithProjection", "CLIPTextModel", "CLIPModel"
_GROUP = 64


class SentenceFeatures:
    """The end token's feature after the projection, un-normalised: `text_embeds` of `CLIPTextModelWithProjection`.

    Args:
        encoder: `CLIPTextModelWithProjection`, or `CLIPTextModel` as FLUX.1 loads it.
        tokenizer: its tokenizer.
        projection: float [D, hidden], for a `CLIPTextModel`.
        device: where the encoder runs.
    """

    def __init__(
        self, encoder: Any, tokenizer: Any, projection: Tensor | None = None, device: torch.device | str = "cpu"
    ) -> None:
        self.encoder, self.tokenizer, self.device = encoder, tokenizer, torch.device(device)
        weight = encoder.text_projection.weight if projection is None else projection
        self.width = int(weight.shape[0])
        self.projection = None if projection is None else projection.to(self.device, torch.float32)

    @torch.no_grad()
    def __call__(self, sentences: Sequence[str]) -> Tensor:
        """float32 [K, D] on the device; of a sentence over the encoder's length (77 tokens) the rest is cut off."""
        groups = [sentences[start : start + _GROUP] for start in range(0, len(sentences), _GROUP)]
        return torch.cat([self._group(group) for group in groups])

    def _group(self, sentences: Sequence[str]) -> Tensor:
        limit = self.tokenizer.model_max_length
        padded = self.tokenizer(
            list(sentences), padding="max_length", max_length=limit, truncation=True, return_tensors="pt"
        )
        ids: Tensor = padded["input_ids"].to(self.device)
        answer = self.encoder(ids)
        if self.projection is None:
            embeds: Tensor = answer.text_embeds
            return embeds.float()
        # The feature at the first end token, where the rest is padding with the same token.
        ends = (ids == self.tokenizer.eos_token_id).int().argmax(dim=1)
        pooled: Tensor = answer.last_hidden_state[torch.arange(len(ids), device=self.device), ends]
        return pooled.float() @ self.projection.T


def load_sentence_features(
    text: str, beside: Path | None = None, device: torch.device | str = "cpu"
) -> SentenceFeatures:
    """The text encoder that a locator was trained with.

    Args:
        text: "bundled:SET", or owner/name of a repository in the local Hugging Face cache: a whole CLIP
            (openai/clip-vit-large-patch14) or a pipeline with a `text_encoder` (FLUX.1-dev).
        beside: the locator's folder, which holds `text_projection.safetensors` where the encoder has none.
        device: where it runs.

    Raises:
        WeightsError: it is not on this machine, or damaged.
        UsageError: no bundled set has that name.
    """
    root = bundled_folder(text.removeprefix(BUNDLED)) if text.startswith(BUNDLED) else hub_folder(text)
    folder = root / "text_encoder" if (root / "text_encoder").is_dir() else root
    known = None if text.startswith(BUNDLED) else by_repository(text)
    if known is not None:
        require_verified(known, root, weight_files(folder))
    encoder = _encoder(folder, device)
    tokens = root / "tokenizer" if (root / "tokenizer").is_dir() else root
    tokenizer = component_class("tokenizer", "CLIPTokenizer").from_pretrained(str(tokens), local_files_only=True)
    projection = None
    if not hasattr(encoder, "text_projection"):
        projection = _projection(beside, encoder.config.hidden_size, text)
    return SentenceFeatures(encoder, tokenizer, projection, device)


def _encoder(folder: Path, device: torch.device | str) -> Any:
    config = read_config(folder / "config.json")
    name = next(iter(config.get("architectures") or [_WITH]))
    if name == _WHOLE:
        width = config.get("projection_dim", 512)
        config, name = {**config["text_config"], "projection_dim": width}, _WITH
    module = empty_module(component_class("text_encoder", name), config, folder)
    own = renamer(module)

    def rename(key: str) -> str | None:
        """A whole CLIP's file holds the vision encoder and the temperature too."""
        return None if key.startswith(("vision_model.", "visual_projection.", "logit_scale")) else own(key)

    load_into(module, weight_files(folder), "text_encoder", device=device, rename=rename)
    return module.eval().requires_grad_(False)


def _projection(beside: Path | None, width: int, text: str) -> Tensor:
    file = None if beside is None else beside / PROJECTION
    if file is None or not file.is_file():
        raise WeightsError(f"the text encoder of {text} has no projection", f"put {PROJECTION} beside the weights")
    names = read_header(file)
    if set(names) != {"weight"} or names["weight"].shape[1:] != (width,):
        raise WeightsError(f"{file} holds no projection of features {width} wide", "take CLIP's text_projection.weight")
    return load_file(file)["weight"].float()
