"""Which step of an edit does what: the stages of S2D-EC, and the source's evaluations that an edit's own ones meet."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from faceedit.attention.value_bank import Key
from faceedit.editors.flux_sculptor.memory import LATENT_FUSIONS, VALUE_FUSIONS
from faceedit.errors import UsageError
from faceedit.samplers.flow import MIDPOINT, NODE, SOLVERS, Evaluation, Solver, evaluations


def structure_steps(options: Any, steps: int) -> int:
    """T of the recipe's `flux_sculptor` section for N steps.

    Raises:
        UsageError: more than N.
    """
    wanted: int = options.structure_steps or max(1, round(steps / 10))
    if wanted > steps:
        raise UsageError(
            f"{wanted} structure steps do not fit into {steps} sampling steps",
            f"set flux_sculptor.structure_steps to {steps} or less (0 chooses), or take more --steps",
        )
    return wanted


def steps_run(steps: int, strength: float) -> int:
    """How many of N steps are run at a strength in [0, 1]; at least one."""
    return max(1, round(steps * strength))


@dataclass(frozen=True)
class SculptPlan:
    """The steps i = K to 1 that are run, and what they hold on to.

    Attributes:
        times: float32 [K + 1], t_0 = 0 to t_K ascending; t_K is 1 at full strength.
        structure: T, the first steps, in which the structure is shaped; the others are for details.
        solver: name of the solver.
        fusion: as in the recipe.
        shift: 1 where a step's first evaluation meets that of the same step of the inversion (keying "interval").
        blocks: m.
        passes: calls of the transformer for one of an edit's evaluations; 2 with classifier-free guidance.
    """

    times: Tensor
    structure: int
    solver: str
    fusion: str
    shift: int
    blocks: int
    passes: int = 1

    def __len__(self) -> int:
        return len(self.times) - 1

    @property
    def solve(self) -> Solver:
        """The solver."""
        return SOLVERS[self.solver]

    @property
    def descending(self) -> Tensor:
        """The times in editing order."""
        return self.times.flip(0)

    @property
    def last(self) -> float:
        """t_K, the time of the noise that the picture is led into."""
        return self.times[-1].item()

    def fuses_latents(self, step: int) -> bool:
        """Whether the latents that step i leads to are mixed with the source's (eqs 10 to 13)."""
        return self.fusion in LATENT_FUSIONS and step > len(self) - self.structure

    def fuses_values(self, step: int) -> bool:
        """Whether the evaluations of step i mix attention values with the source's (eqs 14 to 16)."""
        return self.fusion in VALUE_FUSIONS and self.blocks > 0 and step <= len(self) - self.structure

    @cached_property
    def keys(self) -> tuple[Key, ...]:
        """The source's evaluations that an edit takes values from, in its order.

        Those that an inversion makes as well: FireFlow's extra one after a fused step meets none.
        """
        made = {_key(own) for own in evaluations(self.solve, self.times)}
        fused = {step for step in range(1, len(self) + 1) if self.fuses_latents(step)}
        asked = evaluations(self.solve, self.descending, fused)
        met = (self._source_of(own) for own in asked if self.fuses_values(own.step))
        return tuple(key for key in met if key in made)

    def source_key(self, own: Evaluation) -> Key | None:
        """The source's evaluation that one of the edit's takes values from, or `None`."""
        key = self._source_of(own)
        return key if self.fuses_values(own.step) and key in self.keys else None

    def own_key(self, made: Evaluation) -> Key | None:
        """The name under which the values of one of the inversion's evaluations are kept, or `None`."""
        key = _key(made)
        return key if key in self.keys else None

    def time_of(self, key: Key) -> float:
        """t of an evaluation of the inversion."""
        kind, number = key
        here = self.times[number].item()
        return here if kind == NODE else (self.times[number - 1].item() + here) / 2

    def _source_of(self, own: Evaluation) -> Key:
        return (NODE, own.node - self.shift) if own.kind == NODE else (MIDPOINT, own.step)


def _key(made: Evaluation) -> Key:
    return made.kind, made.node


def plan_edit(options: Any, times: Tensor, strength: float) -> SculptPlan:
    """Resolve the recipe's `flux_sculptor` section.

    Strength in [0, 1] is the share of the steps that is run, from the noisy end: the picture is inverted as far, and
    the first T of the steps that are run shape the structure.

    Args:
        options: the section.
        times: float32 [N + 1] ascending.
        strength: as in `sampling`.

    Raises:
        UsageError: T is more than N.
    """
    steps = len(times) - 1
    run = steps_run(steps, strength)
    return SculptPlan(
        times=times[: run + 1],
        structure=min(structure_steps(options, steps), run),
        solver=options.solver,
        fusion=options.fusion,
        shift=int(options.keying == "interval"),
        blocks=options.value_blocks,
        passes=1 if options.true_cfg_scale == 1 else 2,
    )
