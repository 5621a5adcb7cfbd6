"""A judge for tests that knows the right answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from faceedit.evaluate.tasks import EditTask


class NearestRender:
    """A classifier that finds the most similar of the portraits that it was shown, and tells its true labels."""

    def __init__(self, tasks: Sequence[EditTask]) -> None:
        shown = [picture for task in tasks for picture in (task.before, task.after)]
        self.images = np.stack([picture.image for picture in shown]).astype(np.float32)
        self.labels = [picture.attributes.as_dict() for picture in shown]

    def predict(self, images: Sequence[np.ndarray]) -> Sequence[Mapping[str, str]]:
        """Labels of the nearest portrait, per picture."""
        return [self.labels[int(((self.images - image) ** 2).sum(axis=(1, 2, 3)).argmin())] for image in images]
