"""The plain baseline: text-guided blended-latent inpainting on any SD 1.x backbone, with 4 or 9 input channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from einops import repeat
from torch import Tensor

from faceedit.editors.base import Trajectory
from faceedit.editors.blended_editor import BlendedEditor
from faceedit.models.stable_diffusion import StableDiffusion
from faceedit.request import EditText


@dataclass(frozen=True)
class UnetPredictor:
    """The UNet alone.

    Attributes:
        backbone: whose UNet predicts.
        extra: mask and masked-picture latents [1, 5, h, w] for a 9-channel UNet, or `None`.
    """

    backbone: StableDiffusion
    extra: Tensor | None
    maps: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def text_net(self) -> Any:
        """The UNet."""
        return self.backbone.unet

    def __call__(self, z: Tensor, t: Tensor, text: Tensor) -> Tensor:
        """ε, as `NoisePredictor` says."""
        extra = None if self.extra is None else repeat(self.extra, "1 c h w -> b c h w", b=len(z))
        return self.backbone.predict_noise(z, t, text, extra)


class InpaintEditor(BlendedEditor[UnetPredictor]):
    """Blended Latent Diffusion with nothing but the backbone."""

    def predictor(
        self,
        trajectory: Trajectory,
        edit: EditText,  # noqa: ARG002 - the words reach the UNet by its text features alone
        pixel_mask: Tensor,
        mask: Tensor,
    ) -> UnetPredictor:
        """The UNet, with the mask and the picture around it where it has channels for them."""
        return UnetPredictor(self.backbone, self._inpainting_channels(trajectory, pixel_mask, mask))

    def source_predictor(self, predict: UnetPredictor, trajectory: Trajectory) -> UnetPredictor:  # noqa: ARG002
        """The same with nothing masked."""
        z0, pixels = trajectory.latents, trajectory.pixels
        nothing = torch.zeros_like(pixels[:, :1]), torch.zeros_like(z0[:, :1])
        return UnetPredictor(self.backbone, self._inpainting_channels(trajectory, *nothing))

    def _inpainting_channels(self, trajectory: Trajectory, pixel_mask: Tensor, mask: Tensor) -> Tensor | None:
        """Mask and masked-picture latents [1, 5, h, w] in the order of the published 9-channel checkpoint."""
        if self.backbone.unet.config.in_channels == self.backbone.vae.config.latent_channels:
            return None
        masked = self.backbone.encode_image(trajectory.pixels * (pixel_mask < 0.5))
        return torch.cat([mask, masked], dim=1)
