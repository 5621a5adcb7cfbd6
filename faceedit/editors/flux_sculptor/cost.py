"""What an edit with Flux-Sculptor costs, from its recipe and its models' configurations alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from faceedit.editors.flux_sculptor.memory import (
    DUAL,
    STORE_DEVICE,
    activation_bytes,
    bank_bytes,
    choose_bank,
    decoder_bytes,
    latent_bytes,
)
from faceedit.editors.flux_sculptor.plan import SculptPlan, plan_edit
from faceedit.errors import UsageError
from faceedit.models.flux import token_grid
from faceedit.samplers.flow import evaluations


@dataclass(frozen=True)
class Work:
    """How often the transformer runs in an inversion and one edit.

    Attributes:
        calls: in all (NFE).
        rows: rows of all calls; one with source and target in a batch has two.
    """

    calls: int
    rows: int


@dataclass(frozen=True)
class Room:
    """Memory that models take and leave.

    Attributes:
        phases: bytes of weights that are on the device together while the text encoders, the transformer and the
            autoencoder run, in this order.
        free_device: free bytes of the device before anything is loaded.
        free_host: those of the machine beside it; 0 where the device is a CPU.
    """

    phases: tuple[int, int, int]
    free_device: int
    free_host: int


@dataclass(frozen=True)
class Cost:
    """One edit, its inversion included.

    Attributes:
        evaluations: calls of the transformer (NFE), and `rows` of them.
        structure_steps: T, and `value_blocks` m.
        bank: "store-device", "store-host", "dual", or "none" where no values are mixed.
        bank_bytes: what it holds.
        activation_bytes: what one call of the transformer needs beside weights, estimated.
        peak_bytes: the most that is on the device at once, estimated: weights, bank, latents and activations.
    """

    evaluations: int
    rows: int
    structure_steps: int
    value_blocks: int
    bank: str
    bank_bytes: int
    activation_bytes: int
    peak_bytes: int


def work(plan: SculptPlan, dual: bool = False) -> Work:
    """Counted on the solvers themselves.

    With all values mixed RF-Solver makes 4N calls, FireFlow N+1 and N+1+T (a fused latent makes the velocity at hand
    stale), Euler 2N. "dual" adds a row to every call that mixes values; classifier-free guidance doubles an edit's
    calls.
    """
    fused = {step for step in range(1, len(plan) + 1) if plan.fuses_latents(step)}
    made, asked = evaluations(plan.solve, plan.times), evaluations(plan.solve, plan.descending, fused)
    mixed = sum(plan.source_key(own) is not None for own in asked)
    calls = len(made) + plan.passes * len(asked)
    return Work(calls, calls + plan.passes * mixed * dual)


def cost_of(recipe: Any, transformer: Any, vae: Any, itemsize: int, room: Room) -> Cost:
    """The cost of a recipe.

    Args:
        recipe: uses `size`, `sampling` and `flux_sculptor`.
        transformer, vae: for their configurations; their parameters may be on the meta device.
        itemsize: bytes of a number that the transformer computes with.
        room: the models' memory.

    Raises:
        UsageError: whatever would stop the edit: a size that is no whole number of tokens, more structure steps than
            steps, more value blocks than blocks, a bank that was asked for and does not fit.
    """
    options = recipe.flux_sculptor
    rows, columns = token_grid(recipe.size, vae.config)
    tokens, width = rows * columns, transformer.inner_dim
    blocks = len(transformer.transformer_blocks) + len(transformer.single_transformer_blocks)
    if options.value_blocks > blocks:
        raise UsageError(
            f"values cannot be mixed in {options.value_blocks} blocks: the transformer has {blocks}",
            f"set flux_sculptor.value_blocks to {blocks} or less",
        )
    times = torch.linspace(0, 1, recipe.sampling.steps + 1)
    plan = plan_edit(options, times, recipe.sampling.strength)
    needed = bank_bytes(len(plan.keys), plan.blocks, tokens, width, itemsize)
    one_row = activation_bytes(tokens, options.text_tokens, width, itemsize)
    decoding = decoder_bytes(recipe.size, vae.config.block_out_channels[0])
    left = max(0, room.free_device - room.phases[1] - max(one_row, decoding))
    bank = choose_bank(options.bank, needed, left, room.free_host) if plan.keys else "none"
    call = one_row * (2 if bank == DUAL else 1)
    path = latent_bytes(2 * len(plan) + 1, tokens, transformer.config.in_channels)
    held = path + (needed if bank == STORE_DEVICE else 0)
    text, denoiser, autoencoder = room.phases
    counted = work(plan, bank == DUAL)
    return Cost(
        evaluations=counted.calls,
        rows=counted.rows,
        structure_steps=plan.structure,
        value_blocks=plan.blocks,
        bank=bank,
        bank_bytes=0 if bank in (DUAL, "none") else needed,
        activation_bytes=call,
        peak_bytes=max(text, denoiser + call + held, autoencoder + decoding + held),
    )
