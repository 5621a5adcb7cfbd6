"""The recipe sections of CA-Edit: the condition adapter CA² and the skin transition frequency guidance, STFG."""

from __future__ import annotations

from dataclasses import dataclass

from faceedit.recipe_option import option


@dataclass(frozen=True)
class CaEditOptions:
    """Reference net and causality-aware condition adapter (CA-Edit eqs 2 to 6).

    Noise, contrast, candidates and the mask on the latent grid are those of the section `inpaint`.
    """

    reference: bool = option(True, "use the reference net, where the weights hold one")
    adapter: bool = option(True, "use the adapter, where the weights hold one; false: the text alone (without CA²)")
    score: str = option(
        "learned",
        "what holds the visual attention back inside the mask: learned: the score predictor (eq. 3); fixed: the same "
        "score everywhere; none: parallel injection, as IP-Adapter",
        choices=("learned", "fixed", "none"),
    )
    fixed_score: float = option(
        0.8, "the score where it is fixed; 1 leaves the text alone inside the mask", at_least=0.0, at_most=1.0
    )
    score_scale: str = option(
        "softmax",
        "softmax: over the two logits of a position; spatial_minmax: their difference, stretched to [0, 1] over the "
        "positions",
        choices=("softmax", "spatial_minmax"),
    )
    vision: str = option(
        "original",
        "what the vision encoder sees: the original crop, or the crop with the masked region blanked to grey",
        choices=("original", "blanked"),
    )
    unguided_vision: str = option(
        "nothing",
        "what the unconditional half is shown: nothing, so that guidance strengthens the picture as it does the text; "
        "picture: the same as the conditional half, so that it strengthens the text alone",
        choices=("nothing", "picture"),
    )


@dataclass(frozen=True)
class StfgOptions:
    """Skin transition frequency guidance (CA-Edit eqs 7 to 10); needs no training and works on `inpaint` as well."""

    enabled: bool = option(False, "guide the seam's low frequencies towards the original")
    strength: float = option(
        0.05,
        "λ: relative: size of the change as a share of the noise inside the boundary region; absolute: eq. 10's own",
        at_least=0.0,
    )
    unit: str = option(
        "relative",
        "relative: λ is set at every step, and never past g's minimum; absolute: the same λ at every step",
        choices=("relative", "absolute"),
    )
    gradient: str = option(
        "closed-form",
        "closed-form: the noise counts as constant, no backward pass; networks: through all networks, dear in time and "
        "memory",
        choices=("closed-form", "networks"),
    )
    words: str = option(
        "sentence",
        "whose attention bounds the region: every word of the sentence that names the attribute, or only the phrase",
        choices=("sentence", "phrase"),
    )
    radius: float = option(
        0.25, "frequencies below this count as low, in cycles per latent cell", at_least=0.01, at_most=0.5
    )
    band: str = option(
        "centred", "centred, or the quadrant that the paper prints (for audit)", choices=("centred", "quadrant")
    )
    threshold: str = option(
        "inside",
        "inside: eq. 7, statistics inside the mask, which may leave no cell; least: the least attended sixth of the "
        "mask, never empty; appendix: eqs 12 and 13 (for audit)",
        choices=("inside", "least", "appendix"),
    )
    sign: str = option(
        "falling",
        "falling: the sign that lowers the distance g; printed: the paper's minus, which raises it (for audit)",
        choices=("falling", "printed"),
    )
