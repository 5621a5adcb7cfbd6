"""Objective: an `AutoencoderKL` that keeps eyes and lips sharp."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from faceedit.train.data import PortraitCache, batch_rng, batches, shuffled
from faceedit.train.loop import Batch, Evaluation, Modules
from faceedit.train.settings import VaeSettings
from faceedit.train.tensors import region_union, to_pixels, to_tensor

DETAILS = ("eyes", "pupils", "lips", "eyebrows")
SHEET_PORTRAITS = 8


def make_vae(settings: VaeSettings) -> Any:
    """A fresh `AutoencoderKL` of the settings' size; the latents are 2^(levels - 1) times smaller than the picture."""
    from diffusers import AutoencoderKL

    levels = len(settings.channels)
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * levels,
        up_block_types=("UpDecoderBlock2D",) * levels,
        block_out_channels=tuple(settings.channels),
        layers_per_block=settings.layers,
        latent_channels=settings.latent_channels,
        norm_num_groups=settings.groups,
        sample_size=settings.data.size,
    )


def patch_discriminator(width: int = 48) -> nn.Module:
    """Patch discriminator (Isola et al. 2017, sec. 3.2.2) for [B, 3, H, W] in [-1, 1]: one logit per 16 px patch."""
    layers: list[nn.Module] = []
    for source, target, stride in ((3, width, 2), (width, 2 * width, 2), (2 * width, 2 * width, 1)):
        layers += [nn.utils.parametrizations.spectral_norm(nn.Conv2d(source, target, 4, stride, 1)), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers, nn.Conv2d(2 * width, 1, 3, 1, 1))


def gradient_difference(a: Tensor, b: Tensor) -> Tensor:
    """|d(a - b)| over both axes, [B, C, H, W], edges repeated; what blur leaves (Mathieu et al. 2016, eq. 6)."""
    difference = a - b
    across = F.pad(difference[..., :, 1:] - difference[..., :, :-1], (0, 1))
    down = F.pad(difference[..., 1:, :] - difference[..., :-1, :], (0, 0, 0, 1))
    return across.abs() + down.abs()


class VaeObjective:
    """L1 + gradient + pooled L1 + a small KL, heavier on eyes and lips; optional judge features and discriminator."""

    name = "vae"

    def __init__(self, settings: VaeSettings, portraits: PortraitCache, validation: PortraitCache) -> None:
        self.settings, self.portraits, self.validation = settings, portraits, validation
        self.seed = settings.loop.seed

    def build(self) -> dict[str, nn.Module]:
        if self.settings.start_from:
            from diffusers import AutoencoderKL

            vae = AutoencoderKL.from_pretrained(self.settings.start_from, use_safetensors=True)
        else:
            vae = make_vae(self.settings)
        for part in (vae.encoder, vae.quant_conv):
            part.requires_grad_(not self.settings.freeze_encoder)
        modules = {"vae": vae}
        if self.settings.loss.adversarial:
            modules["discriminator"] = patch_discriminator()
        return modules

    def batch(self, index: int) -> Batch:
        """`image` [B, 3, S, S] in [-1, 1], mirrored and brightened at random; `weight` [B, 1, S, S]; `seed` []."""
        rows = shuffled(len(self.portraits), self.settings.loop.batch, index, self.seed)
        rng = batch_rng(self.seed, index)
        image = to_tensor(self.portraits.images[rows])
        detail = region_union(self.portraits.masks[rows], DETAILS)
        mirrored = torch.from_numpy(rng.random(len(rows)) < 0.5)[:, None, None, None]
        gain = 1 + self.settings.brightness_jitter * torch.from_numpy(rng.uniform(-1, 1, len(rows))).float()
        image = torch.where(mirrored, image.flip(-1), image)
        image = ((image + 1) * gain[:, None, None, None]).clamp(0, 2) - 1
        detail = torch.where(mirrored, detail.flip(-1), detail)
        detail = F.interpolate(detail, size=image.shape[-2:], mode="bilinear")
        return {
            "image": image,
            "weight": 1 + (self.settings.loss.detail - 1) * detail,
            "seed": torch.tensor(int(rng.integers(2**31))),
        }

    def loss(self, modules: Modules, batch: Batch, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        weights, image, weight = self.settings.loss, batch["image"], batch["weight"]
        vae: Any = modules["vae"]
        posterior = vae.encode(image).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=torch.Generator().manual_seed(int(batch["seed"])))
        latents = posterior.mean + posterior.std * noise.to(image.device)
        decoded = vae.decode(latents).sample
        parts = {
            "l1": ((decoded - image).abs() * weight).mean(),
            "gradient": (gradient_difference(decoded, image) * weight).mean(),
            "pooled": sum((F.avg_pool2d(decoded, k) - F.avg_pool2d(image, k)).abs().mean() for k in (2, 4)),
            "kl": posterior.kl().mean(),
        }
        total = (
            parts["l1"]
            + weights.gradient * parts["gradient"]
            + weights.pooled * parts["pooled"]
            + weights.kl * parts["kl"]
        )
        if weights.perceptual:
            parts["perceptual"] = self._perceptual(decoded, image)
            total = total + weights.perceptual * parts["perceptual"]
        if weights.adversarial:
            adversary = self._adversarial(modules["discriminator"], decoded, image, step)
            total = total + weights.adversarial * adversary["generator"] + adversary["discriminator"]
            parts |= adversary
        return total, {name: part.detach() for name, part in parts.items()}

    def evaluate(self, modules: Modules) -> Evaluation:
        """PSNR over the picture, inside the face and inside eyes and lips, in dB, on validation seeds."""
        vae: Any = modules["vae"]
        device = next(vae.parameters()).device
        errors: dict[str, list[float]] = {"psnr": [], "psnr_face": [], "psnr_detail": []}
        shown: list[Tensor] = []
        for rows in batches(min(len(self.validation), 256), 32):
            image = to_tensor(self.validation.images[rows])
            decoded = vae.decode(vae.encode(image.to(device)).latent_dist.mean).sample.cpu().clamp(-1, 1)
            error = ((decoded - image) / 2).square().mean(1, keepdim=True)
            masks = self.validation.masks[rows]
            face, detail = region_union(masks, ["face_shape"]), region_union(masks, DETAILS)
            areas = {
                "psnr": torch.ones_like(error),
                "psnr_face": F.interpolate(face, size=error.shape[-2:], mode="bilinear"),
                "psnr_detail": F.interpolate(detail, size=error.shape[-2:], mode="bilinear"),
            }
            for name, area in areas.items():
                size = area.sum((1, 2, 3))
                mse = (error * area).sum((1, 2, 3))[size > 1] / size[size > 1]
                errors[name] += (-10 * mse.clamp(min=1e-10).log10()).tolist()
            if not shown:
                shown = [image[:SHEET_PORTRAITS], decoded[:SHEET_PORTRAITS]]
        pixels = rearrange(to_pixels(torch.cat(shown)), "(r n) h w c -> (r h) (n w) c", r=2)
        return Evaluation(
            {name: float(np.mean(values)) for name, values in errors.items()}, pixels.repeat(3, 0).repeat(3, 1)
        )

    def export(self, modules: Modules, folder: Path) -> None:
        """diffusers layout; `scaling_factor` is 1 / (standard deviation of the validation latents), as in LDM."""
        vae: Any = modules["vae"]
        device = next(vae.parameters()).device
        means = [
            vae.encode(to_tensor(self.validation.images[rows]).to(device)).latent_dist.mean
            for rows in batches(min(len(self.validation), 256), 32)
        ]
        vae.register_to_config(scaling_factor=round(float(1 / torch.cat(means).std()), 5))
        vae.save_pretrained(folder, safe_serialization=True)

    @cached_property
    def _judge(self) -> Any:
        from faceedit.evaluate.judge import load_judge

        return load_judge(Path(str(self.settings.loss.judge))).requires_grad_(False).eval()

    def _perceptual(self, decoded: Tensor, image: Tensor) -> Tensor:
        """Distance of channel-normalised judge features over all levels (Zhang et al. 2018, eq. 1, uniform weights)."""
        judge = self._judge.to(image.device)
        with torch.no_grad():
            truth = judge.features(image)
        distances = [
            (F.normalize(a, dim=1) - F.normalize(b, dim=1)).square().sum(1).mean()
            for a, b in zip(judge.features(decoded), truth, strict=True)
        ]
        return torch.stack(distances).mean()

    def _adversarial(self, discriminator: nn.Module, decoded: Tensor, image: Tensor, step: int) -> dict[str, Tensor]:
        """Hinge losses; the generator's passes through fixed copies, so that one backward pass serves both."""
        fixed = {name: p.detach() for name, p in discriminator.named_parameters()}
        real, fake = discriminator(image), discriminator(decoded.detach())
        trick: Any = torch.func.functional_call(discriminator, fixed, (decoded,))
        active = float(step >= self.settings.loss.adversarial_start)
        return {
            "generator": -active * trick.mean(),
            "discriminator": 0.5 * (F.relu(1 - real).mean() + F.relu(1 + fake).mean()),
        }
