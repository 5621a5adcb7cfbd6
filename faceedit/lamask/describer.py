"""Answers of a vision-language model about a picture (Qwen2.5-VL by transformers)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from faceedit.errors import WeightsError
from faceedit.lamask.weights import load_strictly

_IMAGE = "<|image_pad|>"
_CHAT = (
    "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    "<|im_start|>user\n<|vision_start|>{image}<|vision_end|>{question}<|im_end|>\n"
    "<|im_start|>assistant\n"
)
_STOP = "<|im_end|>"


class Describer:
    """Qwen2.5-VL with its picture preprocessing and tokenizer, from one folder.

    The chat form is written down here: no template out of a downloaded file is run.

    Args:
        folder: configuration, safetensors, tokenizer and `preprocessor_config.json` as published.
        device: where it runs.
        longest: most tokens of an answer.

    Raises:
        WeightsError: files that are missing or do not fit each other.
    """

    def __init__(self, folder: Path, device: torch.device | str = "cpu", longest: int = 64) -> None:
        from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2Tokenizer
        from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

        # On a GPU in the precision that it is published in: fp16 has too short a range for it.
        dtype = torch.float32 if torch.device(device).type == "cpu" else torch.bfloat16
        self.model: Any = load_strictly(Qwen2_5_VLForConditionalGeneration, folder, dtype).to(device)
        try:
            self.tokenizer: Any = Qwen2Tokenizer.from_pretrained(folder, local_files_only=True)
            self.processor: Any = Qwen2VLImageProcessorPil.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError) as error:
            line = str(error).splitlines()[0]
            raise WeightsError(f"{folder}: no tokenizer or preprocessing: {line}", "fetch it again") from error
        self.device, self.longest = torch.device(device), longest
        self.image_token = self.tokenizer.convert_tokens_to_ids(_IMAGE)
        if self.image_token != self.model.config.image_token_id:
            raise WeightsError(f"{folder}: tokenizer and model call pictures by two tokens", "fetch it again")

    @torch.no_grad()
    def answer(self, rgb: NDArray[np.uint8], question: str, seed: int = 0) -> str:
        """The model's answer to a question about a picture uint8 [H, W, 3]; sampled, the same for the same seed."""
        picture = self.processor(images=[Image.fromarray(rgb)], return_tensors="pt")
        merged = self.model.config.vision_config.spatial_merge_size**2
        pads = int(picture["image_grid_thw"][0].prod()) // merged
        ids = torch.tensor([self.tokenizer(_CHAT.format(image=_IMAGE * pads, question=question))["input_ids"]])
        inputs = {
            "input_ids": ids,
            "attention_mask": torch.ones_like(ids),
            "mm_token_type_ids": (ids == self.image_token).int(),
            "pixel_values": picture["pixel_values"].to(self.model.dtype),
            "image_grid_thw": picture["image_grid_thw"],
        }
        stop = self.tokenizer.convert_tokens_to_ids(_STOP)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            out = self.model.generate(
                **{name: tensor.to(self.device) for name, tensor in inputs.items()},
                max_new_tokens=self.longest,
                do_sample=True,
                temperature=0.7,
                top_p=0.9,
                eos_token_id=stop,
                pad_token_id=stop,
            )
        text: str = self.tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)
        return text.strip()
