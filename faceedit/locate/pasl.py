"""PASL as a locator: from the words of an edit to where it acts, without landmarks (Flux-Sculptor, section 3.2)."""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
import torch
from einops import rearrange

from faceedit import faces
from faceedit.errors import NothingToEditError, UsageError
from faceedit.locate.template import place
from faceedit.models.pasl import Pasl, load_pasl, pasl_folder
from faceedit.models.sentence_features import SentenceFeatures, load_sentence_features
from faceedit.request import AttributePhrase, Bytes3, EditText, Float2, Mask, Portrait
from faceedit.sentences import DEFAULT_SUBJECT, canonical, sentences

SURE = 0.5
"""An answer that nowhere reaches this much has found nothing."""


class PaslLocator:
    """Where the words of an edit are, as a network sees them on the upright crop of the face.

    Args:
        network: the trained network.
        encode: the text encoder that it was trained with.
        threshold: cells above it are edited wholly, the others not at all; 0 keeps the soft answer, as the paper does,
            which is then above 0 nearly everywhere.
    """

    def __init__(self, network: Pasl, encode: SentenceFeatures, threshold: float = SURE) -> None:
        self.network, self.encode, self.threshold = network, encode, threshold
        self.device = encode.device

    def locate(self, portrait: Portrait, edit: EditText) -> Mask:
        """The union over the edit's phrases, each asked for on its own.

        Where a phrase is found nowhere, the region template stands in, as far as its words name a region.

        Returns:
            Mask float32 [H, W] in [0, 1]; origin "pasl: rosy cheeks". `heat` is the soft answer, `note` tells of a
            template that stands in.

        Raises:
            UsageError: the edit holds no phrase.
            NothingToEditError: a phrase is found nowhere and names no region.
        """
        if not edit.phrases:
            raise UsageError("the edit names nothing that could be found", "give --region NAME or --mask FILE")
        answers = self.answers(portrait, [sentence_of(phrase) for phrase in edit.phrases])
        parts, notes = [], []
        for phrase, answer in zip(edit.phrases, answers, strict=True):
            if float(answer.max()) >= SURE:
                parts.append(answer)
                continue
            if not phrase.regions:
                raise NothingToEditError(
                    f"PASL finds no {canonical(phrase)!r} on this face", "give --region NAME or --mask FILE"
                )
            parts.append(place(phrase.regions, portrait.face, portrait.picture.size))
            notes.append(
                f"PASL finds no {canonical(phrase)!r}: the template of {', '.join(phrase.regions)} stands in for it"
            )
        heat = np.maximum.reduce(parts)
        values = (heat > self.threshold).astype(np.float32) if self.threshold else heat
        origin = f"pasl: {', '.join(canonical(phrase) for phrase in edit.phrases)}"
        return Mask(values, origin, "; ".join(notes), heat)

    def answers(self, portrait: Portrait, texts: list[str]) -> list[Float2]:
        """The soft answer to each sentence, float32 [H, W] in [0, 1]; 0 outside the crop. One look at the picture."""
        size = self.network.config.size
        cells = self.cells(faces.crop_pixels(portrait, size), texts)
        smooth = [cv2.resize(answer, (size, size), interpolation=cv2.INTER_LINEAR) for answer in cells]
        return [faces.uncrop_mask(np.asarray(answer, dtype=np.float32), portrait) for answer in smooth]

    @torch.no_grad()
    def cells(self, rgb: Bytes3, texts: list[str]) -> list[Float2]:
        """The network's own answer to each sentence, float32 [S/8, S/8] in [0, 1]: σ(Σ f_img f_text), eq. 6.

        Args:
            rgb: uint8 [S, S, 3], an upright portrait at the network's size.
            texts: sentences.
        """
        pixels = rearrange(torch.from_numpy(np.ascontiguousarray(rgb)), "h w c -> 1 c h w").float() / 127.5 - 1
        parameter = next(self.network.parameters())
        logits = self.network(pixels.to(parameter), self.encode(texts).to(parameter))
        return list(logits.sigmoid()[0].cpu().numpy())


def sentence_of(phrase: AttributePhrase) -> str:
    """What PASL is asked for a phrase: the target sentence that it makes alone, "a person with rosy cheeks"."""
    return sentences((phrase,), DEFAULT_SUBJECT).target


def open_pasl(weights: str, threshold: float = SURE, device: str = "cpu") -> PaslLocator:
    """The locator with these weights; they are read once per process.

    Args:
        weights: "bundled:SET", or a folder that `faceedit train pasl` exported.
        threshold: see `PaslLocator`.
        device: where it runs.

    Raises:
        WeightsError: the weights or their text encoder are missing or damaged.
        UsageError: no bundled set has that name.
    """
    return PaslLocator(*_loaded(weights, device), threshold)


@lru_cache(maxsize=2)
def _loaded(weights: str, device: str) -> tuple[Pasl, SentenceFeatures]:
    folder = pasl_folder(weights)
    network = load_pasl(folder, device)
    return network, load_sentence_features(network.config.text, folder, device)
