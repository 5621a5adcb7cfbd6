"""The mask that the user gives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from faceedit import masks
from faceedit.request import EditText, Float2, Mask, Portrait


@dataclass(frozen=True)
class UserMask:
    """A mask of the user's own, white = edit; wherever the words point.

    Attributes:
        values: float32 [H, W] in [0, 1] at the picture's size, in steps of 1/255, so that a record can keep it exactly.
    """

    values: Float2

    @classmethod
    def read(cls, source: Path | bytes, size: tuple[int, int], resize: bool = False) -> UserMask:
        """The mask in a file; see `faceedit.masks.load_mask` for what it accepts and refuses.

        Args:
            source: the file, or its encoded bytes.
            size: (height, width) of the picture.
            resize: accept another size than the picture's.
        """
        values = masks.load_mask(source, size, resize=resize)
        return cls(np.round(values * 255).astype(np.float32) / np.float32(255))

    def locate(self, portrait: Portrait, edit: EditText) -> Mask:  # noqa: ARG002
        """The mask itself."""
        return Mask(self.values, "file")
