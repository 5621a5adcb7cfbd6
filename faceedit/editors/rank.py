"""Choosing the best of several candidates by CLIP, as Blended Latent Diffusion does with its batch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from faceedit.models.clip import image_features, require_clip, text_features
from faceedit.request import EditText


def best_by_clip(components: Any, images: NDArray[np.float32], edit: EditText) -> int:
    """Index of the candidate whose embedding lies furthest from the source sentence towards the target.

    Args:
        components: with a CLIP text and vision pair.
        images: float32 [B, S, S, 3] in [0, 1].
        edit: source and target sentence.

    Raises:
        WeightsError: the recipe's weights hold no CLIP pair.
    """
    require_clip(components)
    source, target = text_features(components, [edit.source, edit.target])
    return int((image_features(components, images) @ (target - source)).argmax())
