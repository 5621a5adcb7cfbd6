"""An editor that stays loaded from edit to edit, and goes one step down when memory runs out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from faceedit.memory_pressure import is_out_of_memory, release, step_down, stopped
from faceedit.recipe_schema import Recipe
from faceedit.request import Request, Result
from faceedit.run import Prepared, Progress, edit_prepared, load_editor
from faceedit.trajectories import open_cache

if TYPE_CHECKING:
    from faceedit.editors.base import Editor

T = TypeVar("T")


class Warm:
    """A recipe's editor, loaded at the first edit and kept for the next ones.

    Where memory runs out it goes one step down (`faceedit.memory_pressure`) and stays there; every result from then on
    says so in its record and its warnings. Where that does not help, it stops.

    Args:
        recipe: the recipe of every edit.
        editor: its editor, where it is loaded already.
    """

    def __init__(self, recipe: Recipe, editor: Editor | None = None) -> None:
        self._recipe, self._editor, self._step = recipe, editor, ""

    def load(self) -> None:
        """Load the editor now.

        Raises:
            WeightsError: weights are missing or damaged.
            OutOfMemoryError: the memory does not hold them, nor one step down.
        """
        self._with_less_memory(self._loaded)

    def edit(self, prepared: Prepared, request: Request, progress: Progress | None = None) -> Result:
        """`edit_prepared`, and where memory runs out the same one step down.

        Raises:
            OutOfMemoryError: it ran out there too, or no step is left.
        """
        cache = open_cache(prepared.recipe.cache)
        return self._with_less_memory(
            lambda: edit_prepared(
                self._leaner(prepared), request, editor=self._loaded(), progress=progress, cache=cache
            )
        )

    def _with_less_memory(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except Exception as error:  # no common class: torch, NumPy, OpenCV and the drivers each have their own
            if not is_out_of_memory(error):
                raise
        # Out here the traceback no longer holds on to the tensors of the attempt that failed.
        self._step_down()
        try:
            return work()
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise stopped(self._device(), self._step) from None

    def _step_down(self) -> None:
        leaner = None if self._step else step_down(self._recipe, self._device())
        if leaner is None:
            raise stopped(self._device(), self._step)
        self._editor = None
        release()
        self._recipe, self._step = leaner

    def _leaner(self, prepared: Prepared) -> Prepared:
        if not self._step:
            return prepared
        choice = replace(prepared.choice, recipe=self._recipe, step_down=self._step)
        said = f"the memory ran out; done with {self._step}"
        return replace(prepared, choice=choice, warnings=(*prepared.warnings, said))

    def _loaded(self) -> Editor:
        if self._editor is None:
            self._editor = load_editor(self._recipe)
        return self._editor

    def _device(self) -> str:
        from faceedit.models.plan import device_plan

        return device_plan(self._recipe.device).device.type
