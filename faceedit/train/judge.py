"""Objective: the attribute classifier that judges edits, hardened against the blur that an edit carries."""

from __future__ import annotations

import dataclasses
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from faceedit.evaluate.judge import Judge, JudgeConfig, load_judge, save_judge
from faceedit.train.augment import LIGHT, augment
from faceedit.train.data import PortraitCache, batch_rng, batches, shuffled
from faceedit.train.loop import Batch, Evaluation, Modules
from faceedit.train.settings import JudgeSettings
from faceedit.train.tensors import to_tensor

PHOTOMETRIC = ("brightness", "contrast", "blur", "motion", "resample", "noise", "jpeg")


class JudgeObjective:
    """Cross-entropy of every attribute field that can be seen in the picture."""

    name = "judge"

    def __init__(self, settings: JudgeSettings, portraits: PortraitCache, validation: PortraitCache) -> None:
        self.settings, self.portraits, self.validation = settings, portraits, validation
        self.seed = settings.loop.seed
        scale = settings.degrade / 0.5
        self.augmentation = dataclasses.replace(LIGHT, **{name: getattr(LIGHT, name) * scale for name in PHOTOMETRIC})

    def build(self) -> dict[str, nn.Module]:
        if self.settings.start_from:
            return {"judge": load_judge(Path(self.settings.start_from)).requires_grad_(True)}
        config = JudgeConfig(tuple(self.settings.channels), self.settings.blocks, self.settings.data.size)
        return {"judge": Judge(config)}

    def batch(self, index: int) -> Batch:
        """`image` [B, 3, S, S] in [-1, 1]; `target` [B, F] value index, -100 where the field cannot be seen."""
        rows = shuffled(len(self.portraits), self.settings.loop.batch, index, self.seed)
        rng = batch_rng(self.seed, index)
        images, _ = augment(self.portraits.images[rows], rng, self.augmentation)
        image = to_tensor(images)
        if self.settings.vae:
            blurred = torch.from_numpy(rng.permutation(len(rows))[: len(rows) // 4])
            with torch.no_grad():
                image[blurred] = self._vae.decode(self._vae.encode(image[blurred]).latent_dist.mean).sample.clamp(-1, 1)
        return {"image": image, "target": _targets(self.portraits, rows)}

    def loss(self, modules: Modules, batch: Batch, _step: int) -> tuple[Tensor, dict[str, Tensor]]:
        logits = modules["judge"](batch["image"])
        visible = (batch["target"] >= 0).sum().clamp(min=1)
        losses = [
            F.cross_entropy(field, batch["target"][:, i], reduction="sum") for i, field in enumerate(logits.values())
        ]
        return torch.stack(losses).sum() / visible, {}

    def evaluate(self, modules: Modules) -> Evaluation:
        """Accuracy per field over the portraits that show it, and their mean, on validation seeds."""
        judge: Any = modules["judge"]
        device = next(judge.parameters()).device
        right, shown = np.zeros(len(judge.config.fields)), np.zeros(len(judge.config.fields))
        for rows in batches(len(self.validation), 64):
            logits = judge(to_tensor(self.validation.images[rows]).to(device))
            target = _targets(self.validation, rows).numpy()
            guess = np.stack([field.argmax(1).cpu().numpy() for field in logits.values()], 1)
            right += ((guess == target) & (target >= 0)).sum(0)
            shown += (target >= 0).sum(0)
        accuracy = right / np.maximum(shown, 1)
        figures = {"accuracy": float(accuracy.mean()), "worst": float(accuracy.min())}
        return Evaluation(figures | {name: float(a) for name, a in zip(judge.config.fields, accuracy, strict=True)})

    def export(self, modules: Modules, folder: Path) -> None:
        """`config.json` and `model.safetensors`, read back by `faceedit.evaluate.judge.load_judge`."""
        judge: Any = modules["judge"]
        save_judge(judge, folder)

    @cached_property
    def _vae(self) -> Any:
        from diffusers import AutoencoderKL

        return AutoencoderKL.from_pretrained(self.settings.vae, use_safetensors=True).requires_grad_(False).eval()


def _targets(portraits: PortraitCache, rows: NDArray[np.int64]) -> Tensor:
    target = np.where(portraits.visible[rows], portraits.attributes[rows].astype(np.int64), -100)
    return torch.from_numpy(target)
