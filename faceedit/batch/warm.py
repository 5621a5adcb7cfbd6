"""The loaded editor: kept warm from item to item, one at a time, with what it knows of the last portrait."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from faceedit.memory_pressure import is_out_of_memory, release, step_down, stopped
from faceedit.recipe_schema import Recipe
from faceedit.request import EditText, Request, Result
from faceedit.run import Prepared, Progress, edit_prepared, load_editor, require_change

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from faceedit.editors.base import Editor, Float3, Step, Trajectory


class Remembering:
    """An editor that keeps the last trajectory and its decoded picture: several edits of one portrait in a row invert
    it once. The results are those of the editor itself."""

    def __init__(self, editor: Editor) -> None:
        self.editor = editor
        self._inverted: tuple[Float3, str, Trajectory] | None = None
        self._decoded: Float3 | None = None

    @property
    def size(self) -> int:
        """As the editor's."""
        return self.editor.size

    def invert(self, pixels: Float3, source: str) -> Trajectory:
        """As the editor's, or the last one again."""
        if self._inverted is not None:
            before, sentence, trajectory = self._inverted
            if sentence == source and np.array_equal(before, pixels):
                return trajectory
        self._inverted = self._decoded = None
        trajectory = self.editor.invert(pixels, source)
        self._inverted = pixels, source, trajectory
        return trajectory

    def edit(
        self, trajectory: Trajectory, edit: EditText, mask: NDArray[np.float32], generator: torch.Generator
    ) -> Iterator[Step]:
        """As the editor's."""
        return self.editor.edit(trajectory, edit, mask, generator)

    def decode(self, latents: Tensor) -> Float3:
        """As the editor's; the trajectory's own latents, which pasting asks for at every edit, only once."""
        if self._inverted is None or latents is not self._inverted[2].latents:
            return self.editor.decode(latents)
        if self._decoded is None:
            self._decoded = self.editor.decode(latents)
        return self._decoded


class WarmEditor:
    """Runs prepared edits, loading models when the recipe changes and going one step down when memory runs out."""

    def __init__(self) -> None:
        self._asked: Recipe | None = None
        self._taken: Recipe | None = None
        self._step = ""
        self._editor: Remembering | None = None

    def edit(self, prepared: Prepared, request: Request, progress: Progress) -> Result:
        """One edit; with less memory the recipe's leaner form serves this edit and all after it, and a warning says so.

        Raises:
            OutOfMemoryError: the leaner form did not help, or there is none.
            WeightsError: as `load_editor`.
            FaceEditError: as `faceedit.run.edit`.
        """
        if prepared.recipe != self._asked:
            self._drop()
            self._asked = self._taken = prepared.recipe
            self._step = ""
        try:
            return self._run(prepared, request, progress)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        # Outside of the except block, whose traceback would keep the tensors of the failed edit alive.
        self._go_down(prepared.recipe)
        try:
            return self._run(prepared, request, progress)
        except Exception as error:
            if is_out_of_memory(error):
                raise stopped(_device_kind(prepared.recipe), self._step) from None
            raise

    def _run(self, prepared: Prepared, request: Request, progress: Progress) -> Result:
        assert self._taken is not None
        if self._editor is None:
            self._editor = Remembering(load_editor(self._taken))
        choice = replace(prepared.choice, recipe=self._taken, step_down=self._step)
        told = (*prepared.warnings, *([f"memory ran out: {self._step}"] if self._step else []))
        taken = replace(prepared, choice=choice, warnings=told)
        return require_change(edit_prepared(taken, request, editor=self._editor, progress=progress))

    def _go_down(self, recipe: Recipe) -> None:
        kind = _device_kind(recipe)
        leaner = None if self._step else step_down(recipe, kind)
        if leaner is None:
            raise stopped(kind, self._step)
        self._drop()
        self._taken, self._step = leaner

    def _drop(self) -> None:
        self._editor = None
        release()


def device_name(recipe: Recipe) -> str:
    """The device that a recipe's models run on: "cpu", "cuda:0", "mps"."""
    from faceedit.models.plan import device_plan

    return str(device_plan(recipe.device).device)


def _device_kind(recipe: Recipe) -> str:
    return device_name(recipe).partition(":")[0]
