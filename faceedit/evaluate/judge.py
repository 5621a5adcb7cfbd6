"""The judge: a small classifier of rendered portraits that tells which attributes a picture shows."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from faceedit.errors import WeightsError

POOL = 4


def _vocabulary_fields() -> dict[str, tuple[str, ...]]:
    from faceedit.portraits.vocabulary import FIELDS

    return dict(FIELDS)


@dataclass(frozen=True)
class JudgeConfig:
    """Channels per level (each halves the size, the first one after the stem does not), residual blocks per level,
    the picture size it was trained at, and the attribute fields with their values."""

    channels: tuple[int, ...] = (32, 64, 96, 128)
    blocks: int = 1
    size: int = 64
    fields: dict[str, tuple[str, ...]] = field(default_factory=_vocabulary_fields)


class _Residual(nn.Module):
    """GroupNorm instead of BatchNorm: a verdict must not depend on the other pictures of the batch."""

    def __init__(self, source: int, target: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(source, target, 3, stride, 1, bias=False)
        self.norm1 = nn.GroupNorm(8, target)
        self.conv2 = nn.Conv2d(target, target, 3, 1, 1, bias=False)
        self.norm2 = nn.GroupNorm(8, target)
        self.skip = (
            nn.Conv2d(source, target, 1, stride, bias=False) if source != target or stride != 1 else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.skip(x) + self.norm2(self.conv2(h)))


class Judge(nn.Module):
    """Residual network with one softmax head per attribute field; pictures float [B, 3, S, S] in [-1, 1]."""

    def __init__(self, config: JudgeConfig) -> None:
        super().__init__()
        self.config = config
        first = config.channels[0]
        self.stem = nn.Sequential(nn.Conv2d(3, first, 3, 1, 1, bias=False), nn.GroupNorm(8, first), nn.ReLU())
        self.levels = nn.ModuleList(
            nn.Sequential(_Residual(a, b, 2), *(_Residual(b, b, 1) for _ in range(config.blocks - 1)))
            for a, b in pairwise((first, *config.channels))
        )
        self.head = nn.Linear(config.channels[-1] * POOL * POOL, sum(len(v) for v in config.fields.values()))

    def features(self, images: Tensor) -> list[Tensor]:
        """The maps after the stem and after every level, each [B, C, h, w]."""
        maps = [self.stem(images)]
        for level in self.levels:
            maps.append(level(maps[-1]))
        return maps

    def pooled(self, images: Tensor) -> Tensor:
        """What the heads read: the last maps averaged to POOL x POOL, [B, D]."""
        return F.adaptive_avg_pool2d(self.features(images)[-1], POOL).flatten(1)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Logits per field, [B, values of the field]."""
        sizes = [len(values) for values in self.config.fields.values()]
        return dict(zip(self.config.fields, self.head(self.pooled(images)).split(sizes, dim=1), strict=True))

    @torch.no_grad()
    def values(self, images: Tensor) -> list[dict[str, str]]:
        """The likeliest value of every field, per picture.

        Args:
            images: float [B, 3, S, S] in [-1, 1]; another S than `config.size` is resized by area.
        """
        chosen = {name: logits.argmax(1).tolist() for name, logits in self(self._fitted(images)).items()}
        return [
            {name: self.config.fields[name][picks[i]] for name, picks in chosen.items()} for i in range(len(images))
        ]

    @torch.no_grad()
    def embedding(self, images: Tensor) -> Tensor:
        """Unit vectors [B, D] of what the heads read, of pictures as for `values`."""
        return F.normalize(self.pooled(self._fitted(images)), dim=1)

    def _fitted(self, images: Tensor) -> Tensor:
        size = self.config.size
        return images if images.shape[-1] == size else F.interpolate(images, size=(size, size), mode="area")


def save_judge(judge: Judge, folder: Path) -> None:
    """Write `config.json` and `model.safetensors`."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(asdict(judge.config), indent=1))
    save_file(
        {name: t.detach().cpu().contiguous() for name, t in judge.state_dict().items()}, folder / "model.safetensors"
    )


def load_judge(folder: Path) -> Judge:
    """The judge in a folder, on the CPU, frozen, in float32 and in eval mode.

    Raises:
        WeightsError: files are missing or do not fit, or the judge knows other attributes than this vocabulary.
    """
    try:
        raw = json.loads((folder / "config.json").read_text())
        tensors = load_file(folder / "model.safetensors")
    except (OSError, ValueError) as error:
        raise WeightsError(f"no judge in {folder}: {error}", "train one with: faceedit train judge") from error
    fields = {name: tuple(values) for name, values in raw["fields"].items()}
    if fields != _vocabulary_fields():
        raise WeightsError(
            f"the judge in {folder} knows other attributes than the portraits have",
            "train it anew: faceedit train judge",
        )
    judge = Judge(JudgeConfig(tuple(raw["channels"]), raw["blocks"], raw["size"], fields))
    try:
        judge.load_state_dict({name: tensor.float() for name, tensor in tensors.items()})
    except RuntimeError as error:
        raise WeightsError(
            f"the judge's weights in {folder} do not fit its config", str(error).splitlines()[-1]
        ) from error
    return judge.eval().requires_grad_(False)
