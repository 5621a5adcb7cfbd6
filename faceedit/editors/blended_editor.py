"""What the inpainting editors share: blended latents, guidance away from a sentence, STFG, choice of a candidate."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from einops import rearrange, repeat
from numpy.typing import NDArray
from torch import Tensor

from faceedit.editors.base import Float3, Step, Trajectory, finite
from faceedit.editors.rank import best_by_clip
from faceedit.editors.seam import SeamGuidance
from faceedit.models.stable_diffusion import StableDiffusion, to_model_range
from faceedit.request import EditText
from faceedit.samplers.blended import blended_latents, latent_mask
from faceedit.samplers.ddim import DdimSchedule, ddim_schedule, guided
from faceedit.samplers.inversion import ddim_noise


class NoisePredictor(Protocol):
    """ε under everything that stays the same over the steps of one edit: mask, picture, what the vision encoder saw."""

    @property
    def text_net(self) -> Any:
        """The network whose attention to the text says where its words act."""

    @property
    def maps(self) -> Mapping[str, Tensor]:
        """What it saw in its latest call, by name, float32 [h, w] in [0, 1]."""

    def __call__(self, z: Tensor, t: Tensor, text: Tensor) -> Tensor:
        """ε [B, C, h, w] in float32 of z_t [B, C, h, w] at timestep t (a scalar) under `text` [B, 77, D]."""


P = TypeVar("P", bound=NoisePredictor)


class BlendedEditor(ABC, Generic[P]):
    """Blended Latent Diffusion around a noise predictor; its trajectory is just the encoded latents.

    Args:
        recipe: uses `size`, `sampling` (steps, guidance, strength), `inpaint` and `stfg`.
        components: an SD 1.x backbone; ranking more than one candidate also needs the CLIP vision encoder.
    """

    def __init__(self, recipe: Any, components: Any) -> None:
        self.size: int = recipe.size
        self.sampling = recipe.sampling
        self.options = recipe.inpaint
        self.stfg = recipe.stfg
        self.components = components
        self.backbone = StableDiffusion(components)

    @abstractmethod
    def predictor(self, trajectory: Trajectory, edit: EditText, pixel_mask: Tensor, mask: Tensor) -> P:
        """The noise predictor of one edit, given its mask [1, 1, S, S] and that on the latent grid [1, 1, h, w]."""

    @abstractmethod
    def source_predictor(self, predict: P, trajectory: Trajectory) -> P:
        """The one that the picture is inverted with, where the edit itself has `predict`."""

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
        pixel_mask = rearrange(torch.from_numpy(mask), "h w -> 1 1 h w").to(device)
        m = latent_mask(pixel_mask, (z0.shape[2], z0.shape[3]), self.options.mask_threshold)
        predict = self.predictor(trajectory, edit, pixel_mask, m)
        if inverted:
            noise = self._inverted_noise(self.source_predictor(predict, trajectory), trajectory, schedule)
        text = repeat(backbone.encode_text([self.away(edit), edit.target]), "two n d -> (two k) n d", k=k)
        seam = self._seam(predict, edit, z0, m, k) if self.stfg.enabled else None

        def denoise(z: Tensor, t: Tensor) -> Tensor:
            def both(z: Tensor) -> Tensor:
                uncond, cond = predict(torch.cat([z, z]), t, text).chunk(2)
                return guided(uncond, cond, self.sampling.guidance)

            return both(z) if seam is None else seam(both, z, t)

        z, maps = z0, dict[str, Tensor]()
        for i, z in enumerate(blended_latents(denoise, z0, m, schedule, noise)):
            finite(z, f"step {i + 1}")
            maps = {**predict.maps, **(seam.maps if seam is not None else {})}
            if i + 1 < len(schedule):
                yield Step(i + 1, len(schedule), z, maps)
        best = 0 if k == 1 else best_by_clip(self.components, backbone.decode_image(z), edit)
        yield Step(len(schedule), len(schedule), z[best : best + 1], maps)

    def decode(self, latents: Tensor) -> Float3:
        """The VAE's picture of the latents."""
        image: Float3 = self.backbone.decode_image(latents)[0]
        return image

    def away(self, edit: EditText) -> str:
        """The sentence that guidance leads away from."""
        return edit.negative or (edit.source if self.options.contrast == "source" else "")

    def _seam(self, predict: NoisePredictor, edit: EditText, z0: Tensor, m: Tensor, k: int) -> SeamGuidance:
        tokenizer, config = self.backbone.tokenizer, self.backbone.scheduler_config
        return SeamGuidance(self.stfg, predict.text_net, tokenizer, edit, z0, m, k, config)

    def _inverted_noise(self, predict: NoisePredictor, trajectory: Trajectory, schedule: DdimSchedule) -> Tensor:
        """The noise [1, C, h, w] that DDIM inversion under the source sentence ends in, on the schedule's own steps."""
        text = self.backbone.encode_text([trajectory.source])
        return ddim_noise(lambda z, t: predict(z, t, text), trajectory.latents, schedule)
