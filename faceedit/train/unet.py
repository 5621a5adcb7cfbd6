"""Objective: a text-to-image latent diffusion UNet, its cross-attention grounded in the known regions."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from faceedit.attention.capture import capture_cross_attention
from faceedit.train.data import PortraitCache, batch_rng, shuffled
from faceedit.train.grounding import grounding_loss, phrase_tokens, pointing_hits, token_masks, tokenised
from faceedit.train.latents import cache_latents, load_vae
from faceedit.train.loop import Batch, Evaluation, Modules
from faceedit.train.phrases import Caption, attributes_of, draw_caption
from faceedit.train.settings import UnetSettings
from faceedit.train.tensors import to_pixels
from faceedit.train.tokenizer import load_tokenizer

SCHEDULE = {"num_train_timesteps": 1000, "beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
# How many attributes a caption tells, and how often: edits speak of one or two.
CAPTION_SIZES = (0,) * 2 + (1,) * 9 + (2,) * 5 + (4,) * 3 + (7,)
POINTING_STEP = 400
CACHED_SENTENCES, TEXT_GROUP = 6000, 8
SHEET_PROMPTS = (
    "a person with rosy cheeks", "a person with red lipstick", "a person with sunglasses", "a person without glasses",
    "a person with blond hair", "a person with a full beard", "a person with blue eyes", "a person with a beanie",
)  # fmt: skip
SHEET_STEPS, SHEET_GUIDANCE = 20, 4.0


def make_unet(settings: UnetSettings, side: int, latent_channels: int, text_width: int) -> Any:
    """A fresh `UNet2DConditionModel`; `settings.cross_attention` says which levels look at the text."""
    from diffusers import UNet2DConditionModel

    looks = settings.cross_attention
    return UNet2DConditionModel(
        sample_size=side,
        in_channels=latent_channels,
        out_channels=latent_channels,
        block_out_channels=tuple(settings.channels),
        layers_per_block=settings.layers,
        down_block_types=tuple("CrossAttnDownBlock2D" if look else "DownBlock2D" for look in looks),
        up_block_types=tuple("CrossAttnUpBlock2D" if look else "UpBlock2D" for look in reversed(looks)),
        cross_attention_dim=text_width,
        attention_head_dim=settings.heads,
    )


class UnetObjective:
    """Noise prediction (DDPM, Ho et al. 2020, eq. 14), min-SNR weights, text dropout, grounded cross-attention."""

    name = "unet"

    def __init__(self, settings: UnetSettings, portraits: PortraitCache, validation: PortraitCache) -> None:
        from diffusers import DDIMScheduler
        from transformers import CLIPTextModelWithProjection

        self.settings, self.portraits, self.validation = settings, portraits, validation
        self.seed = settings.loop.seed
        self.tokenizer = load_tokenizer(Path(settings.clip) / "tokenizer")
        text = CLIPTextModelWithProjection.from_pretrained(Path(settings.clip) / "text_encoder", use_safetensors=True)
        self.text = text.requires_grad_(False).eval()
        self.vae = load_vae(Path(settings.vae))
        latents = Path(settings.latents)
        self.latents = cache_latents(portraits, Path(settings.vae), latents.with_suffix(".npy"))
        beside = latents.with_name(f"{latents.name}-validation.npy")
        self.validation_latents = cache_latents(validation, Path(settings.vae), beside)
        self.scheduler = DDIMScheduler(**SCHEDULE, clip_sample=False, set_alpha_to_one=False, steps_offset=1)
        self.alphas: Tensor = self.scheduler.alphas_cumprod
        self._sentences: OrderedDict[str, Tensor] = OrderedDict()

    def build(self) -> dict[str, nn.Module]:
        if self.settings.start_from:
            from diffusers import UNet2DConditionModel

            return {"unet": UNet2DConditionModel.from_pretrained(self.settings.start_from, use_safetensors=True)}
        _, _, channels, side, _ = self.latents.shape
        return {"unet": make_unet(self.settings, side, channels, self.text.config.hidden_size)}

    def batch(self, index: int) -> Batch:
        """`noisy`, `noise` [B, C, h, w]; `timestep` [B]; `text` [B, L, D]; the rest as `token_masks` gives it."""
        settings, size = self.settings, self.settings.loop.batch
        rng = batch_rng(self.seed, index)
        rows = shuffled(len(self.portraits), size, index, self.seed)
        mirrored = rng.random(size) < 0.5 if settings.flip else np.zeros(size, bool)
        clean = torch.from_numpy(self.latents[rows, mirrored.astype(int)].astype(np.float32))
        masks = np.where(
            mirrored[:, None, None, None], self.portraits.masks[rows][..., ::-1], self.portraits.masks[rows]
        )
        captions = [
            draw_caption(self.portraits.attributes[row], rng, CAPTION_SIZES, always=None, plain=0.6) for row in rows
        ]
        dropped = rng.random(size) < settings.text_dropout
        captions = [Caption("", ()) if gone else c for gone, c in zip(dropped, captions, strict=True)]
        noise = torch.from_numpy(rng.standard_normal(clean.shape, np.float32))
        timestep = torch.from_numpy(rng.integers(0, len(self.alphas), size))
        row, position, mask = self._grounding(captions, self.portraits, rows, masks)
        return {
            "noisy": self.scheduler.add_noise(clean, noise, timestep),
            "noise": noise,
            "timestep": timestep,
            "text": self._features([c.text for c in captions]),
            "row": row,
            "position": position,
            "mask": mask,
        }

    def loss(self, modules: Modules, batch: Batch, _step: int) -> tuple[Tensor, dict[str, Tensor]]:
        unet: Any = modules["unet"]
        sides = self.settings.grounding_sizes if self.settings.grounding else ()
        with capture_cross_attention(unet, sides) as captured:
            predicted = unet(batch["noisy"], batch["timestep"], batch["text"]).sample
        error = (predicted - batch["noise"]).square().mean((1, 2, 3))
        parts = {"noise": error.mean()}
        total = (error * self._snr_weight(batch["timestep"])).mean()
        if self.settings.grounding:
            parts["grounding"] = grounding_loss(captured, batch["row"], batch["position"], batch["mask"], sides)
            total = total + self.settings.grounding * parts["grounding"]
        return total, {name: part.detach() for name, part in parts.items()}

    def evaluate(self, modules: Modules) -> Evaluation:
        """Noise error and pointing game on validation seeds, and a sheet of portraits drawn from text alone."""
        unet: Any = modules["unet"]
        device = next(unet.parameters()).device
        errors, hits, shares = [], [], []
        side = self.latents.shape[-1]
        for start in range(0, min(len(self.validation), 192), 64):
            rows = np.arange(start, min(start + 64, len(self.validation)))
            rng = batch_rng(self.seed + 1, start)
            clean = torch.from_numpy(self.validation_latents[rows, 0].astype(np.float32))
            noise = torch.from_numpy(rng.standard_normal(clean.shape, np.float32))
            captions = [draw_caption(self.validation.attributes[row], rng, (1,), plain=0.3) for row in rows]
            text = self._features([c.text for c in captions]).to(device)
            timestep = torch.from_numpy(rng.integers(0, len(self.alphas), len(rows)))
            noisy = self.scheduler.add_noise(clean, noise, timestep)
            predicted = unet(noisy.to(device), timestep.to(device), text).sample.cpu()
            errors.append(float((predicted - noise).square().mean()))
            row, position, mask = self._grounding(captions, self.validation, rows, self.validation.masks[rows])
            noisy = self.scheduler.add_noise(clean, noise, torch.full_like(timestep, POINTING_STEP))
            with capture_cross_attention(unet, {side}) as captured:
                unet(noisy.to(device), torch.full_like(timestep, POINTING_STEP).to(device), text)
            attention = captured.mean(side).cpu()[row, :, position]
            hits.append(pointing_hits(attention, mask))
            shares.append(mask.mean((1, 2)))
        figures = {
            "noise": float(np.mean(errors)),
            "pointing": float(torch.cat(hits).float().mean()),
            "pointing_by_chance": float(torch.cat(shares).mean()),
        }
        return Evaluation(figures, self._sheet(unet))

    def export(self, modules: Modules, folder: Path) -> None:
        """`unet/` and `scheduler/` in diffusers layout."""
        unet: Any = modules["unet"]
        unet.save_pretrained(folder / "unet", safe_serialization=True)
        self.scheduler.save_pretrained(folder / "scheduler")

    def _snr_weight(self, timestep: Tensor) -> Tensor:
        """min(SNR, gamma) / SNR for noise prediction (Hang et al. 2023, sec. 3.4); 1 where gamma is 0."""
        alphas = self.alphas.to(timestep.device)[timestep]
        snr = alphas / (1 - alphas)
        gamma = self.settings.min_snr_gamma
        return snr.clamp(max=gamma) / snr if gamma else torch.ones_like(snr)

    def _grounding(self, captions: list[Caption], portraits: PortraitCache, rows: Any, masks: Any) -> Any:
        _, offsets = tokenised(self.tokenizer, [c.text for c in captions])
        found = [
            phrase_tokens(c, attributes_of(portraits.attributes[row]), offset)
            for c, row, offset in zip(captions, rows, offsets, strict=True)
        ]
        return token_masks(found, masks)

    def _features(self, sentences: list[str]) -> Tensor:
        """Text features [B, max length, D] at the padding that inference uses; short captions recur, so they are kept.

        New ones are encoded in groups of one fixed size, so that their bits do not depend on what was kept before.
        """
        fresh = [s for s in dict.fromkeys(sentences) if s not in self._sentences]
        for start in range(0, len(fresh), TEXT_GROUP):
            group = fresh[start : start + TEXT_GROUP]
            ids, _ = tokenised(self.tokenizer, [*group, *[""] * (TEXT_GROUP - len(group))])
            with torch.no_grad():
                features = self.text(input_ids=ids).last_hidden_state
            self._sentences.update(zip(group, features.half(), strict=False))
        stacked = torch.stack([self._sentences[s] for s in sentences]).float()
        while len(self._sentences) > CACHED_SENTENCES:
            self._sentences.popitem(last=False)
        return stacked

    def _sheet(self, unet: Any) -> Any:
        """DDIM samples of `SHEET_PROMPTS` from fixed noise under classifier-free guidance."""
        device = next(unet.parameters()).device
        text = self._features([*SHEET_PROMPTS, *[""] * len(SHEET_PROMPTS)]).to(device)
        _, _, channels, side, _ = self.latents.shape
        latents = torch.randn((len(SHEET_PROMPTS), channels, side, side), generator=torch.Generator().manual_seed(0))
        latents = latents.to(device)
        self.scheduler.set_timesteps(SHEET_STEPS)
        for t in self.scheduler.timesteps:
            told, untold = unet(torch.cat([latents, latents]), t, text).sample.chunk(2)
            noise = untold + SHEET_GUIDANCE * (told - untold)
            latents = self.scheduler.step(noise, t, latents).prev_sample
        pictures = self.vae.decode(latents.cpu() / self.vae.config.scaling_factor).sample
        return rearrange(to_pixels(F.interpolate(pictures.clamp(-1, 1), scale_factor=2)), "n h w c -> h (n w) c")
