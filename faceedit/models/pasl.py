"""PASL, the Prompt-Aligned Spatial Locator (Flux-Sculptor, eqs 5 and 6, tables 4 and 5): from a portrait and words to
a map of where the words are.

An image encoder of six convolutions gives a feature for every cell of 8 x 8 pixels, a projector takes CLIP's feature of
a sentence into the same space, and the sigmoid of their dot product is the mask.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from einops import rearrange
from safetensors.torch import save_file
from torch import Tensor, nn

from faceedit.errors import UsageError, WeightsError
from faceedit.models.jsonfile import read_config
from faceedit.models.manifest import bundled_folder
from faceedit.models.save import stored
from faceedit.models.tensors import load_into, weight_files

STRIDES = (1, 2, 2, 2, 1, 1)
CELL = 8
"""Pixels of the picture along a side of one cell of the map."""
BUNDLED = "bundled:"
SIMILARITIES = ("dot", "scaled", "cosine")


@dataclass(frozen=True)
class PaslConfig:
    """The size of a locator; the defaults are the published one.

    Attributes:
        size: side of the pictures that it was trained on, in pixels, a multiple of 8.
        channels: of the six convolutions.
        text_width: of the text encoder's sentence feature.
        hidden: of the projector.
        slope: of the LeakyReLU, which the paper does not give (torch's own default).
        coordinates: beyond the paper: two more input channels with each pixel's place, -1 to 1.
        dilations: beyond the paper: of the last two convolutions, which see 49 x 49 pixels without.
        similarity: "dot" as the paper, "scaled" by 1/sqrt(channels), or "cosine" with a learnt temperature.
        text: whose sentence feature it was trained on: "bundled:SET" or owner/name of a repository.
    """

    size: int = 512
    channels: tuple[int, ...] = (64, 128, 256, 512, 512, 512)
    text_width: int = 768
    hidden: int = 1024
    slope: float = 0.01
    coordinates: bool = False
    dilations: tuple[int, int] = (1, 1)
    similarity: str = "dot"
    text: str = "openai/clip-vit-large-patch14"


class Pasl(nn.Module):
    """Image encoder and projector; the text encoder is CLIP's own, frozen, and no part of it.

    Raises:
        WeightsError: a configuration that no locator can have.
    """

    def __init__(self, config: PaslConfig) -> None:
        super().__init__()
        _require_sound(config)
        self.config = config
        before = (5 if config.coordinates else 3, *config.channels)
        spread = (1, 1, 1, 1, *config.dilations)
        layers: list[nn.Module] = []
        for source, target, stride, dilation in zip(before, config.channels, STRIDES, spread, strict=False):
            layers.append(nn.Conv2d(source, target, 3, stride, dilation, dilation))
            layers.append(nn.LeakyReLU(config.slope))
        self.encoder = nn.Sequential(*layers)
        self.projector = nn.Sequential(
            nn.Linear(config.text_width, config.hidden), nn.ReLU(), nn.Linear(config.hidden, config.channels[-1])
        )
        if config.similarity == "cosine":
            self.log_scale = nn.Parameter(torch.tensor(10.0).log())

    def image_features(self, images: Tensor) -> Tensor:
        """f_img [B, C, S/8, S/8] of pictures [B, 3, S, S] in [-1, 1]; no prompt goes in, so it serves any number."""
        if self.config.coordinates:
            images = torch.cat([images, _places(images)], dim=1)
        features: Tensor = self.encoder(images)
        return features

    def text_features(self, text: Tensor) -> Tensor:
        """f_text [..., C] of CLIP's sentence features [..., text_width], raw as the encoder gives them (eq. 5)."""
        features: Tensor = self.projector(text)
        return features

    def similarity(self, image: Tensor, text: Tensor) -> Tensor:
        """The logits of eq. 6 in fp32: the sum over the channels of f_img times f_text.

        Args:
            image: f_img [B, C, h, w].
            text: f_text [K, C] for all pictures alike, or [B, K, C].

        Returns:
            float32 [B, K, h, w]; the mask is their sigmoid.
        """
        image, text = image.float(), text.float()
        if self.config.similarity == "cosine":
            image, text = F.normalize(image, dim=1), self.log_scale.exp() * F.normalize(text, dim=-1)
        elif self.config.similarity == "scaled":
            text = text * image.shape[1] ** -0.5
        cells = rearrange(image, "b c h w -> b c (h w)")
        with torch.autocast(image.device.type, enabled=False):
            return rearrange(text @ cells, "b k (h w) -> b k h w", w=image.shape[-1])

    def forward(self, images: Tensor, text: Tensor) -> Tensor:
        """Logits float32 [B, K, S/8, S/8] of pictures [B, 3, S, S] in [-1, 1] and K sentences.

        Args:
            images: float [B, 3, S, S] in [-1, 1], S a multiple of 8.
            text: CLIP's sentence features, [K, text_width] for all pictures alike or [B, K, text_width].
        """
        return self.similarity(self.image_features(images), self.text_features(text))


def save_pasl(model: Pasl, folder: Path, dtype: torch.dtype | None = None) -> None:
    """Write `config.json` and `model.safetensors`.

    Raises:
        WeightsError: a number does not fit into `dtype`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(asdict(model.config), indent=1) + "\n", encoding="utf-8")
    state = {name: stored(values, dtype, f"pasl: {name}") for name, values in model.state_dict().items()}
    save_file(state, str(folder / "model.safetensors"), metadata={"format": "pt"})


def load_pasl(folder: Path, device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32) -> Pasl:
    """The locator's network in a folder, frozen and in eval mode.

    Raises:
        WeightsError: files are missing, damaged or do not fit each other.
    """
    config = pasl_config(folder)
    with torch.device("meta"):
        model = Pasl(config)
    load_into(model, weight_files(folder), "pasl", dtype=dtype, device=device)
    return model.eval().requires_grad_(False)


def pasl_folder(weights: str) -> Path:
    """Where "bundled:SET" lies, its hashes checked, or the folder that is named.

    Raises:
        UsageError: no bundled set has that name, or nothing is named.
        WeightsError: the set is missing or damaged.
    """
    if not weights:
        raise UsageError("PASL has no weights", "set locator.weights to bundled:SET or to a folder")
    if weights.startswith(BUNDLED):
        return bundled_folder(weights.removeprefix(BUNDLED))
    return Path(weights).expanduser()


def pasl_config(folder: Path) -> PaslConfig:
    """What a folder's `config.json` says.

    Raises:
        WeightsError: it is missing, or holds other keys or values than a locator has.
    """
    values = read_config(folder / "config.json")
    known = {item.name for item in fields(PaslConfig)}
    if values.keys() != known:
        odd = ", ".join(sorted(values.keys() ^ known))
        raise WeightsError(f"{folder}/config.json is none of a PASL locator: {odd}", "give the folder of one")
    values |= {name: tuple(values[name]) for name in ("channels", "dilations") if isinstance(values[name], list)}
    config = PaslConfig(**values)
    _require_sound(config)
    return config


def _require_sound(config: PaslConfig) -> None:
    numbers: tuple[Any, ...] = (config.size, config.text_width, config.hidden, *config.channels, *config.dilations)
    sound = (
        len(config.channels) == len(STRIDES)
        and len(config.dilations) == 2
        and all(type(number) is int and 0 < number <= 1 << 14 for number in numbers)
        and config.size % CELL == 0
        and config.similarity in SIMILARITIES
    )
    if not sound:
        raise WeightsError(f"no PASL locator has this configuration: {config}", "six channels, two dilations, size 8n")


def _places(images: Tensor) -> Tensor:
    """Each pixel's place, [B, 2, H, W]: x and y from -1 to 1."""
    batch, _, height, width = images.shape
    y, x = (torch.linspace(-1, 1, n, device=images.device, dtype=images.dtype) for n in (height, width))
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"))
    return grid.expand(batch, -1, -1, -1)
