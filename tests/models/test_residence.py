"""Offloading changes where a model waits, never what it computes. Run here with the CPU as the device."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from faceedit.attention.ca2 import condition_adapter
from faceedit.models import residence
from faceedit.models.components import CONDITION_PARTS, Components
from faceedit.models.loader import load_components
from faceedit.models.plan import DevicePlan
from faceedit.models.residual_unet import predict_with_residuals
from faceedit.recipe_schema import Weights


def walk(components: Components) -> torch.Tensor:
    """Text, encoding, one prediction with a reference net, decoding: every model once, the VAE twice."""
    ids = torch.tensor([components.tokenizer("a face", padding="max_length")["input_ids"]])
    text = components.text_encoder(ids).last_hidden_state
    z = components.vae.encode(torch.linspace(-1, 1, 3 * 64 * 64).view(1, 3, 64, 64)).latent_dist.mode()
    visual = components.adapter.visual_tokens(torch.ones(1, 32))
    mask = torch.ones(1, 1, 16, 16)
    with condition_adapter(components.reference_net, components.adapter, visual, torch.ones(1, 32), mask):
        residuals = components.reference_net(z, 10, text, torch.cat([z, mask], 1))
    eps = predict_with_residuals(components.unet, z, 10, text, residuals)
    image: torch.Tensor = components.vae.decode(eps).sample
    return image


@pytest.mark.parametrize("preset", ["low", "lowest"])
def test_offloaded_models_compute_the_same(
    saved: Path,
    cpu: DevicePlan,
    local: Callable[[Path], Weights],
    monkeypatch: pytest.MonkeyPatch,
    preset: str,
) -> None:
    """Breaks when a hook is set on a model that does not call it (the VAE's encode and decode), or changes results."""
    expected = walk(load_components(local(saved), cpu))
    monkeypatch.setattr(residence, "preset_for", lambda *_: preset)
    offloaded = load_components(local(saved), cpu)
    for module in (offloaded.vae, offloaded.unet, offloaded.text_encoder, offloaded.reference_net):
        assert any(hasattr(part, "_hf_hook") or hasattr(part, "_diffusers_hook") for part in module.modules())
    torch.testing.assert_close(walk(offloaded), expected, rtol=1e-5, atol=1e-6)


def test_one_model_at_a_time(
    saved: Path, cpu: DevicePlan, local: Callable[[Path], Weights], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Breaks when a model does not send off the one that runs before it: both would be on the device."""
    monkeypatch.setattr(residence, "preset_for", lambda *_: "low")
    loaded = load_components(local(saved), cpu)
    previous = {part: getattr(loaded, part)._hf_hook.prev_module_hook for part in ("text_encoder", "unet", "vae")}
    together = [loaded.unet, loaded.reference_net]
    assert loaded.reference_net._hf_hook.prev_module_hook is previous["unet"]
    assert [previous[part].model for part in ("text_encoder", "unet")] == [loaded.vision, loaded.text_encoder]
    assert list(previous["vae"].model) == together


def test_a_backbone_without_a_reference_net_is_sent_off_alone(
    saved: Path, cpu: DevicePlan, local: Callable[[Path], Weights], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Breaks when the pair of UNet and reference net is taken for granted."""
    monkeypatch.setattr(residence, "preset_for", lambda *_: "low")
    loaded = load_components(local(saved), cpu, skip=CONDITION_PARTS)
    assert (loaded.reference_net, loaded.adapter) == (None, None)
    assert loaded.vae._hf_hook.prev_module_hook.model is loaded.unet
