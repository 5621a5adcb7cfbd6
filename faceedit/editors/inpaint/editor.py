"""The plain baseline: text-guided blended-latent inpainting on any SD 1.x backbone, with 4 or 9 input channels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from einops import rearrange, repeat
from numpy.typing import NDArray
from torch import Tensor

from faceedit.editors.base import Float3, Step, Trajectory, finite
from faceedit.editors.inpaint.blended import blended_latents, latent_mask
from faceedit.editors.rank import best_by_clip
from faceedit.models.stable_diffusion import StableDiffusion, to_model_range
from faceedit.request import EditText
from faceedit.samplers.ddim import DdimSchedule, ddim_schedule, guided
from faceedit.samplers.inversion import ddim_noise


class InpaintEditor:
    """Blended Latent Diffusion; its trajectory is just the encoded latents.

    Args:
        recipe: uses `size`, `sampling` (steps, guidance, strength) and `inpaint` (candidates, mask_threshold).
        components: an SD 1.x backbone; ranking more than one candidate also needs the CLIP vision encoder.
    """

    def __init__(self, recipe: Any, components: Any) -> None:
        self.size: int = recipe.size
        self.sampling = recipe.sampling
        self.options = recipe.inpaint
        self.components = components
        self.backbone = StableDiffusion(components)

    def invert(self, pixels: Float3, source: str) -> Trajectory:
        """Encode the crop; nothing is inverted."""
        batch = to_model_range(pixels).to(self.backbone.device)
        return Trajectory(batch, finite(self.backbone.encode_image(batch), "the encoded picture"), source)

    @torch.no_grad()
    def edit(
        self, trajectory: Trajectory, edit: EditText, mask: NDArray[np.float32], generator: torch.Generator
    ) -> Iterator[Step]:
        """Blended latent diffusion from the target sentence, away from the negative one."""
        backbone, z0 = self.backbone, trajectory.latents
        device = z0.device
        inverted = self.options.noise == "inverted"
        k = 1 if inverted else self.options.candidates
        schedule = ddim_schedule(backbone.scheduler_config, self.sampling.steps)
        # Strength is the share of the noise range that is run: 1 starts from almost pure noise.
        schedule = schedule.after(len(schedule) - max(1, round(len(schedule) * self.sampling.strength)))
        noise = torch.randn((k, *z0.shape[1:]), generator=generator).to(device)
        if inverted:
            noise = self._inverted_noise(trajectory, schedule)
        pixel_mask = rearrange(torch.from_numpy(mask), "h w -> 1 1 h w").to(device)
        m = latent_mask(pixel_mask, (z0.shape[2], z0.shape[3]), self.options.mask_threshold)
        away = edit.negative or (edit.source if self.options.contrast == "source" else "")
        text = repeat(backbone.encode_text([away, edit.target]), "two n d -> (two k) n d", k=k)
        extra = self._inpainting_channels(trajectory, pixel_mask, 2 * k, m)

        def denoise(z: Tensor, t: Tensor) -> Tensor:
            eps = backbone.predict_noise(torch.cat([z, z]), t, text, extra)
            uncond, cond = eps.chunk(2)
            return guided(uncond, cond, self.sampling.guidance)

        z = z0
        for i, z in enumerate(blended_latents(denoise, z0, m, schedule, noise)):
            finite(z, f"step {i + 1}")
            if i + 1 < len(schedule):
                yield Step(i + 1, len(schedule), z)
        best = 0 if k == 1 else best_by_clip(self.components, backbone.decode_image(z), edit)
        yield Step(len(schedule), len(schedule), z[best : best + 1])

    def decode(self, latents: Tensor) -> Float3:
        """The VAE's picture of the latents."""
        image: Float3 = self.backbone.decode_image(latents)[0]
        return image

    def _inverted_noise(self, trajectory: Trajectory, schedule: DdimSchedule) -> Tensor:
        """The noise [1, C, h, w] that DDIM inversion under the source sentence ends in, on the schedule's own steps."""
        text = self.backbone.encode_text([trajectory.source])
        extra = self._inpainting_channels(trajectory, torch.zeros_like(trajectory.pixels[:, :1]), 1)
        return ddim_noise(lambda z, t: self.backbone.predict_noise(z, t, text, extra), trajectory.latents, schedule)

    def _inpainting_channels(
        self, trajectory: Trajectory, pixel_mask: Tensor, rows: int, m: Tensor | None = None
    ) -> Tensor | None:
        """Mask and masked-picture latents [rows, 5, h, w] in the order of the published 9-channel checkpoint."""
        if self.backbone.unet.config.in_channels == self.backbone.vae.config.latent_channels:
            return None
        masked = self.backbone.encode_image(trajectory.pixels * (pixel_mask < 0.5))
        if m is None:
            m = torch.zeros_like(masked[:, :1])
        return repeat(torch.cat([m, masked], dim=1), "1 c h w -> r c h w", r=rows)
