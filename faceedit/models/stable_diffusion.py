"""The parts of Stable Diffusion 1.x behind four calls: text in, picture in, noise prediction, picture out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from faceedit.errors import NumericError, UsageError


class StableDiffusion:
    """An SD 1.x backbone over loaded components; holds no state of any request.

    Args:
        components: needs `vae`, `unet`, `text_encoder`, `tokenizer`, `scheduler`, all frozen and in eval mode.
    """

    def __init__(self, components: Any) -> None:
        self.vae = components.vae
        self.unet = components.unet
        self.text_encoder = components.text_encoder
        self.tokenizer = components.tokenizer
        self.scheduler_config = dict(components.scheduler.config)
        self.device: torch.device = components.device
        self.dtype = next(self.unet.parameters()).dtype
        self.vae_dtype = next(self.vae.parameters()).dtype
        self.scaling_factor = float(self.vae.config.scaling_factor)

    @torch.no_grad()
    def encode_text(self, sentences: Sequence[str]) -> Tensor:
        """Token features [B, 77, D] of sentences, in the UNet's dtype.

        Raises:
            UsageError: a sentence is longer than the encoder reads; silently dropped words would not be edited.
        """
        limit = self.tokenizer.model_max_length
        for sentence in sentences:
            count = len(self.tokenizer(sentence, verbose=False)["input_ids"])
            if count > limit:
                raise UsageError(
                    f"the text encoder reads {limit} tokens and {sentence[:60]!r}… has {count}", "shorten it"
                )
        ids = self.tokenizer(list(sentences), padding="max_length", max_length=limit, return_tensors="pt")["input_ids"]
        hidden: Tensor = self.text_encoder(ids.to(self.device)).last_hidden_state
        return hidden.to(self.dtype)

    @torch.no_grad()
    def encode_image(self, pixels: Tensor) -> Tensor:
        """Clean scaled latents, float32 [B, C, h, w], of pictures [B, 3, S, S] in [-1, 1]; the mode, not a sample."""
        latents: Tensor = self.vae.encode(pixels.to(self.device, self.vae_dtype)).latent_dist.mode()
        return latents.float() * self.scaling_factor

    @torch.no_grad()
    def decode_image(self, latents: Tensor) -> NDArray[np.float32]:
        """Pictures, float32 [B, S, S, 3] in [0, 1], of scaled latents [B, C, h, w].

        Raises:
            NumericError: the decoder's answer holds NaN or infinity.
        """
        pixels: Tensor = self.vae.decode((latents / self.scaling_factor).to(self.vae_dtype)).sample.float()
        if not torch.isfinite(pixels).all():
            raise NumericError("the decoded picture holds non-finite values", "try --dtype fp32")
        images: NDArray[np.float32] = rearrange((pixels / 2 + 0.5).clamp(0, 1), "b c h w -> b h w c").cpu().numpy()
        return images

    def predict_noise(self, z: Tensor, t: Tensor, text: Tensor, extra: Tensor | None = None) -> Tensor:
        """ε [B, 4, h, w] in float32 of noisy latents z [B, 4, h, w] at timestep t (scalar) under `text` [B, 77, D].

        `extra` [B, 5, h, w] holds mask and masked-picture latents for a 9-channel inpainting UNet.
        """
        sample = z if extra is None else torch.cat([z, extra], dim=1)
        eps: Tensor = self.unet(sample.to(self.dtype), t, encoder_hidden_states=text).sample
        return eps.float()


def to_model_range(pixels: NDArray[np.float32]) -> Tensor:
    """A picture, float32 [S, S, 3] in [0, 1], as a batch of one, float32 [1, 3, S, S] in [-1, 1]."""
    return rearrange(torch.from_numpy(np.ascontiguousarray(pixels)), "h w c -> 1 c h w") * 2 - 1
