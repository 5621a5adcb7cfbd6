"""Exact regions of a rendered portrait, as drawn or made as rough as a hand-drawn mask; for tests and benchmarks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from faceedit import masks
from faceedit.errors import NothingToEditError, UsageError
from faceedit.portraits.render import Rendered
from faceedit.request import EditText, Float2, Mask, Portrait

Roughness = Literal["exact", "dilate", "hull"]
ROUGHNESSES: tuple[Roughness, ...] = ("exact", "dilate", "hull")

DILATION = 0.03
"""Radius of the dilation as a share of the portrait's side. FFLEBench roughens its masks too, but names no radius; this
one is ours."""


def roughen(region: Float2, how: Roughness, radius: float = DILATION) -> Float2:
    """A region as somebody might have drawn it.

    Args:
        region: float32 [S, S] in [0, 1].
        how: "exact" leaves it, "dilate" grows it by a disc, "hull" takes its convex hull.
        radius: of the disc, as a share of S.

    Returns:
        float32 [S, S] in [0, 1], nowhere below `region`.

    Raises:
        UsageError: `how` is none of these.
    """
    if how not in ROUGHNESSES:
        raise UsageError(f"unknown roughness {how!r}", f"one of: {', '.join(ROUGHNESSES)}")
    if how == "dilate":
        return masks.dilate(region, radius * region.shape[0])
    return masks.convex_hull(region) if how == "hull" else region


@dataclass(frozen=True)
class ExactRegions:
    """The locator that knows the truth.

    Attributes:
        rendered: the portrait, rendered with its regions; it must be the picture that is edited, at the same size.
        how: how rough the mask is made.
        radius: of the dilation, as a share of the portrait's side.
    """

    rendered: Rendered
    how: Roughness = "exact"
    radius: float = DILATION

    def locate(self, portrait: Portrait, edit: EditText) -> Mask:
        """The union of the exact regions of `edit.regions`, roughened; origin "exact: lips".

        Raises:
            UsageError: the edit names no region, or the picture has another size than the rendered portrait.
            NothingToEditError: the portrait has nothing of these regions.
        """
        if not edit.regions:
            raise UsageError("the edit names no place on the face", "give --region NAME or --mask FILE")
        side = self.rendered.size
        if portrait.picture.size != (side, side):
            height, width = portrait.picture.size
            raise UsageError(f"the picture is {width}x{height}, the rendered portrait {side}x{side}", "render it alike")
        region = masks.union(*(self.rendered.regions[name] for name in edit.regions))
        if not region.any():
            raise NothingToEditError(f"the portrait has no {', '.join(edit.regions)}", "choose another region")
        return Mask(roughen(region, self.how, self.radius), f"{self.how}: {', '.join(edit.regions)}")
