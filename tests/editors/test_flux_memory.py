"""Flux-Sculptor's cost before it runs: the reference's table, work per solver, and where the bank goes."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from faceedit.editors.flux_sculptor.cost import work
from faceedit.editors.flux_sculptor.memory import (
    DUAL,
    STORE_DEVICE,
    STORE_HOST,
    activation_bytes,
    bank_bytes,
    choose_bank,
    decoder_bytes,
    latent_bytes,
)
from faceedit.editors.flux_sculptor.options import FluxSculptorOptions
from faceedit.editors.flux_sculptor.plan import SculptPlan, plan_edit
from faceedit.errors import UsageError

GIB = 1024**3


def plan(solver: str, steps: int, structure: int, fusion: str = "s2d-ec") -> SculptPlan:
    options = FluxSculptorOptions(solver=solver, structure_steps=structure, fusion=fusion)
    return plan_edit(options, torch.linspace(0, 1, steps + 1), 1.0)


WIDTH, TEXT = 3072, 512
LARGE, SMALL = 4096, 1024


@pytest.mark.parametrize(
    ("solver", "tokens", "sizes"),
    [
        ("rf-solver", LARGE, (12.66, 22.78, 48.09, 72.14)),
        ("rf-solver", LARGE + TEXT, (14.24, 25.63, 54.11, 81.16)),
        ("fireflow", LARGE, (6.33, 11.39, 24.05, 36.07)),
        ("rf-solver", SMALL, (3.16, 5.70, 12.02, 18.04)),
    ],
)
def test_the_bank_has_the_bytes_of_the_published_reading(solver: str, tokens: int, sizes: tuple[float, ...]) -> None:
    """Breaks when a step, a kind of evaluation or a block is counted twice or left out (30 steps, T = 3, bf16)."""
    keys = len(plan(solver, 30, 3).keys)
    found = [bank_bytes(keys, blocks, tokens, WIDTH) / GIB for blocks in (10, 18, 38, 57)]
    assert found == [pytest.approx(size, abs=0.006) for size in sizes]


def test_the_default_bank_to_the_byte() -> None:
    """Breaks when the formula is only about right: m = 18, N = 30, T = 3 at 1024 x 1024 in bf16."""
    assert bank_bytes(len(plan("rf-solver", 30, 3).keys), 18, LARGE, WIDTH) == 24_461_180_928
    assert bank_bytes(len(plan("fireflow", 8, 1).keys), 18, LARGE, WIDTH) / GIB == pytest.approx(2.95, abs=0.006)
    assert latent_bytes(54, LARGE, 64) == 54 * 2**20


@pytest.mark.parametrize(
    ("solver", "steps", "structure", "fusion", "dual", "calls", "rows"),
    [
        ("rf-solver", 30, 3, "s2d-ec", False, 120, 120),
        ("rf-solver", 30, 3, "s2d-ec", True, 120, 174),
        ("fireflow", 30, 3, "s2d-ec", False, 65, 65),
        ("fireflow", 8, 1, "s2d-ec", False, 19, 19),
        ("fireflow", 30, 3, "value", False, 62, 62),
        ("fireflow", 8, 8, "latent", False, 25, 25),
        ("euler", 30, 3, "s2d-ec", True, 60, 87),
        ("rf-solver", 30, 3, "none", True, 120, 120),
        ("rf-solver", 4, 4, "s2d-ec", True, 16, 16),
    ],
)
def test_work_per_solver(
    solver: str, steps: int, structure: int, fusion: str, dual: bool, calls: int, rows: int
) -> None:
    """Breaks when the plan promises another number of evaluations than the solvers make."""
    found = work(plan(solver, steps, structure, fusion), dual)
    assert (found.calls, found.rows) == (calls, rows)


@pytest.mark.parametrize(
    ("asked", "device", "host", "chosen"),
    [
        ("auto", 40, 128, STORE_DEVICE),
        ("store", 40, 0, STORE_DEVICE),
        ("auto", 12, 64, STORE_HOST),
        ("store", 12, 64, STORE_HOST),
        ("auto", 12, 24, DUAL),
        ("auto", 12, 0, DUAL),
        ("dual", 80, 512, DUAL),
    ],
)
def test_the_bank_goes_where_it_fits(asked: str, device: int, host: int, chosen: str) -> None:
    """Breaks when a bank is put where it leaves no room, or the slower place is taken while the faster one fits."""
    assert choose_bank(asked, 24_461_180_928, device * GIB, host * GIB) == chosen


def test_a_bank_that_fits_nowhere_and_was_asked_for_is_refused() -> None:
    """Breaks when "store" quietly becomes "dual", or the user is not told what it would take."""
    with pytest.raises(UsageError, match=r"the value bank needs 24\.5 GB") as caught:
        choose_bank("store", 24_461_180_928, 12 * GIB, 24 * GIB)
    assert caught.value.exit_code == 2 and "flux_sculptor.bank" in caught.value.hint


class Alive(TorchDispatchMode):
    """Counts the bytes of all tensors that are alive at once, those of `module` left out."""

    def __init__(self, module: torch.nn.Module) -> None:
        super().__init__()
        self.known = {id(parameter.untyped_storage()): 0 for parameter in module.parameters()}
        self.now = self.peak = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                self.note(tensor.untyped_storage())
        return out

    def note(self, storage: torch.UntypedStorage) -> None:
        if id(storage) not in self.known:
            self.known[id(storage)] = storage.nbytes()
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self.forget, id(storage))

    def forget(self, key: int) -> None:
        self.now -= self.known.pop(key, 0)


def peak(module: torch.nn.Module, work: Callable[[], object]) -> int:
    with torch.no_grad(), Alive(module) as alive:
        work()
    return alive.peak


@pytest.mark.parametrize(("tokens", "rows"), [(LARGE, 1), (LARGE, 2), (SMALL, 1)])
def test_the_activations_of_a_call_are_as_estimated(tokens: int, rows: int) -> None:
    """Breaks when the transformer's class needs more room than the plan says: counted at full width, without memory."""
    from diffusers import FluxTransformer2DModel

    with FakeTensorMode():
        torch.set_default_dtype(torch.bfloat16)
        try:
            module = FluxTransformer2DModel(num_layers=1, num_single_layers=2, guidance_embeds=True).eval()
        finally:
            torch.set_default_dtype(torch.float32)
        like = {"dtype": torch.bfloat16}
        found = peak(
            module,
            lambda: module(
                hidden_states=torch.zeros(rows, tokens, 64, **like),
                encoder_hidden_states=torch.zeros(rows, TEXT, 4096, **like),
                pooled_projections=torch.zeros(rows, 768, **like),
                timestep=torch.zeros(rows, **like),
                img_ids=torch.zeros(tokens, 3),
                txt_ids=torch.zeros(TEXT, 3),
                guidance=torch.ones(rows),
            ),
        )
    estimate = activation_bytes(tokens, TEXT, WIDTH, 2, rows)
    assert 0.95 * estimate < found <= estimate


@pytest.mark.parametrize("size", [1024, 512])
def test_the_decoders_feature_maps_are_as_estimated(size: int) -> None:
    """Breaks when the autoencoder needs more room than the plan says: FLUX's own, in fp32."""
    from diffusers import AutoencoderKL

    with FakeTensorMode():
        vae = AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            latent_channels=16,
            use_quant_conv=False,
            use_post_quant_conv=False,
        ).eval()
        decoded = peak(vae, lambda: vae.decode(torch.zeros(1, 16, size // 8, size // 8)))
        encoded = peak(vae, lambda: vae.encode(torch.zeros(1, 3, size, size)))
    assert encoded < decoded and 0.98 * decoder_bytes(size) < decoded <= decoder_bytes(size)
