"""The portraits of a cache as latents: encoded once with the trained VAE, straight and mirrored."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from faceedit.train.data import PortraitCache, batches
from faceedit.train.tensors import to_tensor

BATCH = 64


def load_vae(folder: Path) -> Any:
    """A trained `AutoencoderKL`, frozen and in eval mode."""
    from diffusers import AutoencoderKL

    return AutoencoderKL.from_pretrained(folder, use_safetensors=True).requires_grad_(False).eval()


def cache_latents(portraits: PortraitCache, vae_folder: Path, target: Path, device: str = "cpu") -> NDArray[np.float16]:
    """Scaled mean latents of every row, encoded now unless `target` holds those of this very VAE.

    Returns:
        float16 [N, 2, C, h, w], memory-mapped: straight and mirrored, times the VAE's `scaling_factor`.
    """
    wanted = {"vae": _hash(vae_folder), "rows": len(portraits), "first": _fingerprint(portraits)}
    marker = target.with_suffix(".json")
    if target.is_file() and marker.is_file() and json.loads(marker.read_text()) == wanted:
        found: NDArray[np.float16] = np.load(target, mmap_mode="r")
        return found
    vae = load_vae(vae_folder).to(device=device, memory_format=torch.channels_last)
    scale = 2 ** (len(vae.config.block_out_channels) - 1)
    side = portraits.images.shape[1] // scale
    shape = (len(portraits), 2, vae.config.latent_channels, side, side)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    latents = np.lib.format.open_memmap(partial, "w+", np.float16, shape)
    with torch.inference_mode():
        for rows in batches(len(portraits), BATCH):
            image = to_tensor(portraits.images[rows]).to(device=device, memory_format=torch.channels_last)
            for mirrored, pictures in enumerate((image, image.flip(-1))):
                mean = vae.encode(pictures).latent_dist.mean * vae.config.scaling_factor
                latents[rows[0] : rows[-1] + 1, mirrored] = mean.cpu().numpy()
    latents.flush()
    partial.replace(target)
    marker.write_text(json.dumps(wanted))
    done: NDArray[np.float16] = np.load(target, mmap_mode="r")
    return done


def _hash(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _fingerprint(portraits: PortraitCache) -> str:
    """Portraits rendered anew by a changed renderer must be encoded anew."""
    return hashlib.sha256(np.asarray(portraits.images[:16]).tobytes()).hexdigest()
