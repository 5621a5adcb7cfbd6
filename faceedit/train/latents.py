"""The portraits of a cache as latents: encoded once with the trained VAE, straight and mirrored."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

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
    vae = load_vae(vae_folder).to(device=device, memory_format=torch.channels_last)
    scale = 2 ** (len(vae.config.block_out_channels) - 1)
    side = portraits.images.shape[1] // scale

    def encode(pixels: Tensor) -> Tensor:
        pictures = pixels.to(device=device, memory_format=torch.channels_last)
        mean: Tensor = vae.encode(pictures).latent_dist.mean * vae.config.scaling_factor
        return mean

    shape = (vae.config.latent_channels, side, side)
    return cache_rows(portraits, {"vae": files_hash(vae_folder)}, target, shape, encode)


def cache_rows(
    portraits: PortraitCache,
    origin: dict[str, str],
    target: Path,
    shape: tuple[int, ...],
    encode: Callable[[Tensor], Tensor],
) -> NDArray[np.float16]:
    """What a frozen network makes of every row, computed now unless `target` holds it already.

    Args:
        portraits: the pictures.
        origin: name and hash of the network; another one is computed anew.
        target: the `.npy` file; what it holds is described beside it.
        shape: of one row's answer.
        encode: pictures [B, 3, S, S] in [-1, 1] -> [B, *shape].

    Returns:
        float16 [N, 2, *shape], memory-mapped: of the straight and of the mirrored pictures.
    """
    wanted = {**origin, "rows": len(portraits), "first": _fingerprint(portraits)}
    marker = target.with_suffix(".json")
    if target.is_file() and marker.is_file() and json.loads(marker.read_text()) == wanted:
        found: NDArray[np.float16] = np.load(target, mmap_mode="r")
        return found
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.partial")
    answers = np.lib.format.open_memmap(partial, "w+", np.float16, (len(portraits), 2, *shape))
    with torch.inference_mode():
        for rows in batches(len(portraits), BATCH):
            image = to_tensor(portraits.images[rows])
            for mirrored, pictures in enumerate((image, image.flip(-1))):
                answers[rows[0] : rows[-1] + 1, mirrored] = encode(pictures).cpu().numpy()
    answers.flush()
    partial.replace(target)
    marker.write_text(json.dumps(wanted))
    done: NDArray[np.float16] = np.load(target, mmap_mode="r")
    return done


def files_hash(folder: Path) -> str:
    """One hash over a folder's weight files."""
    digest = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _fingerprint(portraits: PortraitCache) -> str:
    """Portraits rendered anew by a changed renderer must be encoded anew."""
    return hashlib.sha256(np.asarray(portraits.images[:16]).tobytes()).hexdigest()
