"""The recipe section of MAG-Edit."""

from __future__ import annotations

from dataclasses import dataclass

from faceedit.recipe_option import option


@dataclass(frozen=True)
class MagEditOptions:
    """Inversion, attention injection and mask-based constraints (MAG-Edit eqs 4 to 9)."""

    inversion: str = option(
        "auto",
        "how the picture is brought into the noise: null-text (optimised null embeddings), direct (the source branch "
        "is held on the stored inversion latents), npi (the source sentence as negative prompt); auto: direct",
        choices=("auto", "null-text", "direct", "npi"),
    )
