"""The recipe section of Flux-Sculptor."""

from __future__ import annotations

from dataclasses import dataclass

from faceedit.recipe_option import option


@dataclass(frozen=True)
class FluxSculptorOptions:
    """Inversion by a rectified flow and structure-to-detail edit control, S2D-EC (Flux-Sculptor eqs 10 to 16)."""

    solver: str = option(
        "rf-solver",
        "how the flow is followed: rf-solver (second order, two evaluations a step; the paper's), fireflow (one and a "
        "little more), euler (one, first order)",
        choices=("rf-solver", "fireflow", "euler"),
    )
    fusion: str = option(
        "s2d-ec",
        "what holds on to the source outside the mask: s2d-ec (latents in the first T steps, then attention values), "
        "latent (only the first part of that), value (only the second), none",
        choices=("s2d-ec", "latent", "value", "none"),
    )
    structure_steps: int = option(0, "T, steps that shape the structure; 0: a tenth of all, at least one", at_least=0)
    value_blocks: int = option(18, "m, the last blocks of the transformer whose values are mixed", at_least=0)
    bank: str = option(
        "auto",
        "where the source's values come from: store (kept from the inversion, on the device or in the machine's "
        "memory), dual (source and target in one batch, nothing kept); auto: store where it fits",
        choices=("auto", "store", "dual"),
    )
    keying: str = option(
        "exact",
        "which of the source's values meets a step's first evaluation: exact (of the same time), interval (of the same "
        "step of the inversion, a node earlier, as RF-Edit does)",
        choices=("exact", "interval"),
    )
    source_path: str = option(
        "line",
        "the source's latents in the first T steps: line (straight from the picture to its noise, eq. 10), trajectory "
        "(those that the inversion went through)",
        choices=("line", "trajectory"),
    )
    inversion_guidance: float = option(1.0, "guidance that the picture is inverted with", at_least=0.0, at_most=50.0)
    true_cfg_scale: float = option(
        1.0,
        "classifier-free guidance of the way back, away from the negative sentence or else the source's; for a "
        "transformer whose own guidance is not distilled; 1 switches it off, anything else doubles the evaluations",
        at_least=0.0,
        at_most=50.0,
    )
    text_tokens: int = option(512, "length that T5 pads sentences to; longer ones are refused", at_least=1, at_most=512)
    mask: str = option(
        "soft",
        "soft: every token is edited by its share of the mask; hard: wholly or not at all; whole: the source is held "
        "everywhere, as if nothing had been found",
        choices=("soft", "hard", "whole"),
    )
    mask_threshold: float = option(
        0.5, "hard: a token is edited when more than this share of it is masked", at_least=0.0, at_most=0.99
    )
    mask_dilate: int = option(0, "the mask grows by so many tokens", at_least=0, at_most=64)
    mask_grid: str = option(
        "token",
        "how fine the mask of the latents is: token (as that of the values), latent (2 x 2 cells to a token)",
        choices=("token", "latent"),
    )
