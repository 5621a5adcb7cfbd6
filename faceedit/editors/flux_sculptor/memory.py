"""What Flux-Sculptor needs of the memory, known before it runs: the value bank, latents and activations.

The bank holds the source's image values V of the last m blocks at every evaluation that value fusion takes them from
(eqs 14 to 16). Where neither the device nor the machine holds it, source and target run as two rows of one batch and no
bank is needed ("dual").
"""

from __future__ import annotations

from faceedit.errors import UsageError

STORE_DEVICE, STORE_HOST, DUAL = "store-device", "store-host", "dual"
LATENT_FUSIONS, VALUE_FUSIONS = ("s2d-ec", "latent"), ("s2d-ec", "value")
# What stays free beside the bank: the libraries' own work space on a device, everything else on a machine.
DEVICE_RESERVE, HOST_RESERVE = 1 << 30, 2 << 30
# Hidden states [rows, text + image, width] that are alive at the dearest point of a block, a single one's rotary
# embedding in fp32; counted on the full-size network (tests/editors/test_flux_memory.py).
_LIVE_STATES = 17.7
# Feature maps [S, S, 128] in fp32 at the dearest point of the decoder's last stage, counted in the same way.
_LIVE_MAPS = 6.01


def bank_bytes(keys: int, blocks: int, tokens: int, width: int, itemsize: int = 2) -> int:
    """Bytes of the bank: keys x blocks x image tokens x width of the hidden states x bytes a number."""
    return keys * blocks * tokens * width * itemsize


def latent_bytes(keys: int, tokens: int, channels: int) -> int:
    """Bytes of the source latents [L, channels] in fp32 that an inversion keeps; with them "dual" needs no bank."""
    return keys * tokens * channels * 4


def activation_bytes(tokens: int, text_tokens: int, width: int, itemsize: int = 2, rows: int = 1) -> int:
    """What one call of the transformer needs beside its weights, with an attention that keeps no matrix of scores."""
    return round(_LIVE_STATES * rows * (tokens + text_tokens) * width * itemsize)


def decoder_bytes(size: int, channels: int = 128) -> int:
    """What the autoencoder needs beside its weights to decode a picture of `size` x `size` pixels in fp32.

    `channels` are those of its last stage.
    """
    return round(_LIVE_MAPS * size * size * channels * 4)


def choose_bank(asked: str, needed: int, free_device: int, free_host: int) -> str:
    """Where the bank goes: the device where it fits, else the machine's pinned memory, else nowhere ("dual").

    Args:
        asked: `flux_sculptor.bank`: "auto", "store" or "dual".
        needed: bytes of the bank.
        free_device: free bytes of the device after the activations of a call; on a CPU the machine's.
        free_host: free bytes of the machine; 0 where the device is a CPU, whose memory is the same.

    Returns:
        "store-device", "store-host" or "dual".

    Raises:
        UsageError: "store" was asked for and neither holds it.
    """
    if asked == DUAL:
        return DUAL
    if needed + DEVICE_RESERVE <= free_device:
        return STORE_DEVICE
    if needed + HOST_RESERVE <= free_host:
        return STORE_HOST
    if asked == "store":
        raise UsageError(
            f"the value bank needs {needed / 1e9:.1f} GB; free are {free_device / 1e9:.1f} GB on the device and "
            f"{free_host / 1e9:.1f} GB beside it",
            "set flux_sculptor.bank=auto or dual, or take fewer sampling.steps or flux_sculptor.value_blocks",
        )
    return DUAL
