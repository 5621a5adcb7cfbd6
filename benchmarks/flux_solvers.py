"""How well each solver comes back from the noise, over the evaluations that it takes: rendered validation portraits.

A portrait is inverted under the sentence that describes it and led back under the same sentence, at the guidance of the
inversion ("back") and at that of an edit ("guided"). RMSE is that of the latents; PSNR is to the autoencoder's own
reconstruction, so that neither counts what the autoencoder loses.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from faceedit import faces
from faceedit.evaluate.runner import portrait_of_render, words_of
from faceedit.evaluate.tasks import make_tasks
from faceedit.models.flux import Flux, FluxText, pack, unpack
from faceedit.models.loader import load_components
from faceedit.models.plan import device_plan
from faceedit.models.stable_diffusion import to_model_range
from faceedit.recipe import load_recipe
from faceedit.samplers.flow import SOLVERS, Evaluation, Solver
from faceedit.samplers.flow_schedule import flow_schedule

TICKS = (8, 16, 32, 64, 128)


@dataclass
class Row:
    """Figures of one solver at one number of steps, one entry per portrait; evaluations are there and back."""

    evaluations: list[int] = field(default_factory=list)
    rmse: list[float] = field(default_factory=list)
    psnr: list[float] = field(default_factory=list)
    guided_rmse: list[float] = field(default_factory=list)
    guided_psnr: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)


Rows = Mapping[tuple[str, int], Row]


def main() -> None:
    """Print one line for each solver and number of steps, averages over the portraits; draw them where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", default="mini/flux-sculptor")
    parser.add_argument("--count", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, nargs="+", default=[4, 8, 15, 30])
    parser.add_argument("--chart", type=Path, help="PNG file; needs matplotlib")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="e.g. sampling.guidance=4")
    asked = parser.parse_args()
    recipe = load_recipe(asked.recipe, dict(item.split("=", 1) for item in asked.set))
    flux = Flux(load_components(recipe.weights, device_plan(recipe.device)), recipe.flux_sculptor.text_tokens)
    trip = RoundTrip(flux, recipe.size, recipe.flux_sculptor.inversion_guidance, recipe.sampling.guidance)
    rows = {(solver, steps): Row() for solver in SOLVERS for steps in asked.steps}
    own, powers = [], []
    for task in make_tasks(asked.count, asked.seed, split="validation"):
        crop = faces.crop_pixels(portrait_of_render(task.before), recipe.size)
        pixels = np.asarray(crop, dtype=np.float32) / np.float32(255)
        z0 = flux.encode_image(to_model_range(pixels))
        autoencoder = flux.decode_image(z0)[0]
        own.append(psnr(autoencoder, pixels))
        powers.append(float(z0.square().mean()))
        text = flux.encode_text([words_of(task, recipe).source])
        for (solver, steps), row in rows.items():
            trip.measure(z0, autoencoder, text, SOLVERS[solver], steps, row)
    print(
        f"{recipe.name}, {recipe.weights.path or recipe.weights.repository or 'random'}, {asked.count} validation "
        f"portraits of {recipe.size} px, guidance {trip.inversion:g} there and {trip.inversion:g} or {trip.edit:g} "
        f"back, {flux.device}, {torch.get_num_threads()} threads"
    )
    print(f"the autoencoder's own PSNR: {np.mean(own):.2f} dB; latents have an RMS of {np.sqrt(np.mean(powers)):.3f}")
    print(table(rows))
    if asked.chart is not None:
        draw(rows, trip.edit, asked.chart)


class RoundTrip:
    """From a portrait's latents into the noise and back, twice: at the guidance of the inversion, and of an edit.

    Args:
        flux: the backbone.
        side: S of the pictures, in pixels.
        inversion, edit: the two guidances.
    """

    def __init__(self, flux: Flux, side: int, inversion: float, edit: float) -> None:
        self.flux = flux
        self.size = flux.grid(side)
        self.inversion, self.edit = inversion, edit

    @torch.no_grad()
    def measure(
        self, z0: Tensor, autoencoder: NDArray[np.float32], text: FluxText, solver: Solver, steps: int, row: Row
    ) -> None:
        """Both ways of one portrait; `autoencoder`, float32 [S, S, 3], is what the decoder makes of `z0`."""
        times = flow_schedule(self.flux.scheduler_config, steps, self.size[0] * self.size[1])
        start = time.perf_counter()
        with counted(self.flux.transformer) as calls:
            noise = self._follow(solver, pack(z0), times.times, text, self.inversion)
            back = self._follow(solver, noise, times.descending, text, self.inversion)
            if back.device.type == "cuda":
                torch.cuda.synchronize()
        row.seconds.append(time.perf_counter() - start)
        row.evaluations.append(len(calls))
        guided = self._follow(solver, noise, times.descending, text, self.edit)
        for end, errors, decibels in ((back, row.rmse, row.psnr), (guided, row.guided_rmse, row.guided_psnr)):
            latents = unpack(end, self.size)
            errors.append(float((latents - z0).square().mean().sqrt()))
            decibels.append(psnr(self.flux.decode_image(latents)[0], autoencoder))

    def _follow(self, solver: Solver, z: Tensor, times: Tensor, text: FluxText, guidance: float) -> Tensor:
        def velocity(z: Tensor, where: Evaluation) -> Tensor:
            return self.flux.velocity(z, where.t, text, guidance, self.size)

        for _, latents in solver(velocity, z, times):
            z = latents
        return z


@contextmanager
def counted(transformer: Any) -> Iterator[list[None]]:
    """One entry for each call of the transformer in the block."""
    calls: list[None] = []
    handle = transformer.register_forward_pre_hook(lambda *_: calls.append(None))
    try:
        yield calls
    finally:
        handle.remove()


def table(rows: Rows) -> str:
    """Markdown, in order of evaluations."""
    lines = [
        "| solver | steps | evaluations | RMSE back | PSNR back, dB | RMSE guided | PSNR guided, dB | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for (solver, steps), row in sorted(rows.items(), key=lambda item: item[1].evaluations):
        lines.append(
            f"| {solver} | {steps} | {row.evaluations[0]} | {np.mean(row.rmse):.4f} | {np.mean(row.psnr):.2f} | "
            f"{np.mean(row.guided_rmse):.4f} | {np.mean(row.guided_psnr):.2f} | {np.mean(row.seconds):.2f} |"
        )
    return "\n".join(lines)


def draw(rows: Rows, guidance: float, path: Path) -> None:
    """A curve per solver over the evaluations, back and guided in a panel each. Needs matplotlib."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    panels = figure.subplots(1, 2)
    for panel, name, values in zip(panels, ("back", "guided"), ("psnr", "guided_psnr"), strict=True):
        for solver in SOLVERS:
            points = curve(rows, solver, values)
            panel.plot(*points, marker="o", label=solver)
        panel.set(xscale="log")
        panel.minorticks_off()
        panel.set_xticks(TICKS, [str(tick) for tick in TICKS])
        told = "the inversion's guidance" if name == "back" else f"guidance {guidance:g}"
        panel.set(title=f"led back at {told}", xlabel="evaluations of the transformer, there and back")
        panel.set_ylabel("PSNR to the autoencoder's, dB")
    panels[0].legend()
    canvas: Any = FigureCanvasAgg(figure)
    canvas.print_png(str(path))


def curve(rows: Rows, solver: str, values: str) -> tuple[Sequence[int], Sequence[float]]:
    """Evaluations and the mean of a figure for each number of steps of a solver."""
    own = sorted((row for (name, _), row in rows.items() if name == solver), key=lambda row: row.evaluations)
    return [row.evaluations[0] for row in own], [float(np.mean(getattr(row, values))) for row in own]


def psnr(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Peak signal-to-noise ratio in dB of pictures in [0, 1]; 99 where they are the same."""
    error = float(np.mean((a.astype(np.float64) - b) ** 2))
    return 99.0 if error == 0 else float(-10 * np.log10(error))


if __name__ == "__main__":
    main()
