"""The frozen encoders that an editor's training looks through: text and vision of CLIP, and the VAE."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from accelerate import PartialState
from einops import rearrange
from torch import Tensor

from faceedit.models.clip import PUBLISHED_MEAN, PUBLISHED_STD
from faceedit.models.components import component_class
from faceedit.train.latents import load_vae
from faceedit.train.tokenizer import load_tokenizer

KEPT_SENTENCES, TEXT_GROUP = 6000, 8


class FrozenEncoders:
    """Features of sentences and pictures, without gradients; everything is given back on the CPU in fp32.

    Args:
        clip: folder with `text_encoder/` and `tokenizer/`, and `image_encoder/` where `vision` is None.
        vae: folder of an `AutoencoderKL`.
        vision: folder of the CLIP vision encoder.
    """

    def __init__(self, clip: Path, vae: Path, vision: Path | None = None) -> None:
        # Of several processes each has a GPU of its own.
        self.device = PartialState().device if torch.cuda.is_available() else torch.device("cpu")
        self.tokenizer = load_tokenizer(clip / "tokenizer")
        self.text_encoder = self._frozen("text_encoder", clip / "text_encoder", "CLIPTextModel")
        self._vision_folder = vision or clip / "image_encoder"
        self.vae = load_vae(vae).to(device=self.device, memory_format=torch.channels_last)
        self._known: OrderedDict[str, tuple[Tensor, Tensor]] = OrderedDict()

    @cached_property
    def vision(self) -> Any:
        """The vision encoder, loaded when it is first needed: a text-to-image training never does."""
        return self._frozen("vision", self._vision_folder, "CLIPVisionModelWithProjection")

    def _frozen(self, part: str, folder: Path, default: str) -> Any:
        architectures = json.loads((folder / "config.json").read_text()).get("architectures") or [default]
        model = component_class(part, architectures[0]).from_pretrained(folder, use_safetensors=True)
        return model.requires_grad_(False).eval().to(self.device)

    @torch.no_grad()
    def text(self, sentences: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Token features [B, L, D] at the padding of inference, and f_pool [B, D], the feature of the end token.

        Sentences recur, so their features are kept. New ones are encoded in groups of one size: their bits must not
        depend on what was kept before.
        """
        fresh = [s for s in dict.fromkeys(sentences) if s not in self._known]
        for start in range(0, len(fresh), TEXT_GROUP):
            group = fresh[start : start + TEXT_GROUP]
            padded = [*group, *[""] * (TEXT_GROUP - len(group))]
            ids = torch.tensor(self.tokenizer(padded, padding="max_length", truncation=True)["input_ids"])
            features = self.text_encoder(input_ids=ids.to(self.device)).last_hidden_state.float().cpu()
            ends = (ids == self.tokenizer.eos_token_id).int().argmax(1)
            pooled = features[torch.arange(len(ids)), ends]
            self._known.update(zip(group, zip(features.half(), pooled, strict=True), strict=False))
        tokens = torch.stack([self._known[s][0] for s in sentences]).float()
        pools = torch.stack([self._known[s][1] for s in sentences])
        while len(self._known) > KEPT_SENTENCES:
            self._known.popitem(last=False)
        return tokens, pools

    @torch.no_grad()
    def visual(self, pixels: Tensor) -> Tensor:
        """Image embeddings [B, E], not normalised, of pictures [B, 3, S, S] in [-1, 1], resized to the encoder's."""
        side = self.vision.config.image_size
        x = (pixels.to(self.device) + 1) / 2
        if x.shape[-2:] != (side, side):
            x = F.interpolate(x, (side, side), mode="bicubic", antialias=True).clamp(0, 1)
        shift, scale = (
            rearrange(torch.tensor(v, device=self.device), "c -> c 1 1") for v in _statistics(self._vision_folder)
        )
        embeds: Tensor = self.vision(pixel_values=(x - shift) / scale).image_embeds
        return embeds.float().cpu()

    @torch.no_grad()
    def latents(self, pixels: Tensor) -> Tensor:
        """Scaled mean latents [B, C, h, w] of pictures [B, 3, S, S] in [-1, 1]."""
        x = pixels.to(device=self.device, memory_format=torch.channels_last)
        mean: Tensor = self.vae.encode(x).latent_dist.mean * self.vae.config.scaling_factor
        return mean.float().cpu()

    @torch.no_grad()
    def pixels(self, latents: Tensor) -> Tensor:
        """Pictures [B, 3, S, S] in [-1, 1] of scaled latents."""
        decoded: Tensor = self.vae.decode(latents.to(self.device) / self.vae.config.scaling_factor).sample
        return decoded.float().cpu().clamp(-1, 1)


def _statistics(vision: Path) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and deviation from the processor beside the encoder, or those of the published CLIP encoders."""
    for path in (vision, vision.parent / "feature_extractor", vision.parent / "image_processor"):
        file = path / "preprocessor_config.json"
        if file.is_file():
            config = json.loads(file.read_text())
            return tuple(config["image_mean"]), tuple(config["image_std"])
    return PUBLISHED_MEAN, PUBLISHED_STD
