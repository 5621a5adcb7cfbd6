"""Objective: CA-Edit's reference net and causality-aware condition adapter, on a frozen text-to-image backbone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from faceedit.attention.ca2 import condition_adapter
from faceedit.models.condition_adapter import ConditionAdapter
from faceedit.models.reference_net import ReferenceNet
from faceedit.models.residual_unet import predict_with_residuals
from faceedit.samplers.blended import blended_latents, latent_mask
from faceedit.samplers.ddim import ddim_schedule, guided
from faceedit.train.data import batch_rng, shuffled
from faceedit.train.frozen import FrozenEncoders
from faceedit.train.loop import Batch, Evaluation, Modules
from faceedit.train.settings import Ca2Settings
from faceedit.train.tensors import to_pixels
from faceedit.train.triples import Examples, Triples

EVALUATED, EVALUATED_AT_ONCE = 96, 16
SHEET_EDITS, SHEET_STEPS, SHEET_GUIDANCE = 8, 15, 4.0
SMALLEST_SHEET_PICTURE = 128


class Ca2Objective:
    """Noise prediction through the residuals of the reference net (CA-Edit algorithm 1), the edited region first."""

    name = "ca2"

    def __init__(
        self, settings: Ca2Settings, encoders: FrozenEncoders, examples: Examples, validation: Examples
    ) -> None:
        from diffusers import DDIMScheduler, UNet2DConditionModel

        self.settings, self.encoders, self.examples, self.validation = settings, encoders, examples, validation
        self.seed = settings.loop.seed
        unet: Any = UNet2DConditionModel.from_pretrained(settings.unet, use_safetensors=True)
        self.unet = unet.requires_grad_(False).eval().to(memory_format=torch.channels_last)
        self.scheduler = DDIMScheduler.from_pretrained(Path(settings.unet).parent / "scheduler")
        self.alphas: Tensor = self.scheduler.alphas_cumprod

    def build(self) -> dict[str, nn.Module]:
        """The reference net starts as the UNet, the adapter's keys and values as the text's, the score undecided."""
        start = self.settings.start_from
        if start:
            net: Any = ReferenceNet.from_pretrained(Path(start) / "reference_net", use_safetensors=True)
            return {"reference_net": net, "adapter": ConditionAdapter.from_pretrained(Path(start) / "adapter")}
        net = ReferenceNet.from_unet(self.unet)
        embedding = self.encoders.vision.config.projection_dim
        pooled = self.encoders.text_encoder.config.hidden_size if self.settings.score == "learned" else 0
        return {"reference_net": net, "adapter": ConditionAdapter.from_net(net, embedding, pooled)}

    def batch(self, index: int) -> Batch:
        """See `_tensors`; the rows are shuffled passes, texts and embeddings are dropped for guidance."""
        size = self.settings.loop.batch
        rng = batch_rng(self.seed, index)
        triples = self.examples.draw(shuffled(len(self.examples), size, index, self.seed), rng)
        settings, luck = self.settings, rng.random(size)
        no_image = luck < settings.image_dropout + settings.both_dropout
        no_text = (luck >= settings.image_dropout) & (
            luck < settings.image_dropout + settings.both_dropout + settings.text_dropout
        )
        return self._tensors(triples, rng, no_image, no_text)

    def loss(self, modules: Modules, batch: Batch, _step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Squared error of the noise; a cell outside the mask weighs `settings.outside`, min-SNR weighs the steps."""
        predicted = self._predict(modules, batch)
        error = (predicted - batch["noise"]).square().mean(1, keepdim=True)
        inside = _weighted(error, batch["mask"])
        per_row = _weighted(error, batch["mask"] + self.settings.outside * (1 - batch["mask"]))
        total = (per_row * self._snr_weight(batch["timestep"])).mean()
        return total, {"noise": error.mean().detach(), "inside": inside.mean().detach()}

    def evaluate(self, modules: Modules) -> Evaluation:
        """Noise error inside the mask on validation edits, of the backbone alone as well, and a sheet of edits.

        An edit's original is the counterfactual twin of its target. Without the picture (`inside_without_picture`) the
        error tells what the visual condition is worth.
        """
        originals, targets = self.validation.edits(EVALUATED)
        found: dict[str, list[Tensor]] = {"inside": [], "inside_backbone": [], "inside_without_picture": []}
        for start in range(0, len(targets), EVALUATED_AT_ONCE):
            part = slice(start, start + EVALUATED_AT_ONCE)
            rng = batch_rng(self.seed + 1, start)
            triples = self.validation.triples(originals[part], targets[part], rng)
            batch = {name: t.to(_device(modules)) for name, t in self._tensors(triples, rng).items()}
            blind = batch | {"visual": torch.zeros_like(batch["visual"])}
            guesses = {
                "inside": self._predict(modules, batch),
                "inside_without_picture": self._predict(modules, blind),
                "inside_backbone": self.unet(batch["noisy"], batch["timestep"], batch["text"]).sample,
            }
            for name, guess in guesses.items():
                error = (guess - batch["noise"]).square().mean(1, keepdim=True)
                found[name].append(_weighted(error, batch["mask"]).cpu())
        figures = {name: float(torch.cat(errors).mean()) for name, errors in found.items()}
        return Evaluation(figures, self._sheet(modules, originals, targets))

    def export(self, modules: Modules, folder: Path) -> None:
        """`reference_net/` and `adapter/`, each with a configuration and a safetensors file."""
        for name in ("reference_net", "adapter"):
            module: Any = modules[name]
            module.save_pretrained(folder / name, safe_serialization=True)

    def _tensors(
        self, triples: Triples, rng: np.random.Generator, no_image: Any = False, no_text: Any = False
    ) -> Batch:
        """What the networks see and should say, on the CPU.

        Inside the mask the noise is laid on the target, outside on the original, as blending does in an edit. The
        masked picture is grey inside the mask and the latents are of that picture, so that nothing leaks across.
        """
        h, w = triples.target_latents.shape[2:]
        m = torch.cat([latent_mask(mask[None], (h, w), self.settings.mask_threshold) for mask in triples.masks])
        clean = torch.where(m > 0, triples.target_latents, triples.original_latents)
        masked = self.encoders.latents(triples.original * (triples.masks < 0.5))
        count = len(clean)
        noise = torch.from_numpy(rng.standard_normal(clean.shape, np.float32))
        timestep = torch.from_numpy(rng.integers(0, len(self.alphas), count))
        untold = np.broadcast_to(no_text, count)
        text, pooled = self.encoders.text(["" if gone else c for c, gone in zip(triples.captions, untold, strict=True)])
        unseen = torch.from_numpy(np.broadcast_to(no_image, count).copy())
        return {
            "noisy": self.scheduler.add_noise(clean, noise, timestep),
            "noise": noise,
            "timestep": timestep,
            "mask": m,
            "condition": torch.cat([masked, m], dim=1),
            "text": text,
            "pooled": pooled,
            # A missing picture is a zero embedding, as in IP-Adapter.
            "visual": torch.where(unseen[:, None], 0.0, triples.visual),
        }

    def _predict(self, modules: Modules, batch: Batch) -> Tensor:
        """ε [B, C, h, w] of the frozen UNet with the reference net's residuals."""
        net: Any = modules["reference_net"]
        adapter: Any = modules["adapter"]
        self.unet.to(batch["noisy"].device)
        z, t, text = batch["noisy"], batch["timestep"], batch["text"]
        visual = adapter.visual_tokens(batch["visual"])
        with condition_adapter(net, adapter, visual, batch["pooled"], batch["mask"], score=self.settings.score):
            residuals = net(z, t, text, batch["condition"])
        return predict_with_residuals(self.unet, z, t, text, residuals)

    def _snr_weight(self, timestep: Tensor) -> Tensor:
        """min(SNR, gamma) / SNR for noise prediction (Hang et al. 2023, sec. 3.4); 1 where gamma is 0."""
        alphas = self.alphas.to(timestep.device)[timestep]
        snr = alphas / (1 - alphas)
        gamma = self.settings.min_snr_gamma
        return snr.clamp(max=gamma) / snr if gamma else torch.ones_like(snr)

    def _sheet(self, modules: Modules, originals: Any, targets: Any) -> Any:
        """Rows of original, edit and target (the truth, where the original is a twin), by blended DDIM sampling."""
        chosen = np.linspace(0, len(targets) - 1, min(SHEET_EDITS, len(targets))).astype(int)
        rng = batch_rng(self.seed + 2, 0)
        triples = self.validation.triples(originals[chosen], targets[chosen], rng)
        batch = self._tensors(triples, rng)
        device = _device(modules)
        told = {name: t.to(device) for name, t in batch.items()}
        text, pooled = self.encoders.text([""] * len(chosen))
        both = {name: torch.cat([t, t]) for name, t in told.items()}
        both["text"] = torch.cat([text.to(device), told["text"]])
        both["pooled"] = torch.cat([pooled.to(device), told["pooled"]])

        def denoise(z: Tensor, t: Tensor) -> Tensor:
            step = {"noisy": torch.cat([z, z]), "timestep": t.to(device).expand(2 * len(z))}
            uncond, cond = self._predict(modules, both | step).chunk(2)
            return guided(uncond, cond, SHEET_GUIDANCE)

        z0 = triples.original_latents.to(device)
        schedule = ddim_schedule(self.scheduler.config, SHEET_STEPS)
        *_, edited = blended_latents(denoise, z0, told["mask"], schedule, told["noise"])
        kinds = triples.original_latents, edited.cpu(), triples.target_latents
        columns = [self.encoders.pixels(latents) for latents in kinds]
        scale = max(1, SMALLEST_SHEET_PICTURE // columns[0].shape[-1])
        return rearrange(
            to_pixels(F.interpolate(torch.stack(columns).flatten(0, 1), scale_factor=scale)),
            "(three n) h w c -> (three h) (n w) c",
            three=3,
        )


def _weighted(error: Tensor, weight: Tensor) -> Tensor:
    """Weighted mean per row, [B], of errors [B, 1, h, w]; every row has a weight above 0."""
    return (error * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3))


def _device(modules: Modules) -> torch.device:
    return next(modules["reference_net"].parameters()).device
