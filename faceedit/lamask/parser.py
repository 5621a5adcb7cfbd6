"""19-part face parsing by a published SegFormer (transformers), loaded strictly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from numpy.typing import NDArray

from faceedit.errors import WeightsError
from faceedit.lamask.parts import PARTS
from faceedit.lamask.weights import load_strictly
from faceedit.models.jsonfile import read_config

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_SIDE = 512


class FaceParser:
    """A SegFormer whose classes are the 19 parts.

    Args:
        folder: `config.json` and safetensors as transformers writes them; `preprocessor_config.json` is read if there.
        device: where it runs.

    Raises:
        WeightsError: missing keys, other classes than the 19 parts, or no such folder.
    """

    def __init__(self, folder: Path, device: torch.device | str = "cpu") -> None:
        from transformers import SegformerForSemanticSegmentation

        config = read_config(folder / "config.json")
        self.order = _order(config.get("id2label"), folder)
        self.module: Any = load_strictly(SegformerForSemanticSegmentation, folder).to(device)
        self.device = torch.device(device)
        written = folder / "preprocessor_config.json"
        processor = read_config(written) if written.is_file() else {}
        self.mean, self.std = processor.get("image_mean", _MEAN), processor.get("image_std", _STD)
        size = processor.get("size", _SIDE)
        self.side = int(size.get("height", _SIDE)) if isinstance(size, dict) else int(size)

    @torch.no_grad()
    def parse(self, rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The index map uint8 [H, W] of a picture uint8 [H, W, 3]; logits are enlarged before the choice is made."""
        x = rearrange(torch.from_numpy(np.ascontiguousarray(rgb)), "h w c -> 1 c h w").to(self.device).float() / 255
        x = F.interpolate(x, (self.side, self.side), mode="bilinear", antialias=True)
        mean, std = (rearrange(torch.tensor(v, device=self.device), "c -> c 1 1") for v in (self.mean, self.std))
        logits = self.module(pixel_values=(x - mean) / std).logits
        labels = F.interpolate(logits, rgb.shape[:2], mode="bilinear").argmax(1)[0].cpu().numpy()
        parts: NDArray[np.uint8] = self.order[labels]
        return parts


def _order(id2label: Any, folder: Path) -> NDArray[np.uint8]:
    """The model's label -> our part; by name, since published parsers order them differently."""
    names = {int(key): str(value) for key, value in id2label.items()} if isinstance(id2label, dict) else {}
    if sorted(names) != list(range(len(PARTS))) or set(names.values()) != set(PARTS):
        raise WeightsError(
            f"{folder} parses other parts than the 19 of CelebAMask-HQ", f"its id2label must name {', '.join(PARTS)}"
        )
    return np.array([PARTS.index(names[i]) for i in range(len(PARTS))], np.uint8)
