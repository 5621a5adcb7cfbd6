"""The numbers of one edit: options as shares and presets turned into steps, iterations and weights."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, cast

from faceedit.editors.mag_edit.kinds import Kind, leading_kind
from faceedit.errors import UsageError
from faceedit.request import AttributePhrase

# Paper, appendix B: τ1 = 10 of 50 for colours and textures, 40 for shapes, counted from the clean end.
_INJECT = {"colour": 0.8, "texture": 0.8, "shape": 0.2}
_CONSTRAINT = {"colour": "token", "texture": "token", "shape": "spatial"}


@dataclass(frozen=True)
class MagPlan:
    """One edit in steps, counted from 0 at the noisy end.

    Attributes:
        kind: colour, texture or shape.
        constraint: "token", "spatial" or "none".
        cross_until, own_until: first step without injected cross-attention, self-attention.
        guided_until: first step without guidance.
        blend_from: first step after which the rest of the picture comes from the reconstruction.
        iterations: updates of the latents at each guided step.
        scale, negative_scale: λ_p and λ_ng.
        sides: feature maps whose cross-attention is read.
    """

    kind: Kind
    constraint: str
    cross_until: int
    own_until: int
    guided_until: int
    blend_from: int
    iterations: int
    scale: float
    negative_scale: float
    sides: frozenset[int]


def plan_edit(options: Any, steps: int, strength: float, phrases: tuple[AttributePhrase, ...]) -> MagPlan:
    """Resolve the recipe's `mag_edit` section for an edit.

    Strength in [0, 1] turns the granularity (figures 14 and 17): that share of the iterations is run, and what rounding
    to whole ones adds is taken from the weights, so that every strength does something else; 0 guides nothing.

    Raises:
        UsageError: `sides` is no list of whole numbers.
    """
    kind = leading_kind(phrases) if options.preset == "auto" else cast(Kind, options.preset)
    constraint = _CONSTRAINT[kind] if options.constraint == "auto" else options.constraint
    inject = _INJECT[kind] if options.inject < 0 else options.inject
    wanted = options.iterations * strength
    iterations = 0 if constraint == "none" else math.ceil(wanted)
    part = wanted / iterations if iterations else 0.0
    return MagPlan(
        kind=kind,
        constraint=constraint,
        # As in Prompt-to-Prompt, which counts T + 1 levels: 40 and 25 of 50 steps.
        cross_until=int(inject * (steps + 1)),
        own_until=int(options.inject_self * steps),
        guided_until=round(options.guided * steps) if iterations else 0,
        blend_from=steps - round(options.blend * steps),
        iterations=iterations,
        scale=options.scale * part,
        negative_scale=options.negative_scale * part,
        sides=frozenset(_numbers(options.sides, int, "mag_edit.sides", "16 or 16,8")),
    )


def phrase_shares(text: str, count: int) -> tuple[float, ...]:
    """The shares λ_i of `count` phrases (eq. 9), which sum to 1; equal ones for an empty text.

    Raises:
        UsageError: not one number for each phrase, a negative one, or another sum.
    """
    if not text.strip():
        return (1 / count,) * count
    shares = _numbers(text, float, "mag_edit.shares", "0.7,0.3")
    if len(shares) != count or min(shares) < 0 or abs(sum(shares) - 1) > 1e-3:
        raise UsageError(
            f"mag_edit.shares: {text!r} is not {count} shares that sum to 1", "one for each phrase, e.g. 0.7,0.3"
        )
    return shares


def _numbers(text: str, kind: Any, name: str, example: str) -> tuple[Any, ...]:
    try:
        return tuple(kind(part) for part in text.split(","))
    except ValueError as error:
        raise UsageError(f"{name}: {text!r} is no list of numbers", f"e.g. {example}") from error
