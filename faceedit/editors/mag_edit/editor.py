"""MAG-Edit (Mao et al., "MAG-Edit: Localized Image Editing in Complex Scenarios"): algorithm 1 over all steps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from faceedit.editors.base import Float3, Step, Trajectory, finite
from faceedit.editors.mag_edit.branches import Branches, Texts
from faceedit.editors.mag_edit.edit_words import edit_words
from faceedit.editors.mag_edit.guidance import dilated, guide, step_size
from faceedit.editors.mag_edit.plan import MagPlan, phrase_shares, plan_edit
from faceedit.editors.mag_edit.trajectory import MagTrajectory, invert_portrait, trajectory_settings
from faceedit.errors import NothingToEditError, UsageError
from faceedit.models.stable_diffusion import StableDiffusion, to_model_range
from faceedit.request import EditText
from faceedit.samplers.blended import latent_mask
from faceedit.samplers.ddim import DdimSchedule, ddim_schedule, ddim_step, guided


class MagEditor:
    """An inverted portrait, edited beside its own reconstruction; nothing in it is random.

    Args:
        recipe: uses `size`, `sampling` (steps, guidance, strength) and `mag_edit`.
        components: an SD 1.x backbone with a 4-channel UNet, in fp32 or bf16.

    Raises:
        UsageError: fp16, in which the gradient through the UNet is lost, or an inpainting UNet.
    """

    def __init__(self, recipe: Any, components: Any) -> None:
        self.components = components
        self.size: int = recipe.size
        self.sampling = recipe.sampling
        self.options = recipe.mag_edit
        self.backbone = StableDiffusion(components)
        if self.backbone.dtype == torch.float16:
            raise UsageError("MAG-Edit takes gradients through the UNet, which fp16 loses", "use --dtype fp32 or bf16")
        if self.backbone.unet.config.in_channels != self.backbone.vae.config.latent_channels:
            raise UsageError("MAG-Edit inverts the picture, which an inpainting UNet cannot", "use a 4-channel UNet")

    @property
    def schedule(self) -> DdimSchedule:
        """The T steps of inversion and editing."""
        return ddim_schedule(self.backbone.scheduler_config, self.sampling.steps)

    @property
    def inversion(self) -> str:
        """The inversion that the recipe names, or the one that `auto` stands for."""
        return "direct" if self.options.inversion == "auto" else str(self.options.inversion)

    def invert(self, pixels: Float3, source: str) -> MagTrajectory:
        """Bring the crop into the noise; the trajectory serves any number of edits."""
        return invert_portrait(self.backbone, pixels, source, self.schedule, self.inversion, self.sampling.guidance)

    def encode(self, pixels: Float3, source: str) -> Trajectory:
        """As in `Encodes`."""
        batch = to_model_range(pixels).to(self.backbone.device)
        return Trajectory(batch, finite(self.backbone.encode_image(batch), "the encoded picture"), source)

    def trajectory_settings(self) -> Mapping[str, Any]:
        """As in `KeepsTrajectories`."""
        return trajectory_settings(self.backbone, self.schedule, self.inversion, self.sampling.guidance)

    def restore(self, tensors: Mapping[str, Tensor], texts: Mapping[str, str]) -> MagTrajectory:
        """As in `KeepsTrajectories`."""
        return MagTrajectory.from_tensors(tensors, texts, self.backbone.device)

    @torch.no_grad()
    def edit(
        self,
        trajectory: Trajectory,
        edit: EditText,
        mask: NDArray[np.float32],
        generator: torch.Generator,  # noqa: ARG002 - nothing here is random
    ) -> Iterator[Step]:
        """Algorithm 1 at each step, then the blend with the reconstruction over the last ones.

        `Step.maps` holds "attention", the mean map of the edit's words, while they are read.

        Raises:
            NothingToEditError: the mask is empty.
            NumericError: a gradient or latents that are not finite.
            UsageError: words that cannot be found, sentences too long or that say the same, a trajectory of another
                number of steps.
        """
        known = cast(MagTrajectory, trajectory)
        schedule = self.schedule
        if len(known.chain) != len(schedule) + 1:
            raise UsageError(f"the trajectory has {len(known.chain) - 1} steps, not {len(schedule)}", "invert again")
        if not mask.any():
            raise NothingToEditError("the mask is empty", "choose a larger region")
        pixel_mask = rearrange(torch.from_numpy(mask), "h w -> 1 1 h w").to(known.chain.device).clamp(0, 1)
        plan = plan_edit(self.options, len(schedule), self.sampling.strength, edit.phrases)
        branches = self._branches(known, edit, pixel_mask, plan)
        m = latent_mask(pixel_mask, (known.chain.shape[-2], known.chain.shape[-1]), 0.5)
        wide = dilated(m)
        z = source = known.chain[0]
        for i, t in enumerate(schedule.timesteps):
            alpha_bar, alpha_bar_next = schedule.alpha_bar[i], schedule.alpha_bar[i + 1]
            branches.seen = None
            with branches.control.installed():
                maps = branches.reconstruction(i, source, t)
                if i < plan.guided_until:
                    gradient = branches.gradient_at(i, source, t, maps)
                    z = guide(z, gradient, m, step_size(plan.constraint, alpha_bar), plan.iterations)
                eps = branches.predict(i, z, t, self._null(known, branches.texts, i), maps, self.sampling.guidance)
            z = ddim_step(z, eps, alpha_bar, alpha_bar_next)
            source = self._reconstructed(known, branches, source, i, schedule)
            if i >= plan.blend_from:
                z = wide * z + (1 - wide) * source
            seen: Mapping[str, Tensor] = {} if branches.seen is None else {"attention": branches.seen}
            yield Step(i + 1, len(schedule), finite(z, f"step {i + 1}"), seen)

    def decode(self, latents: Tensor) -> Float3:
        """The VAE's picture of the latents."""
        image: Float3 = self.backbone.decode_image(latents)[0]
        return image

    def _branches(self, trajectory: MagTrajectory, edit: EditText, mask: Tensor, plan: MagPlan) -> Branches:
        options = self.options
        shares = phrase_shares(options.shares, len(edit.phrases))
        words = edit_words(self.backbone.tokenizer, edit, shares, options.negative, options.negative_prompt)
        encoded = self.backbone.encode_text([edit.source, edit.target, words.negative])
        texts = Texts(*(encoded[k : k + 1] for k in range(3)))
        null = self._null(trajectory, texts, 0) if len(trajectory.null) == 1 else None
        return Branches(self.backbone, texts, null, words, plan, mask, options)

    def _null(self, trajectory: MagTrajectory, texts: Texts, i: int) -> Tensor:
        """What guidance leads away from at a step, [1, 77, D]."""
        if trajectory.inversion == "direct" and self.options.contrast == "source":
            return texts.source
        return trajectory.null_at(i).to(self.backbone.dtype)

    def _reconstructed(
        self, trajectory: MagTrajectory, branches: Branches, source: Tensor, i: int, schedule: DdimSchedule
    ) -> Tensor:
        """The reconstruction's latents after step `i`: of its chain, or, the plain way, by its own guided step."""
        if trajectory.inversion == "direct" or not branches.plain:
            return trajectory.chain[i + 1]
        t = schedule.timesteps[i]
        cond = self.backbone.predict_noise(source, t, branches.texts.source)
        uncond = self.backbone.predict_noise(source, t, trajectory.null_at(i).to(self.backbone.dtype))
        eps = guided(uncond, cond, self.sampling.guidance)
        return ddim_step(source, eps, schedule.alpha_bar[i], schedule.alpha_bar[i + 1])
