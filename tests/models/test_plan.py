"""The device plan: what is chosen, what wins, and what is refused."""

from __future__ import annotations

import pytest
import torch

from faceedit.errors import UsageError
from faceedit.models.plan import device_plan, memory_preset
from faceedit.recipe_schema import DeviceOptions

GIB = 1024**3


@pytest.fixture
def no_accelerator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (8, 0) if device.index else (7, 5))


@pytest.mark.usefixtures("no_accelerator")
def test_auto_is_the_cpu_in_fp32_where_there_is_nothing_else() -> None:
    """Breaks when a CPU runs in half precision, or keeps offloading to itself."""
    plan = device_plan(DeviceOptions(memory="low"))
    assert (plan.device.type, plan.dtype, plan.memory) == ("cpu", torch.float32, "full")
    assert plan.attention is None and plan.quantization is None


@pytest.mark.usefixtures("two_gpus")
def test_cuda_takes_the_half_precision_that_it_computes_in() -> None:
    """Breaks when an old card gets bf16 that it emulates, or the VAE leaves fp32."""
    assert device_plan(device="cuda:0").dtype == torch.float16
    plan = device_plan(device="cuda:1", memory="low")
    assert (plan.dtype, plan.dtype_of("unet"), plan.dtype_of("vae")) == (torch.bfloat16, torch.bfloat16, torch.float32)
    assert plan.memory == "low" and device_plan().device.type == "cuda"


def test_mps_is_taken_where_there_is_no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks when an Apple machine falls back to its CPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert (device_plan().device.type, device_plan().dtype) == ("mps", torch.float16)


def test_the_request_wins_over_the_recipe() -> None:
    """Breaks when a flag is overruled by the recipe's device section."""
    options = DeviceOptions(device="cuda", dtype="fp16", memory="lowest", quantization={"unet": {"quant_method": "x"}})
    plan = device_plan(options, device="cpu", dtype="fp32", memory="full")
    assert (plan.device.type, plan.dtype, plan.memory) == ("cpu", torch.float32, "full")
    assert plan.quantization == {"unet": {"quant_method": "x"}}


@pytest.mark.usefixtures("no_accelerator")
@pytest.mark.parametrize("device", ["cuda", "cuda:1", "mps", "gpu", "cpu:0", "cuda:x", "cuda:-1", "", "meta"])
def test_devices_that_are_not_there_are_usage_errors(device: str) -> None:
    """Breaks when a missing device ends in a traceback or falls back silently."""
    with pytest.raises(UsageError):
        device_plan(device=device)


@pytest.mark.usefixtures("two_gpus")
def test_a_card_that_is_not_there_is_a_usage_error() -> None:
    """Breaks when the third of two cards is asked for and torch answers."""
    with pytest.raises(UsageError, match="there is no cuda:2") as caught:
        device_plan(device="cuda:2")
    assert "cuda:1" in caught.value.hint


@pytest.mark.parametrize(("dtype", "memory"), [("float8", "auto"), ("float32", "auto"), ("auto", "tiny")])
def test_unknown_precisions_and_presets_are_usage_errors(dtype: str, memory: str) -> None:
    """Breaks when a mistyped precision or preset is ignored."""
    with pytest.raises(UsageError, match="unknown"):
        device_plan(device="cpu", dtype=dtype, memory=memory)


@pytest.mark.parametrize(
    ("preset", "total", "largest", "free", "taken"),
    [("auto", 4, 3, 8, "full"), ("auto", 24, 5, 8, "low"), ("auto", 24, 20, 8, "lowest"), ("full", 24, 20, 8, "full")],
)
def test_memory_presets_by_what_is_free(preset: str, total: int, largest: int, free: int, taken: str) -> None:
    """Breaks when models that do not fit are put on the card, or a preset that was asked for is changed."""
    assert memory_preset(preset, total * GIB, largest * GIB, free * GIB) == taken
