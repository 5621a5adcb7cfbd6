"""PASL as a locator: from the words of an edit to where it acts, without landmarks (Flux-Sculptor, section 3.2)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
import torch
from einops import rearrange
from torch import Tensor

from faceedit import faces
from faceedit.errors import NothingToEditError, UsageError
from faceedit.locate.template import place
from faceedit.models.pasl import Pasl, load_pasl, pasl_folder
from faceedit.models.sentence_features import SentenceFeatures, load_sentence_features
from faceedit.request import AttributePhrase, Bytes3, EditText, Float2, Mask, Portrait
from faceedit.sentences import DEFAULT_SUBJECT, canonical, sentences
from faceedit.text2mask.prompts import PROMPTS

SURE = 0.5
"""An answer that nowhere reaches this much has found nothing."""


class PaslLocator:
    """Where the words of an edit are, as a network sees them on the upright crop of the face.

    Args:
        network: the trained network.
        encode: the text encoder that it was trained with.
        threshold: cells above it are edited wholly, the others not at all; 0 keeps the soft answer, as the paper does,
            which is then above 0 nearly everywhere.
        ask: "phrase" as the paper: the sentence of each phrase. "regions": the regions that the walk reads out of the
            phrase, each by the mean of all its prompts; for a text encoder that knows few words.
    """

    def __init__(self, network: Pasl, encode: SentenceFeatures, threshold: float = SURE, ask: str = "phrase") -> None:
        self.network, self.encode, self.threshold, self.ask = network, encode, threshold, ask

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
        features = torch.cat([self._features_of(phrase) for phrase in edit.phrases])
        counts = [len(self._regions_of(phrase)) or 1 for phrase in edit.phrases]
        found = iter(self._answers(portrait, features))
        answers = [np.maximum.reduce([next(found) for _ in range(count)]) for count in counts]
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
        asked = [name for phrase in edit.phrases for name in self._regions_of(phrase) or (canonical(phrase),)]
        origin = f"pasl: {', '.join(dict.fromkeys(asked))}"
        return Mask(values, origin, "; ".join(notes), heat)

    def answers(self, portrait: Portrait, texts: Sequence[str]) -> list[Float2]:
        """The soft answer to each sentence, float32 [H, W] in [0, 1]; 0 outside the crop. One look at the picture."""
        return self._answers(portrait, self._text(texts))

    def region_answers(self, portrait: Portrait, regions: Sequence[str]) -> list[Float2]:
        """As `answers`, for regions by name."""
        return self._answers(portrait, torch.cat([self._region(name) for name in regions]))

    @torch.no_grad()
    def cells(self, rgb: Bytes3, text: Tensor) -> list[Float2]:
        """The network's own answers, float32 [S/8, S/8] in [0, 1]: σ(Σ f_img f_text), eq. 6.

        Args:
            rgb: uint8 [S, S, 3], an upright portrait at the network's size.
            text: f_text [K, C].
        """
        pixels = rearrange(torch.from_numpy(np.ascontiguousarray(rgb)), "h w c -> 1 c h w").float() / 127.5 - 1
        image = self.network.image_features(pixels.to(next(self.network.parameters())))
        return list(self.network.similarity(image, text).sigmoid()[0].cpu().numpy())

    def _answers(self, portrait: Portrait, text: Tensor) -> list[Float2]:
        size = self.network.config.size
        cells = self.cells(faces.crop_pixels(portrait, size), text)
        smooth = [cv2.resize(answer, (size, size), interpolation=cv2.INTER_LINEAR) for answer in cells]
        return [faces.uncrop_mask(np.asarray(answer, dtype=np.float32), portrait) for answer in smooth]

    def _regions_of(self, phrase: AttributePhrase) -> tuple[str, ...]:
        """What to ask for by region; empty where the phrase itself is asked."""
        return phrase.regions if self.ask == "regions" else ()

    def _features_of(self, phrase: AttributePhrase) -> Tensor:
        regions = self._regions_of(phrase)
        return torch.cat([self._region(name) for name in regions]) if regions else self._text([sentence_of(phrase)])

    @torch.no_grad()
    def _text(self, texts: Sequence[str]) -> Tensor:
        """f_text [K, C] of sentences."""
        return self.network.text_features(self.encode(list(texts)).to(next(self.network.parameters())))

    def _region(self, name: str) -> Tensor:
        """f_text [1, C] of a region: the mean over all its prompts of training."""
        return self._text(PROMPTS[name]).mean(0, keepdim=True)


def sentence_of(phrase: AttributePhrase) -> str:
    """What PASL is asked for a phrase: the target sentence that it makes alone, "a person with rosy cheeks"."""
    return sentences((phrase,), DEFAULT_SUBJECT).target


def open_pasl(weights: str, threshold: float = SURE, ask: str = "phrase", device: str = "cpu") -> PaslLocator:
    """The locator with these weights; they are read once per process.

    Args:
        weights: "bundled:SET", or a folder that `faceedit train pasl` exported.
        threshold, ask: see `PaslLocator`.
        device: where it runs.

    Raises:
        WeightsError: the weights or their text encoder are missing or damaged.
        UsageError: no bundled set has that name.
    """
    return PaslLocator(*_loaded(weights, device), threshold, ask)


@lru_cache(maxsize=2)
def _loaded(weights: str, device: str) -> tuple[Pasl, SentenceFeatures]:
    folder = pasl_folder(weights)
    network = load_pasl(folder, device)
    return network, load_sentence_features(network.config.text, folder, device)
