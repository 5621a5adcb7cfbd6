"""Objective: a CLIP text and vision pair whose targets are known from the attributes."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from faceedit.portraits.captions import KINDS
from faceedit.portraits.vocabulary import ATTRIBUTES, FIELDS
from faceedit.train.augment import LIGHT, augment
from faceedit.train.data import PortraitCache, batch_rng, batches, shuffled
from faceedit.train.loop import Batch, Evaluation, Modules
from faceedit.train.phrases import NAMES, compatible, draw_caption, required
from faceedit.train.settings import ClipSettings
from faceedit.train.tensors import to_tensor
from faceedit.train.tokenizer import load_tokenizer

KIND_SHARES = (0.7, 0.2, 0.1)
# The paraphrases are long, and the text encoder's time goes by the longest caption of the batch.
CAPTION_SIZES = {"direct": (1, 1, 1, 2, 2, 3, 5), "indirect": (1, 2), "subjective": (1, 2)}
RETRIEVAL_SIZES = (5,)
RETRIEVAL_PEOPLE = 256


class Pair(nn.Module):
    """Both encoders, the temperature, and heads that are needed in training only."""

    def __init__(self, text: nn.Module, vision: nn.Module, vision_width: int) -> None:
        super().__init__()
        self.text, self.vision = text, vision
        self.log_scale = nn.Parameter(torch.tensor(float(np.log(1 / 0.07))))
        self.attributes = nn.Linear(vision_width, sum(len(v) for v in FIELDS.values()))


def make_pair(settings: ClipSettings, tokenizer: Any) -> Pair:
    """Fresh encoders of the settings' size."""
    from transformers import (
        CLIPTextConfig,
        CLIPTextModelWithProjection,
        CLIPVisionConfig,
        CLIPVisionModelWithProjection,
    )

    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=settings.text_width,
        intermediate_size=4 * settings.text_width,
        num_hidden_layers=settings.text_layers,
        num_attention_heads=settings.text_heads,
        max_position_embeddings=tokenizer.model_max_length,
        projection_dim=settings.projection,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    vision = CLIPVisionConfig(
        hidden_size=settings.vision_width,
        intermediate_size=4 * settings.vision_width,
        num_hidden_layers=settings.vision_layers,
        num_attention_heads=settings.vision_heads,
        image_size=settings.data.size,
        patch_size=settings.patch,
        projection_dim=settings.projection,
    )
    return Pair(CLIPTextModelWithProjection(text), CLIPVisionModelWithProjection(vision), settings.vision_width)


class ClipObjective:
    """Contrastive loss in which every caption is paired with all pictures of the batch that it is true of.

    UniCL (Yang et al. 2022, eq. 4 and 5) with the known attributes as labels: "a person with a hat" is no negative for
    somebody else's hat. Counterfactual twins in one batch are negatives that differ in one attribute.
    """

    name = "clip"

    def __init__(self, settings: ClipSettings, portraits: PortraitCache, validation: PortraitCache) -> None:
        self.settings, self.portraits, self.validation = settings, portraits, validation
        self.seed = settings.loop.seed
        self.tokenizer = load_tokenizer(Path(settings.tokenizer))

    def build(self) -> dict[str, nn.Module]:
        pair = make_pair(self.settings, self.tokenizer)
        if self.settings.start_from:
            from transformers import CLIPTextModelWithProjection, CLIPVisionModelWithProjection

            folder = Path(self.settings.start_from)
            pair.text = CLIPTextModelWithProjection.from_pretrained(folder / "text_encoder")
            pair.vision = CLIPVisionModelWithProjection.from_pretrained(folder / "image_encoder")
            scale = json.loads((folder / "figures.json").read_text())["logit_scale"]
            pair.log_scale.data.fill_(math.log(scale))
        pair.text.requires_grad_(not self.settings.freeze_text)
        return {"clip": pair}

    def batch(self, index: int) -> Batch:
        """Pictures, some beside their counterfactual twins, with C = `captions_per_image` captions each.

        `image` [B, 3, S, S]; `ids` [C * B, L]; `positive` [C * B, B], caption x picture; `target` [B, F].
        """
        size = self.settings.loop.batch
        rng = batch_rng(self.seed, index)
        rows = self._rows(index, size)
        images, _ = augment(self.portraits.images[rows], rng, LIGHT)
        indices, visible = np.asarray(self.portraits.attributes[rows]), np.asarray(self.portraits.visible[rows])
        changed = np.asarray(self.portraits.changed[rows])
        captions = [
            draw_caption(
                indices[i],
                rng,
                CAPTION_SIZES[kind],
                kind=kind,
                always=NAMES[changed[i]] if changed[i] >= 0 and number == 0 else None,
                plain=0.5,
            )
            for number in range(self.settings.captions_per_image)
            for i in range(size)
            for kind in (KINDS[int(rng.choice(len(KINDS), p=KIND_SHARES))],)
        ]
        repeated = np.tile(indices, (self.settings.captions_per_image, 1))
        positive = compatible(required(captions, repeated), indices, visible)
        return {
            "image": to_tensor(images),
            "ids": self._ids([c.text for c in captions]),
            "positive": torch.from_numpy(positive).float(),
            "target": torch.from_numpy(np.where(visible, indices.astype(np.int64), -100)),
        }

    def loss(self, modules: Modules, batch: Batch, _step: int) -> tuple[Tensor, dict[str, Tensor]]:
        pair: Any = modules["clip"]
        text = pair.text(input_ids=batch["ids"])
        vision = pair.vision(pixel_values=batch["image"])
        scale = pair.log_scale.clamp(max=float(np.log(100))).exp()
        logits = scale * F.normalize(text.text_embeds, dim=-1) @ F.normalize(vision.image_embeds, dim=-1).T
        positive = batch["positive"]
        to_image = -(F.log_softmax(logits, 1) * positive / positive.sum(1, keepdim=True)).sum(1).mean()
        to_text = -(F.log_softmax(logits.T, 1) * positive.T / positive.T.sum(1, keepdim=True)).sum(1).mean()
        contrast = (to_image + to_text) / 2
        parts = {
            "contrast": contrast,
            "attribute": self._attribute_loss(pair, vision.last_hidden_state[:, 0], batch["target"]),
        }
        total = contrast + self.settings.attribute_loss * parts["attribute"]
        if not self.settings.freeze_text:
            parts["word"] = self._word_loss(pair, text.last_hidden_state, batch["ids"])
            total = total + self.settings.word_loss * parts["word"]
        return total, {name: part.detach() for name, part in parts.items()}

    def evaluate(self, modules: Modules) -> Evaluation:
        """Retrieval among up to 256 people by a caption of five attributes, and zero-shot accuracy per field."""
        pair: Any = modules["clip"]
        device = pair.log_scale.device
        images = torch.cat(
            [
                F.normalize(pair.vision(to_tensor(self.validation.images[rows]).to(device)).image_embeds, dim=-1)
                for rows in batches(len(self.validation), 64)
            ]
        )
        _, first = np.unique(np.asarray(self.validation.seeds), return_index=True)
        people = first[:RETRIEVAL_PEOPLE]
        rng = np.random.default_rng(self.seed)
        sentences = [draw_caption(self.validation.attributes[i], rng, RETRIEVAL_SIZES).text for i in people]
        similar = self._embedded(pair, sentences) @ images[people].T
        truth = torch.arange(len(people), device=device)
        figures = {
            "text_to_image_top1": float((similar.argmax(1) == truth).float().mean()),
            "image_to_text_top1": float((similar.argmax(0) == truth).float().mean()),
            "logit_scale": float(pair.log_scale.exp()),
        }
        accuracy = {}
        for i, name in enumerate(NAMES):
            phrases = [f"a person with {a.phrases[0]}" for a in ATTRIBUTES if a.field == name]
            guess = (images @ self._embedded(pair, phrases).T).argmax(1).cpu().numpy()
            seen = np.asarray(self.validation.visible[:, i])
            accuracy[name] = float((guess == self.validation.attributes[:, i])[seen].mean()) if seen.any() else 0.0
        return Evaluation(figures | {"zero_shot": float(np.mean(list(accuracy.values())))} | accuracy)

    def export(self, modules: Modules, folder: Path) -> None:
        """`text_encoder/`, `image_encoder/`, `tokenizer/` and `feature_extractor/`."""
        from transformers import CLIPImageProcessor

        pair: Any = modules["clip"]
        pair.text.save_pretrained(folder / "text_encoder", safe_serialization=True)
        pair.vision.save_pretrained(folder / "image_encoder", safe_serialization=True)
        self.tokenizer.save_pretrained(folder / "tokenizer")
        side, half = self.settings.data.size, [0.5, 0.5, 0.5]
        CLIPImageProcessor(
            size={"height": side, "width": side}, do_center_crop=False, image_mean=half, image_std=half
        ).save_pretrained(folder / "feature_extractor")

    def _rows(self, index: int, size: int) -> NDArray[np.int64]:
        """`twin_share` of the batch are people together with their twins, the rest is drawn from all rows."""
        paired = np.flatnonzero(np.asarray(self.portraits.twin) > np.arange(len(self.portraits)))
        pairs = min(round(size * self.settings.twin_share / 2), len(paired))
        first = paired[shuffled(len(paired), pairs, index, self.seed + 1)] if pairs else paired[:0]
        others = shuffled(len(self.portraits), size - 2 * pairs, index, self.seed)
        return np.concatenate([first, np.asarray(self.portraits.twin)[first].astype(np.int64), others])

    def _ids(self, sentences: list[str]) -> Tensor:
        """Token ids padded to the longest; causal attention makes the features the same at any padding."""
        batch = self.tokenizer(sentences, padding="longest", truncation=True, return_tensors="pt")
        ids: Tensor = batch["input_ids"]
        return ids

    def _embedded(self, pair: Any, sentences: list[str]) -> Tensor:
        ids = self._ids(sentences).to(pair.log_scale.device)
        return F.normalize(pair.text(input_ids=ids).text_embeds, dim=-1)

    def _word_loss(self, pair: Any, features: Tensor, ids: Tensor) -> Tensor:
        """Each token's feature must still tell its token: the UNet's cross-attention lives on that difference."""
        table = pair.text.get_input_embeddings().weight
        words = (ids != self.tokenizer.eos_token_id) & (ids != self.tokenizer.bos_token_id)
        logits = F.normalize(features[words], dim=-1) @ F.normalize(table, dim=-1).T
        return F.cross_entropy(20 * logits, ids[words])

    def _attribute_loss(self, pair: Any, features: Tensor, target: Tensor) -> Tensor:
        """Attributes read from the class token by linear heads, so that the small vision encoder learns them soon."""
        heads = pair.attributes(features).split([len(v) for v in FIELDS.values()], dim=1)
        losses = [F.cross_entropy(head, target[:, i], reduction="sum") for i, head in enumerate(heads)]
        return torch.stack(losses).sum() / (target >= 0).sum().clamp(min=1)
