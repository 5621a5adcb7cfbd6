"""Moved: see `faceedit.samplers.blended`."""

from faceedit.samplers.blended import blended_latents, latent_mask

__all__ = ["blended_latents", "latent_mask"]
