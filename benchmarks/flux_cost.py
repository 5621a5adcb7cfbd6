"""What Flux-Sculptor adds to one call of the transformer, and what its value bank takes, with random weights.

Every round times all ways once, in an order of its own, and the ratios are taken within the round: the machine's mood
falls on all alike. On a CPU the processor time of this process is counted, on CUDA the time until the device is done.

    bare      the transformer with diffusers' own processors
    store     ours, keeping the values of one row
    inject    ours, mixing them in by a soft mask
    bare-2    diffusers' own on two rows
    dual      ours on two rows, source and target

`--size mini` is the small FLUX's shape (width 224, 2 + 4 blocks, 256 tokens), `--size flux` FLUX.1-dev's at 1024 x 1024
in bf16 (24 GB of device memory and more).
"""

from __future__ import annotations

import argparse
import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from faceedit.attention.value_bank import HostBank, Key, ValueBank
from faceedit.attention.value_fusion import ValueFusion, block_count, dual, inject, store
from faceedit.editors.flux_sculptor.memory import activation_bytes, bank_bytes
from faceedit.models.flux import image_ids


@dataclass(frozen=True)
class Size:
    """A transformer's configuration, its grid of image tokens and its text tokens."""

    config: dict[str, Any]
    side: int
    text: int
    dtype: torch.dtype

    @property
    def tokens(self) -> int:
        return self.side**2


MINI = Size(
    {
        "in_channels": 16,
        "num_layers": 2,
        "num_single_layers": 4,
        "attention_head_dim": 56,
        "num_attention_heads": 4,
        "joint_attention_dim": 128,
        "pooled_projection_dim": 128,
        "guidance_embeds": True,
        "axes_dims_rope": (16, 20, 20),
    },
    side=16,
    text=48,
    dtype=torch.float32,
)
SIZES = {"mini": MINI, "flux": Size({"guidance_embeds": True}, side=64, text=512, dtype=torch.bfloat16)}
KEYS: tuple[Key, ...] = (("n", 1), ("m", 1))


class Bench:
    """A transformer with random weights and the calls that are timed."""

    def __init__(self, size: Size, device: torch.device, blocks: int, host: bool) -> None:
        from diffusers import FluxTransformer2DModel

        self.size, self.device, self.blocks = size, device, blocks
        with torch.device(device):
            torch.set_default_dtype(size.dtype)
            try:
                self.transformer = FluxTransformer2DModel(**size.config).eval().requires_grad_(False)
            finally:
                torch.set_default_dtype(torch.float32)
        self.fusion = ValueFusion(self.transformer, blocks, size.tokens)
        self.bank = (HostBank if host else ValueBank)(KEYS, blocks)
        self.mask = torch.linspace(0, 1, size.tokens, device=device, dtype=size.dtype)[None, :, None]
        generator = torch.Generator().manual_seed(0)
        config = self.transformer.config
        widths = (config.in_channels, config.joint_attention_dim)
        self.given = [
            torch.randn(2, length, width, generator=generator).to(device, size.dtype)
            for length, width in zip((size.tokens, size.text), widths, strict=True)
        ]
        self.pooled = torch.randn(2, config.pooled_projection_dim, generator=generator).to(device, size.dtype)

    @torch.no_grad()
    def call(self, rows: int) -> Tensor:
        """One evaluation of so many rows."""
        z, text = (given[:rows] for given in self.given)
        out: Tensor = self.transformer(
            hidden_states=z,
            encoder_hidden_states=text,
            pooled_projections=self.pooled[:rows],
            timestep=torch.full((rows,), 0.5, device=self.device),
            guidance=torch.full((rows,), 2.0, device=self.device),
            img_ids=image_ids((self.size.side, self.size.side), self.device),
            txt_ids=torch.zeros(self.size.text, 3, device=self.device),
            return_dict=False,
        )[0]
        return out

    def ways(self) -> dict[str, Callable[[], Tensor]]:
        """What is timed, by name."""

        def fused(act: Any, rows: int) -> Tensor:
            with self.fusion.acting(act):
                return self.call(rows)

        return {
            "bare": lambda: self.call(1),
            "store": lambda: fused(store(self.bank, KEYS[0]), 1),
            "inject": lambda: fused(inject(self.bank, KEYS[0], self.mask), 1),
            "bare-2": lambda: self.call(2),
            "dual": lambda: fused(dual(self.mask), 2),
        }

    def seconds(self, work: Callable[[], Tensor]) -> float:
        """Time of one call."""
        cuda = self.device.type == "cuda"
        clock = time.perf_counter if cuda else time.process_time
        start = clock()
        work()
        if cuda:
            torch.cuda.synchronize(self.device)
        return clock() - start


def measured(bench: Bench, rounds: int, warm: int) -> dict[str, Sequence[float]]:
    """way -> seconds in every round."""
    ways, order = bench.ways(), random.Random(0)
    found: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(warm + rounds):
        for name in order.sample(list(ways), len(ways)):
            seconds = bench.seconds(ways[name])
            if number >= warm:
                found[name].append(seconds)
    return found


def report(found: dict[str, Sequence[float]]) -> None:
    """Print medians and, for each way, its ratio to diffusers' own processors on as many rows."""
    print("| way | rows | ms, median | ratio to bare, median | quartiles |")
    print("|---|---|---|---|---|")
    for name, seconds in found.items():
        two = name in ("dual", "bare-2")
        ratios = np.asarray(seconds) / np.asarray(found["bare-2" if name == "dual" else "bare"])
        low, middle, high = np.percentile(ratios, (25, 50, 75))
        of = " (bare-2)" if name == "dual" else ""
        print(f"| {name} | {1 + two} | {1000 * np.median(seconds):.2f} | {middle:.3f}{of} | {low:.3f} to {high:.3f} |")
    per_row = np.median(np.asarray(found["dual"]) / np.asarray(found["bare"])) / 2
    print(f"dual, for each of its two rows: {per_row:.3f} of a bare call of one row")


def memory(bench: Bench) -> None:
    """Print the bank's bytes and, on CUDA, the most that a call allocates, beside their formulas."""
    width, item = bench.transformer.inner_dim, bench.size.dtype.itemsize
    formula = bank_bytes(len(KEYS), bench.blocks, bench.size.tokens, width, item)
    print(f"bank of {len(KEYS)} evaluations and {bench.blocks} blocks: {bench.bank.nbytes} bytes, formula {formula}")
    if bench.device.type == "cuda":
        for rows in (1, 2):
            torch.cuda.reset_peak_memory_stats(bench.device)
            before = torch.cuda.memory_allocated(bench.device)
            bench.call(rows)
            found = torch.cuda.max_memory_allocated(bench.device) - before
            expected = activation_bytes(bench.size.tokens, bench.size.text, width, item, rows)
            print(f"activations of {rows} rows: {found} bytes, estimate {expected}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=tuple(SIZES), default="mini")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--blocks", type=int, default=0, help="m; 0: all of mini, 18 of flux")
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--warm", type=int, default=5, help="rounds before those that count")
    parser.add_argument("--host", action="store_true", help="bank in the machine's memory")
    parser.add_argument("--compile", action="store_true", help="with compile_repeated_blocks")
    asked = parser.parse_args()
    device, size = torch.device(asked.device), SIZES[asked.size]
    bench = Bench(size, device, asked.blocks or (18 if asked.size == "flux" else 6), asked.host)
    if asked.compile:
        bench.transformer.compile_repeated_blocks(fullgraph=True)
    bench.seconds(bench.ways()["store"])  # something to inject
    print(
        f"{asked.size}: {size.tokens} + {size.text} tokens, width {bench.transformer.inner_dim}, values mixed in "
        f"{bench.blocks} of {block_count(bench.transformer)} blocks, {size.dtype}, {device}, {asked.rounds} rounds"
        f"{', compiled' if asked.compile else ''}; torch {torch.__version__}, {torch.get_num_threads()} threads"
    )
    report(measured(bench, asked.rounds, asked.warm))
    memory(bench)


if __name__ == "__main__":
    main()
