"""MAG-Edit's work and memory: the fast way against the plain one, and against the released algorithm with null-text.

`cost` counts UNet FLOPs (2 per multiply-add) and bytes held for the backward pass at the size of Stable Diffusion 1.4,
without weights or arithmetic (fake tensors that dispatch as on the CPU). `time` runs both ways on the bundled UNet, and
with `--sd` on one of full size with random weights.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from faceedit.attention.align import Alignment
from faceedit.attention.call import Layer
from faceedit.attention.control import AttentionControl
from faceedit.attention.inject import Injection, Maps

STEPS, GUIDED, CROSS, ITERATIONS, INNER = 50, 25, 40, 15, 10
SELF_SIDE = 32


def fused(q: Any, k: Any, v: Any, *_: Any, **__: Any) -> float:
    """FLOPs of the CPU's fused attention, which the counter does not know by itself, from the shapes."""
    return float(sdpa_flop_count(q, k, v))


def fused_backward(_gradient: Any, q: Any, k: Any, v: Any, *_: Any, **__: Any) -> float:
    """Its backward half makes five products where the forward half makes two."""
    return 2.5 * fused(q, k, v)


FUSED = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: fused,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: fused_backward,
}


@dataclass(frozen=True)
class Pass:
    """One kind of pass: its FLOPs, and the bytes that lie about between its forward and backward half."""

    flops: float
    held: int


class Bench:
    """The passes of an edit on one UNet, each as the editor makes them."""

    def __init__(self, unet: Any, side: int, watched: int) -> None:
        self.unet, self.side, self.watched = unet, side, watched
        width = unet.config.cross_attention_dim
        generator = torch.Generator().manual_seed(0)
        self.text = torch.randn(1, 77, width, generator=generator)
        self.pair = torch.cat([self.text, self.text])
        self.t = torch.tensor(501)
        common = torch.ones(77, dtype=torch.bool)
        common[4:6] = False
        self.alignment = Alignment(torch.arange(77), common)

    def latents(self, rows: int = 1) -> Tensor:
        """Latents with a gradient."""
        z = torch.randn(rows, 4, self.side, self.side, generator=torch.Generator().manual_seed(1))
        return z.requires_grad_()

    def control(self, plain: bool) -> AttentionControl:
        """A control that has seen the UNet once, as from the second step on."""
        control = AttentionControl(self.unet, [] if plain else [self.text, self.pair], explicit=plain)
        with control.installed():
            self.recorded(control)
        return control

    def recorded(self, control: AttentionControl) -> Maps:
        """The reconstruction's pass: all cross-attention, self-attention up to 32 x 32."""

        def wanted(layer: Layer) -> bool:
            return layer.cross or layer.side <= SELF_SIDE

        with torch.no_grad(), control.recording(wanted) as maps:
            self.unet(self.latents(), self.t, encoder_hidden_states=self.text)
        return {name: m for name, m in maps.items() if wanted(control.layers[name])}

    def injection(self, control: AttentionControl, maps: Maps) -> Injection:
        """What is taken over from those maps."""
        cross = {name: m for name, m in maps.items() if control.layers[name].cross}
        own = {name: m for name, m in maps.items() if name not in cross}
        return Injection.of(cross, own, self.alignment, None)

    def iteration(self, control: AttentionControl, maps: Maps) -> Tensor:
        """One update's gradient; the plain way makes the reconstruction's maps again first."""
        maps = self.recorded(control) if control.explicit else maps
        z = self.latents()
        with control.injecting(self.injection(control, maps), {self.watched}, only_maps=True) as seen:
            # The counter cannot follow a gradient to a leaf that is itself a module's input.
            self.unet(z * 1, self.t, encoder_hidden_states=self.text)
        return torch.autograd.grad(sum(m[..., 4:6].sum() for m in seen.values()), z)[0]

    def guided(self, control: AttentionControl, maps: Maps) -> None:
        """The sampling pass of two rows."""
        with torch.no_grad(), control.injecting(self.injection(control, maps), {self.watched}):
            self.unet(self.latents(2), self.t, encoder_hidden_states=self.pair)

    def null_text(self) -> None:
        """One inner step of null-text optimisation."""
        null = self.text.clone().requires_grad_()
        out = self.unet(self.latents().detach(), self.t, encoder_hidden_states=null * 1).sample
        out.square().sum().backward()


def counted(unet: Any, work: Callable[[], object]) -> Pass:
    """FLOPs of `work`, and the bytes of all tensors that autograd keeps in it, the network's parameters left out."""
    kept: dict[int, torch.UntypedStorage] = {}
    parameters = {parameter.untyped_storage()._cdata for parameter in unet.parameters()}

    def pack(x: Tensor) -> Tensor:
        storage = x.untyped_storage()
        if storage._cdata not in parameters:
            kept[storage._cdata] = storage
        return x

    counter = FlopCounterMode(display=False, custom_mapping=FUSED)
    with counter, torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        work()
    return Pass(counter.get_total_flops(), sum(storage.nbytes() for storage in kept.values()))


def sd_unet() -> Any:
    """The UNet of Stable Diffusion 1.4 with random weights, frozen."""
    from diffusers import UNet2DConditionModel

    unet = UNet2DConditionModel(sample_size=64, cross_attention_dim=768, attention_head_dim=8)
    return unet.eval().requires_grad_(False)


def cost() -> None:
    """Print counted FLOPs and bytes at the size of Stable Diffusion 1.4."""
    bench = Bench(sd_unet(), 64, 16)
    passes: dict[str, Pass] = {}
    for way, plain in (("plain", True), ("fast", False)):
        control = bench.control(plain)
        with control.installed():
            maps = bench.recorded(control)
            passes[f"{way} recording"] = counted(bench.unet, lambda c=control: bench.recorded(c))
            passes[f"{way} iteration"] = counted(bench.unet, lambda c=control, m=maps: bench.iteration(c, m))
            passes[f"{way} sampling"] = counted(bench.unet, lambda c=control, m=maps: bench.guided(c, m))
            held = sum(m.nbytes for m in maps.values())
            print(f"{way}: maps of the reconstruction {held / 2**30:.2f} GiB")
    with torch.no_grad():
        text = bench.text
        passes["forward"] = counted(
            bench.unet, lambda: bench.unet(bench.latents(), bench.t, encoder_hidden_states=text)
        )
    passes["null-text update, frozen"] = counted(bench.unet, bench.null_text)
    bench.unet.requires_grad_(True)
    control = bench.control(True)
    with control.installed():
        maps = bench.recorded(control)
        passes["plain iteration, network not frozen"] = counted(bench.unet, lambda: bench.iteration(control, maps))
    passes["null-text update, network not frozen"] = counted(bench.unet, bench.null_text)
    for name, found in passes.items():
        print(f"{name:40s} {found.flops / 1e9:7.0f} GFLOP, {found.held / 2**30:5.2f} GiB kept for the backward pass")
    totals(passes, held)


def totals(passes: dict[str, Pass], held: int) -> None:
    """Print the sums of whole edits at 50 steps, 25 of them guided with 15 updates each."""
    flops = {name: found.flops / 1e12 for name, found in passes.items()}
    forward = flops["forward"]
    plain_edit = GUIDED * ITERATIONS * flops["plain iteration"] + STEPS * 2 * flops["plain sampling"]
    fast_edit = (
        CROSS * flops["fast recording"]
        + GUIDED * ITERATIONS * flops["fast iteration"]
        + CROSS * flops["fast sampling"]
        + (STEPS - CROSS) * 2 * forward
    )
    inversion = STEPS * forward
    update = flops["null-text update, network not frozen"]
    for inner in (1, INNER):
        null_text = STEPS * (3 * forward + inner * update)
        first = inversion + null_text + plain_edit
        print(
            f"first edit, released with {inner} null-text updates a step: {first:.0f} TFLOP; "
            f"direct inversion, fast: {inversion + fast_edit:.0f} TFLOP, {first / (inversion + fast_edit):.2f} times "
            "less"
        )
    print(f"second edit: {plain_edit:.0f} and {fast_edit:.0f} TFLOP, {plain_edit / fast_edit:.2f} times less")
    print(f"iteration: {flops['plain iteration'] / flops['fast iteration']:.2f} times less")
    # The plain way makes the maps anew in every update; both hold one step's while an update runs.
    fast, plain = (passes[f"{way} iteration"].held + held for way in ("fast", "plain"))
    print(f"held by an update, reconstruction's maps included: {fast / plain:.0%} of {plain / 2**30:.2f} GiB")


def timed(bench: Bench, repeats: int) -> None:
    """Print measured seconds of one update both ways, the best of `repeats`."""
    best: dict[str, float] = {}
    for way, plain in (("plain", True), ("fast", False)):
        control = bench.control(plain)
        with control.installed():
            maps = bench.recorded(control)
            seconds = []
            for _ in range(repeats):
                start = time.perf_counter()
                found = counted(bench.unet, lambda c=control, m=maps: bench.iteration(c, m))
                seconds.append(time.perf_counter() - start)
        best[way] = min(seconds)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(
            f"{way} iteration: {best[way]:.3f} s, {found.flops / 1e9:.2f} GFLOP, {found.held / 2**20:.1f} MiB kept for "
            f"the backward pass; process peak so far {peak:.2f} GiB"
        )
    print(f"{best['plain'] / best['fast']:.2f} times faster")


def main() -> None:
    """Count or measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("cost", "time"))
    parser.add_argument("--sd", action="store_true", help="time on a UNet of full size with random weights (8 GB)")
    parser.add_argument("--side", type=int, default=16, help="feature maps that the constraint reads")
    parser.add_argument("--repeats", type=int, default=5)
    asked = parser.parse_args()
    if asked.what == "cost":
        with FakeTensorMode():
            cost()
    elif asked.sd:
        timed(Bench(sd_unet(), 64, asked.side), 1)
    else:
        from faceedit.models.loader import load_components
        from faceedit.models.plan import device_plan
        from faceedit.recipe import load_recipe

        recipe = load_recipe("mini/mag-edit", {"device.device": "cpu"})
        timed(
            Bench(load_components(recipe.weights, device_plan(recipe.device)).unet, 16, asked.side),
            asked.repeats,
        )


if __name__ == "__main__":
    main()
