"""CA-Edit's cost per step against its two bare network calls, and its ablations on portraits.

python benchmarks/ca_edit.py --size mini                                # cost: smoke, mini or sd15, random weights
python benchmarks/ca_edit.py --ablation 40 --split validation -o OUT    # table 3 and figure 7
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from ca_edit_ablation import ablation, draw, table
from torch import Tensor

from faceedit.editors.ca_edit.conditions import Conditions
from faceedit.editors.ca_edit.editor import CaPredictor
from faceedit.editors.ca_edit.parts import Parts
from faceedit.editors.seam import SeamGuidance
from faceedit.models.components import Components
from faceedit.models.condition_adapter import ConditionAdapter
from faceedit.models.random import random_components
from faceedit.models.reference_net import ReferenceNet
from faceedit.models.stable_diffusion import StableDiffusion
from faceedit.recipe import load_recipe
from faceedit.request import AttributePhrase, EditText
from faceedit.samplers.ddim import add_noise, ddim_schedule, ddim_step, guided

TEXT = EditText((AttributePhrase("rosy cheeks", ("cheeks",)),), "a person", "a person with rosy cheeks")
T = torch.tensor(501)
# Side of the latents, and what differs from the tiny UNet of the smoke recipes.
SIZES: dict[str, tuple[int, dict[str, Any] | None]] = {
    "smoke": (16, None),
    "mini": (
        16,
        {
            "block_out_channels": (64, 128, 192),
            "layers_per_block": 1,
            "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
            "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
            "cross_attention_dim": 128,
            "attention_head_dim": 4,
        },
    ),
    "sd15": (64, {"cross_attention_dim": 768}),
}


def networks(size: str, device: torch.device) -> Components:
    """Random weights in the shapes of one size."""
    from diffusers import UNet2DConditionModel

    components = random_components()
    config = SIZES[size][1]
    if config is not None:
        unet = UNet2DConditionModel(sample_size=SIZES[size][0], **config)
        net = ReferenceNet.from_unet(unet)
        adapter = ConditionAdapter.from_net(net, image_dim=1024, pooled_dim=config["cross_attention_dim"])
        components = replace(components, unet=unet, reference_net=net, adapter=adapter)
    for part in (components.unet, components.reference_net, components.adapter):
        part.eval().requires_grad_(False).to(device)
    return replace(components, device=device)


def stages(size: str, device: torch.device) -> Mapping[str, Callable[[], object]]:
    """What is timed: one step each, on one random state."""
    c = networks(size, device)
    side, width = SIZES[size][0], c.unet.config.cross_attention_dim
    z, known = (torch.randn(1, channels, side, side, device=device) for channels in (4, 5))
    text = torch.randn(2, 77, width, device=device)
    mask = torch.zeros(1, 1, side, side, device=device)
    mask[..., side // 4 : side // 2, side // 4 : 3 * side // 4] = 1
    features = torch.randn(2, c.adapter.config.image_dim, device=device)
    keys = c.adapter.project_kv(c.adapter.visual_tokens(features))
    conditions = Conditions(known, mask, keys, torch.tensor([1, 6], device=device))
    parts = Parts(c.unet, c.reference_net, c.adapter, c.reference_net, "learned", ())
    predict = CaPredictor(parts, StableDiffusion(c), conditions, load_recipe("smoke/ca-edit").ca_edit)
    schedule = ddim_schedule(dict(c.scheduler.config), 2)

    def both(x: Tensor) -> Tensor:
        uncond, cond = predict(torch.cat([x, x]), T, text).chunk(2)
        return guided(uncond, cond, 7.5)

    def bare() -> None:
        x = torch.cat([z, z])
        c.reference_net(x, T, text, known.expand(2, -1, -1, -1))
        c.unet(x, T, encoder_hidden_states=text)

    def step(denoise: Callable[[], Tensor]) -> None:
        moved = ddim_step(z, denoise(), schedule.alpha_bar[0], schedule.alpha_bar[1])
        torch.where(mask > 0, moved, add_noise(z, z, schedule.alpha_bar[1]))

    def guided_step(gradient: str) -> Callable[[], None]:
        options = load_recipe("smoke/ca-edit", {"stfg.gradient": gradient}).stfg
        config = dict(c.scheduler.config)
        seam = SeamGuidance(options, parts.host, c.tokenizer, TEXT, torch.randn_like(z), mask, 1, config)
        return lambda: step(lambda: seam(both, z, T))

    return {
        "the two networks alone": bare,
        "a step without STFG": lambda: step(lambda: both(z)),
        "a step with STFG, closed form": guided_step("closed-form"),
        "a step with STFG through the networks": guided_step("networks"),
    }


@torch.no_grad()
def measure(size: str, device: torch.device, rounds: int) -> dict[str, list[float]]:
    """Seconds of each stage in every round, one after the other: processor time on the CPU, wall time elsewhere."""
    clock = time.process_time if device.type == "cpu" else time.perf_counter
    jobs = stages(size, device)
    found: dict[str, list[float]] = {name: [] for name in jobs}
    for number in range(rounds + 1):
        for name, job in jobs.items():
            start = clock()
            job()
            if device.type == "cuda":
                torch.cuda.synchronize()
            if number:  # the first round warms up
                found[name].append(clock() - start)
    return found


def report(found: Mapping[str, list[float]]) -> str:
    """Best milliseconds of each stage; ratios are medians over the rounds, which a busy machine moves least."""
    bare, plain, closed, through = found.values()
    lines = [f"{name:40} {1000 * min(seconds):10.2f} ms" for name, seconds in found.items()]
    step, seam, networks = (
        statistics.median(b / a for a, b in zip(below, above, strict=True))
        for below, above in ((bare, plain), (plain, closed), (closed, through))
    )
    return "\n".join(
        [
            *lines,
            f"a step to its two network calls          {step:10.3f}",
            f"STFG in closed form on top               {seam - 1:10.1%}",
            f"through the networks to closed form      {networks:10.2f}",
        ]
    )


def main() -> None:
    """Run one of the two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", choices=SIZES, default="mini")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--ablation", type=int, metavar="EDITS", help="evaluate the ablations on so many edits")
    parser.add_argument("--split", default="held-out", choices=("held-out", "validation"))
    parser.add_argument("--recipe", default="mini/ca-edit")
    parser.add_argument("--baseline", default="mini/inpaint")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="over the recipe; may recur")
    parser.add_argument("-o", "--output", type=Path, default=Path("ca-edit-ablation"))
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    if given.ablation:
        settings = dict(pair.split("=", 1) for pair in given.set)
        found = ablation(given.recipe, given.baseline, given.ablation, given.split, settings)
        given.output.mkdir(parents=True, exist_ok=True)
        (given.output / "table.md").write_text(table(found), encoding="utf-8")
        draw(found, given.output / "figure-7.png")
        print(table(found))
    else:
        print(report(measure(given.size, torch.device(given.device), given.rounds)))


if __name__ == "__main__":
    main()
