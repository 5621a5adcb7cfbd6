"""The recipe sections of CA-Edit: the condition adapter CA² and the skin transition frequency guidance, STFG."""

from __future__ import annotations

from dataclasses import dataclass

from faceedit.recipe_option import option


@dataclass(frozen=True)
class CaEditOptions:
    """Reference net and causality-aware condition adapter (CA-Edit eqs 2 to 6)."""

    score: str = option(
        "learned",
        "what holds the visual attention back inside the mask: learned: the score predictor (eq. 3); fixed: the same "
        "score everywhere; none: parallel injection, as IP-Adapter",
        choices=("learned", "fixed", "none"),
    )


@dataclass(frozen=True)
class StfgOptions:
    """Skin transition frequency guidance (CA-Edit eqs 7 to 10); needs no training and works on `inpaint` as well."""

    enabled: bool = option(False, "guide the seam's low frequencies towards the original")
