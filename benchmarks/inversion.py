"""How well and how fast each inversion reconstructs rendered validation portraits, in one run.

"gap" is the PSNR to the picture that is lost against the autoencoder's own reconstruction; "to it" is the PSNR to that
reconstruction. "plain" is DDIM inversion and guided sampling with the empty sentence: what null-text repairs.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faceedit import faces
from faceedit.editors.mag_edit.trajectory import INVERSIONS, invert_portrait
from faceedit.evaluate.runner import portrait_of_render, words_of
from faceedit.evaluate.tasks import make_tasks
from faceedit.models.loader import load_components
from faceedit.models.plan import device_plan
from faceedit.models.stable_diffusion import StableDiffusion
from faceedit.recipe import load_recipe
from faceedit.samplers.ddim import DdimSchedule, ddim_schedule
from faceedit.samplers.inversion import guided_chain

METHODS = ("plain", *INVERSIONS)


@dataclass
class Row:
    """Figures of one method, one entry per portrait."""

    psnr: list[float] = field(default_factory=list)
    gap: list[float] = field(default_factory=list)
    to_autoencoder: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    forwards: list[int] = field(default_factory=list)
    backwards: list[int] = field(default_factory=list)


def main() -> None:
    """Print one line for each method, averages over the portraits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="mini/mag-edit")
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. sampling.steps=50")
    asked = parser.parse_args()
    recipe = load_recipe(asked.recipe, dict(item.split("=", 1) for item in asked.set))
    backbone = StableDiffusion(load_components(recipe.weights, device_plan(recipe.device)))
    schedule = ddim_schedule(backbone.scheduler_config, recipe.sampling.steps)
    rows = {method: Row() for method in METHODS}
    own = []
    for task in make_tasks(asked.count, asked.seed, split="validation"):
        crop = faces.crop_pixels(portrait_of_render(task.before), recipe.size)
        pixels = np.asarray(crop, dtype=np.float32) / np.float32(255)
        source = words_of(task, recipe).source
        for method, row in rows.items():
            autoencoder, rebuilt = measure(backbone, pixels, source, schedule, method, recipe.sampling.guidance, row)
            row.psnr.append(psnr(rebuilt, pixels))
            row.gap.append(psnr(autoencoder, pixels) - row.psnr[-1])
            row.to_autoencoder.append(psnr(rebuilt, autoencoder))
        own.append(psnr(autoencoder, pixels))
    print(
        f"{recipe.name}, {recipe.weights.path or recipe.weights.repository}, {asked.count} validation portraits, "
        f"{len(schedule)} steps, guidance {recipe.sampling.guidance:g}, {backbone.device}, "
        f"{torch.get_num_threads()} threads"
    )
    print(f"the autoencoder's own PSNR: {np.mean(own):.2f} dB")
    print("| inversion | PSNR (dB) | gap (dB) | largest gap | to it (dB) | seconds | ratio | forwards | backwards |")
    print("|---|---|---|---|---|---|---|---|---|")
    slowest = np.mean(rows["null-text"].seconds)
    for method, row in rows.items():
        seconds = np.mean(row.seconds)
        print(
            f"| {method} | {np.mean(row.psnr):.2f} | {np.mean(row.gap):.2f} | {max(row.gap):.2f} | "
            f"{np.mean(row.to_autoencoder):.2f} | {seconds:.2f} | {seconds / slowest:.3f} | "
            f"{np.mean(row.forwards):.0f} | {np.mean(row.backwards):.0f} |"
        )


def measure(
    backbone: StableDiffusion,
    pixels: NDArray[np.float32],
    source: str,
    schedule: DdimSchedule,
    method: str,
    guidance: float,
    row: Row,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The autoencoder's reconstruction and the method's, float32 [S, S, 3]; the work goes into `row`."""
    start = time.perf_counter()
    with counted(backbone.unet) as calls:
        inversion = "direct" if method == "plain" else method
        found = invert_portrait(backbone, pixels, source, schedule, inversion, guidance)
        end: Tensor = found.chain[-1]
        if method == "plain":
            text, empty = backbone.encode_text([source]), backbone.encode_text([""])
            with torch.no_grad():
                end = guided_chain(backbone.predict_noise, found.chain[0], text, empty, schedule, guidance)[-1]
        if end.device.type == "cuda":
            torch.cuda.synchronize()
    row.seconds.append(time.perf_counter() - start)
    row.forwards.append(len(calls))
    row.backwards.append(sum(calls))
    return backbone.decode_image(found.latents)[0], backbone.decode_image(end)[0]


@contextmanager
def counted(unet: Any) -> Iterator[list[bool]]:
    """For each call of the UNet in the block, whether a gradient flows back through it."""
    calls: list[bool] = []

    def note(_: Any, __: Any, named: dict[str, Any]) -> None:
        calls.append(named["encoder_hidden_states"].requires_grad)

    handle = unet.register_forward_pre_hook(note, with_kwargs=True)
    try:
        yield calls
    finally:
        handle.remove()


def psnr(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Peak signal-to-noise ratio in dB of pictures in [0, 1]; 99 where they are the same."""
    error = float(np.mean((a.astype(np.float64) - b) ** 2))
    return 99.0 if error == 0 else float(-10 * np.log10(error))


if __name__ == "__main__":
    main()
