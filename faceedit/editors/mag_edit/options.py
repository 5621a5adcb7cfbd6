"""The recipe section of MAG-Edit."""

from __future__ import annotations

from dataclasses import dataclass

from faceedit.recipe_option import option


@dataclass(frozen=True)
class MagEditOptions:
    """Inversion, attention injection and mask-based constraints (MAG-Edit eqs 4 to 9). Shares are of all steps."""

    inversion: str = option(
        "auto",
        "how the picture is brought into the noise: null-text (optimised null embeddings), direct (the source branch "
        "is held on the stored inversion latents), npi (the source sentence as negative prompt); auto: direct",
        choices=("auto", "null-text", "direct", "npi"),
    )
    constraint: str = option(
        "auto",
        "what guides the latents inside the mask: token (eq. 5, keeps structure), spatial (eq. 6, changes more), none "
        "(Prompt-to-Prompt with blending); auto: token for colours and textures, spatial for shapes",
        choices=("auto", "token", "spatial", "none"),
    )
    preset: str = option(
        "auto",
        "kind of edit, which sets how long structure is held: colour, texture or shape; auto: by the words",
        choices=("auto", "colour", "texture", "shape"),
    )
    iterations: int = option(15, "updates of the latents per guided step (MAX_IT)", at_least=0, at_most=1000)
    scale: float = option(2.5, "weight of the constraint on the new words (λ_p)", at_least=0.0, at_most=1000.0)
    balance: float = option(3.0, "weight of what lies outside the mask in the spatial ratio (λ)", at_least=0.0)
    shares: str = option("", "share of each phrase in the guidance, in order, e.g. 0.7,0.3; empty: equal shares")
    negative: str = option(
        "auto",
        "words of the source that the latents are led away from (eq. 7), e.g. black,beard; auto: what a removal takes "
        "away; replaced: all that the target lost; none",
    )
    negative_prompt: str = option("", "sentence that the negative words stand in; empty: the source sentence")
    negative_scale: float = option(5.5, "weight of the constraint on the negative words (λ_ng)", at_least=0.0)
    guided: float = option(0.5, "share of the steps, from the first, that are guided (τ2)", at_least=0.0, at_most=1.0)
    inject: float = option(
        -1.0,
        "share of the steps in which common words keep their attention (τ1); negative: 0.8 for colour and texture, "
        "0.2 for shape",
        at_least=-1.0,
        at_most=1.0,
    )
    inject_self: float = option(0.5, "share of the steps in which self-attention is kept", at_least=0.0, at_most=1.0)
    self_side: int = option(32, "largest feature map whose self-attention is kept", at_least=1)
    sides: str = option("16", "feature maps whose cross-attention the constraints read, e.g. 16 or 16,8")
    reweight: float = option(1.0, "factor on the new words' attention (re-weighting)", at_least=0.0, at_most=100.0)
    blend: float = option(
        0.3,
        "share of the steps, to the last, that take the rest of the picture from the reconstruction",
        at_least=0.0,
        at_most=1.0,
    )
    contrast: str = option(
        "nothing",
        "what guidance leads away from with direct inversion: nothing (the empty sentence) or the source sentence",
        choices=("nothing", "source"),
    )
    exact_reference: bool = option(False, "do everything the plain, slow way, as a yardstick for the fast one")
