"""Editors that need no skill: one does nothing, others know the answer. They bracket every score of the benchmark."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from torch import Tensor

from faceedit.editors.base import Editor, Encodes, Float3, Step, Trajectory
from faceedit.request import Bytes3, EditText


class KnownAnswer:
    """An editor whose latents are pixels and whose edit is a given picture.

    With the input itself it is "identity" (no gain, nothing reached, all kept), with the counterfactual it is "truth"
    (the best any editor could do inside the mask). A score on which the two do not differ measures nothing.

    Args:
        answer: uint8 [S, S, 3], the crop after the edit.
    """

    def __init__(self, answer: Bytes3) -> None:
        self.answer = _as_latents(answer.astype(np.float32) / np.float32(255))
        self.size: int = answer.shape[0]

    def invert(self, pixels: Float3, source: str) -> Trajectory:
        """The crop as it is."""
        latents = _as_latents(pixels)
        return Trajectory(latents * 2 - 1, latents, source)

    def edit(
        self,
        trajectory: Trajectory,  # noqa: ARG002 - the protocol's arguments; the answer is known without them
        edit: EditText,  # noqa: ARG002
        mask: NDArray[np.float32],  # noqa: ARG002
        generator: torch.Generator,  # noqa: ARG002
    ) -> Iterator[Step]:
        """One step that gives the answer."""
        yield Step(1, 1, self.answer)

    def decode(self, latents: Tensor) -> Float3:
        """Pixels [1, 3, S, S] in [0, 1] as a picture, float32 [S, S, 3]."""
        image: Float3 = rearrange(latents, "1 c h w -> h w c").numpy()
        return image


class EncodedAnswer:
    """An editor whose edit is a given picture as another editor's autoencoder knows it.

    With the counterfactual it is "autoencoder": the most that the editor's own encoder and decoder let through, so what
    it lacks to the truth no better denoising can win.

    Args:
        editor: whose encoder and decoder are used.
        answer: uint8 [S, S, 3], the crop after the edit at the editor's own size.
    """

    def __init__(self, editor: Editor, answer: Bytes3) -> None:
        self.inner = editor
        self.size: int = editor.size
        self.answer = answer.astype(np.float32) / np.float32(255)

    def invert(self, pixels: Float3, source: str) -> Trajectory:
        """The encoded crop; an inversion would cost as much as an edit and is not looked at."""
        inner = self.inner
        return inner.encode(pixels, source) if isinstance(inner, Encodes) else inner.invert(pixels, source)

    def edit(
        self,
        trajectory: Trajectory,
        edit: EditText,  # noqa: ARG002
        mask: NDArray[np.float32],  # noqa: ARG002
        generator: torch.Generator,  # noqa: ARG002
    ) -> Iterator[Step]:
        """One step that gives the answer's clean latents."""
        yield Step(1, 1, self.invert(self.answer, trajectory.source).latents)

    def decode(self, latents: Tensor) -> Float3:
        """The editor's own."""
        return self.inner.decode(latents)


def _as_latents(pixels: Float3) -> Tensor:
    return rearrange(torch.from_numpy(np.ascontiguousarray(pixels)), "h w c -> 1 c h w")
