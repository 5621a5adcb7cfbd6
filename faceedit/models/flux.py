"""The parts of FLUX.1 behind six calls: text in, picture in, packing and back, velocity, picture out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from einops import rearrange, repeat
from numpy.typing import NDArray
from torch import Tensor

from faceedit.errors import NumericError, UsageError
from faceedit.models.jsonfile import read_config
from faceedit.models.loader import classes_of
from faceedit.models.places import weights_folder
from faceedit.recipe_schema import Weights

# FLUX.1-dev is trained with up to so many tokens of T5.
TEXT_TOKENS = 512


@dataclass(frozen=True)
class FluxText:
    """Encoded sentences, one row each: `tokens` [n, L, D] of T5 and `pooled` [n, P] of CLIP."""

    tokens: Tensor
    pooled: Tensor

    def __getitem__(self, rows: slice | Sequence[int]) -> FluxText:
        """Some of the rows."""
        return FluxText(self.tokens[rows], self.pooled[rows])


class Flux:
    """A FLUX.1 backbone over loaded components; holds no state of any request.

    Args:
        components: needs `vae`, `transformer`, `text_encoder` (CLIP), `tokenizer`, `text_encoder_2` (T5),
            `tokenizer_2` and `scheduler`, all frozen and in eval mode.
        text_tokens: length that T5's sentences are padded to; longer ones are refused.
    """

    def __init__(self, components: Any, text_tokens: int = TEXT_TOKENS) -> None:
        self.vae = components.vae
        self.transformer = components.transformer
        self.text_encoder, self.text_encoder_2 = components.text_encoder, components.text_encoder_2
        self.tokenizer, self.tokenizer_2 = components.tokenizer, components.tokenizer_2
        self.text_tokens = text_tokens
        self.scheduler_config = dict(components.scheduler.config)
        self.device: torch.device = components.device
        self.dtype: torch.dtype = self.transformer.dtype
        config = self.vae.config
        self.scaling_factor = float(config.scaling_factor)
        self.shift_factor = float(config.shift_factor or 0.0)

    def grid(self, side: int) -> tuple[int, int]:
        """As `token_grid`, with this backbone's autoencoder."""
        return token_grid(side, self.vae.config)

    @torch.no_grad()
    def encode_text(self, sentences: Sequence[str]) -> FluxText:
        """Sentences as the transformer takes them, in its dtype.

        T5 reads every token, padding included, as FLUX.1 was trained. CLIP gives one vector for the whole sentence,
        before its projection; it reads 77 tokens and the rest is left out, since T5 carries the words.

        Raises:
            UsageError: a sentence is longer than `text_tokens`; silently dropped words would not be edited.
        """
        limit = self.text_tokens
        for sentence in sentences:
            count = len(self.tokenizer_2(sentence, verbose=False)["input_ids"])
            if count > limit:
                raise UsageError(
                    f"the text encoder reads {limit} tokens and {sentence[:60]!r}… has {count}", "shorten it"
                )
        ids = self._ids(self.tokenizer, sentences, self.tokenizer.model_max_length)
        hidden: Tensor = self.text_encoder(ids).last_hidden_state
        # The feature at the first end token, where the rest is padding with the same token.
        ends = (ids == self.tokenizer.eos_token_id).int().argmax(dim=1)
        pooled = hidden[torch.arange(len(ids), device=hidden.device), ends]
        tokens: Tensor = self.text_encoder_2(self._ids(self.tokenizer_2, sentences, limit)).last_hidden_state
        return FluxText(tokens.to(self.dtype), pooled.to(self.dtype))

    def _ids(self, tokenizer: Any, sentences: Sequence[str], length: int) -> Tensor:
        padded = tokenizer(
            list(sentences), padding="max_length", max_length=length, truncation=True, return_tensors="pt"
        )
        ids: Tensor = padded["input_ids"].to(self.device)
        return ids

    @torch.no_grad()
    def encode_image(self, pixels: Tensor) -> Tensor:
        """Clean scaled latents, float32 [B, C, h, w], of pictures [B, 3, S, S] in [-1, 1]; the mode, not a sample."""
        latents: Tensor = self.vae.encode(pixels.to(self.device, self.vae.dtype)).latent_dist.mode()
        return (latents.float() - self.shift_factor) * self.scaling_factor

    @torch.no_grad()
    def decode_image(self, latents: Tensor) -> NDArray[np.float32]:
        """Pictures, float32 [B, S, S, 3] in [0, 1], of scaled latents [B, C, h, w].

        Raises:
            NumericError: the decoder's answer holds NaN or infinity.
        """
        unscaled = (latents / self.scaling_factor + self.shift_factor).to(self.vae.dtype)
        pixels: Tensor = self.vae.decode(unscaled).sample.float()
        if not torch.isfinite(pixels).all():
            raise NumericError("the decoded picture holds non-finite values", "try --dtype fp32")
        images: NDArray[np.float32] = rearrange((pixels / 2 + 0.5).clamp(0, 1), "b c h w -> b h w c").cpu().numpy()
        return images

    def velocity(
        self,
        z: Tensor,
        t: float | Sequence[float],
        text: FluxText,
        guidance: float | Sequence[float],
        size: tuple[int, int],
    ) -> Tensor:
        """v [B, L, 4C] in float32 of packed latents at time t.

        Args:
            z: float32 [B, L, 4C].
            t: in [0, 1], 0 is the picture; one for all rows, or one for each.
            text: B rows.
            guidance: one for all rows, or one for each; not read by a transformer that was not distilled with it.
            size: rows and columns of tokens, L = rows · columns.
        """
        times, scales = (
            torch.tensor(value, dtype=torch.float32, device=z.device).expand(len(z)) for value in (t, guidance)
        )
        v: Tensor = self.transformer(
            hidden_states=z.to(self.dtype),
            encoder_hidden_states=text.tokens,
            pooled_projections=text.pooled,
            timestep=times,
            guidance=scales if self.transformer.config.guidance_embeds else None,
            img_ids=image_ids(size, z.device),
            txt_ids=torch.zeros((text.tokens.shape[1], 3), device=z.device),
            return_dict=False,
        )[0]
        return v.float()


def token_grid(side: int, autoencoder: Mapping[str, Any]) -> tuple[int, int]:
    """Rows and columns of image tokens for a square picture; each is 2 x 2 cells of the latents.

    Args:
        side: S, in pixels.
        autoencoder: its configuration.

    Raises:
        UsageError: S is no whole number of tokens.
    """
    pixels: int = 2 ** len(autoencoder["block_out_channels"])
    if side < pixels or side % pixels:
        near = max(1, round(side / pixels)) * pixels
        raise UsageError(f"size must be a multiple of {pixels} pixels, not {side}", f"set size={near}")
    return side // pixels, side // pixels


def require_size(weights: Weights, side: int) -> None:
    """Hold S against the autoencoder's configuration before anything is loaded.

    Raises:
        UsageError: as `token_grid`.
        WeightsError: the weights are not there.
    """
    if weights.kind != "random":
        folder = classes_of(weights_folder(weights, hashes=False), weights.folders)["vae"][0]
        token_grid(side, read_config(folder / "config.json"))


def pack(latents: Tensor) -> Tensor:
    """Latents [B, C, h, w] as tokens [B, (h/2)(w/2), 4C], row by row, one for each 2 x 2 cells."""
    return rearrange(latents, "b c (h p) (w q) -> b (h w) (c p q)", p=2, q=2)


def unpack(tokens: Tensor, size: tuple[int, int]) -> Tensor:
    """Tokens [B, L, 4C] as latents [B, C, h, w]; `size` = (h/2, w/2) are the rows and columns of tokens."""
    return rearrange(tokens, "b (h w) (c p q) -> b c (h p) (w q)", h=size[0], w=size[1], p=2, q=2)


def image_ids(size: tuple[int, int], device: torch.device) -> Tensor:
    """Places of the image tokens for the rotary embedding, float32 [L, 3]: 0, row, column, in the order of `pack`."""
    rows, columns = (torch.arange(n, dtype=torch.float32, device=device) for n in size)
    row, column = repeat(rows, "h -> (h w)", w=size[1]), repeat(columns, "w -> (h w)", h=size[0])
    return torch.stack([torch.zeros_like(row), row, column], dim=1)
