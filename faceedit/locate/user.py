"""The mask that the user gives."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from faceedit import masks
from faceedit.request import EditText, Mask, Portrait


@dataclass(frozen=True)
class UserMask:
    """A mask file, white = edit.

    Attributes:
        path: the file.
        resize: accept another size than the picture's.
    """

    path: Path
    resize: bool = False

    def locate(self, portrait: Portrait, edit: EditText) -> Mask:  # noqa: ARG002
        """The file's mask at the picture's size; see `faceedit.masks.load_mask` for what it accepts and refuses."""
        return Mask(masks.load_mask(self.path, portrait.picture.size, resize=self.resize), "file")
