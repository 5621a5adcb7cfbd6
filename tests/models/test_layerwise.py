"""Weights that rest in 8 bits: what rests, what it computes, and what is refused. On tiny real parts, on the CPU."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from faceedit.errors import UsageError
from faceedit.models import residence
from faceedit.models.components import Components
from faceedit.models.layerwise import bytes_at_rest, rest_in, rests_in_8_bits
from faceedit.models.loader import load_components
from faceedit.models.plan import PRESETS, DevicePlan, device_plan, with_preset
from faceedit.models.random_flux import random_flux_components
from faceedit.models.save import save_components
from faceedit.recipe_schema import DeviceOptions, Weights

FLUX = Weights(kind="random", family="flux", seed=3)
FP8 = torch.float8_e4m3fn


@pytest.fixture(scope="module")
def plain() -> Components:
    """Tiny FLUX parts in fp32."""
    return random_flux_components(seed=3)


def velocity(components: Components) -> torch.Tensor:
    """One call of the transformer on fixed input."""
    generator = torch.Generator().manual_seed(0)
    config = components.transformer.config
    with torch.no_grad():
        out: torch.Tensor = components.transformer(
            hidden_states=torch.randn(1, 16, config.in_channels, generator=generator),
            encoder_hidden_states=torch.randn(1, 5, config.joint_attention_dim, generator=generator),
            pooled_projections=torch.randn(1, config.pooled_projection_dim, generator=generator),
            timestep=torch.tensor([0.5]),
            guidance=torch.tensor([2.0]),
            img_ids=torch.zeros(16, 3),
            txt_ids=torch.zeros(5, 3),
        ).sample
    return out


def sentence(components: Components) -> torch.Tensor:
    ids = components.tokenizer_2("a smile", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        hidden: torch.Tensor = components.text_encoder_2(ids).last_hidden_state
    return hidden


def rounded(module: Any) -> Any:
    """The module with those weights rounded to 8 bits that rest in them, computing plainly: what must come out."""
    cast = copy.deepcopy(module)
    rest_in(cast, "fp8", torch.float32)
    resting = {name for name, parameter in cast.named_parameters() if parameter.dtype == FP8}
    plainly = copy.deepcopy(module)
    for name, parameter in plainly.named_parameters():
        if name in resting:
            parameter.data = parameter.data.to(FP8).float()
    return plainly


def layerwise(**parts: str) -> DevicePlan:
    return device_plan(DeviceOptions(layerwise=parts), device="cpu")


def test_only_the_rounding_of_the_weights_shows(plain: Components) -> None:
    """Breaks when a layer computes in 8 bits, T5 casts its activations to them, or nothing rests in them at all."""
    cast = load_components(FLUX, layerwise(transformer="fp8", text_encoder_2="fp8"))
    for part, call in (("transformer", velocity), ("text_encoder_2", sentence)):
        expected = call(Components(**{**vars(plain), part: rounded(getattr(plain, part))}))
        found, before = call(cast), call(plain)
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
        error = ((found - before).square().mean() / before.square().mean()).sqrt()
        assert 0 < error < 0.2, f"{part} differs by {error:.3f} of its own size"
    again = call(cast)
    torch.testing.assert_close(again, found, rtol=0, atol=0)


def test_what_rests_in_8_bits(plain: Components) -> None:
    """Breaks when norms' modulation or T5's `wo` is rounded, or attention and MLP are not."""
    cast = load_components(FLUX, layerwise(transformer="fp8", text_encoder_2="fp8"))
    resting = {name for name, p in cast.transformer.named_parameters() if p.dtype == FP8}
    assert {"transformer_blocks.0.attn.to_q.weight", "single_transformer_blocks.2.proj_mlp.weight"} <= resting
    assert not [name for name in resting if "norm" in name]
    t5 = {name: p.dtype for name, p in cast.text_encoder_2.named_parameters()}
    assert FP8 in t5.values() and not [name for name, dtype in t5.items() if ".wo." in name and dtype == FP8]
    assert rests_in_8_bits(cast.transformer) and not rests_in_8_bits(cast.vae)
    for part in ("transformer", "text_encoder_2"):
        assert bytes_at_rest(getattr(cast, part)) == bytes_at_rest(getattr(plain, part), "fp8")
        assert bytes_at_rest(getattr(cast, part)) < bytes_at_rest(getattr(plain, part))
    assert cast.transformer.dtype == torch.float32, "callers are told the precision that is computed in"


@pytest.mark.parametrize("preset", ["low", "lowest"])
def test_offloading_goes_with_it(monkeypatch: pytest.MonkeyPatch, preset: str) -> None:
    """Breaks when the hooks that move a model undo those that cast it, or the other way round."""
    expected = velocity(load_components(FLUX, layerwise(transformer="fp8")))
    monkeypatch.setattr(residence, "preset_for", lambda *_: preset)
    offloaded = load_components(FLUX, layerwise(transformer="fp8"))
    assert rests_in_8_bits(offloaded.transformer)
    for _ in range(2):
        torch.testing.assert_close(velocity(offloaded), expected, rtol=1e-5, atol=1e-6)


def test_the_presets_for_cards() -> None:
    """Breaks when a preset is taken and does nothing: on a CPU nothing waits elsewhere, and the form still holds."""
    plan = device_plan(device="cpu", memory="24gb")
    assert (plan.memory, plan.layerwise, plan.preset) == ("full", {"transformer": "fp8"}, "24gb")
    assert rests_in_8_bits(load_components(FLUX, plan).transformer)
    assert not rests_in_8_bits(load_components(FLUX, device_plan(device="cpu", memory="80gb")).transformer)
    sixteen = device_plan(device="cpu", memory="16gb").quantization
    assert sixteen is not None and {*sixteen} == {"transformer", "text_encoder_2"}
    card = with_preset(DevicePlan(torch.device("cuda"), torch.bfloat16), "24gb")
    assert card.memory == "low" and PRESETS["80gb"].memory == "full"


def test_the_recipes_own_form_wins_over_a_presets() -> None:
    """Breaks when --memory 16gb quantises a part that the recipe lets rest in 8 bits."""
    options = DeviceOptions(memory="16gb", layerwise={"transformer": "fp8-e5m2"})
    plan = device_plan(options, device="cpu")
    assert plan.layerwise == {"transformer": "fp8-e5m2"} and {*(plan.quantization or {})} == {"text_encoder_2"}


@pytest.mark.parametrize(
    ("layer", "told"),
    [
        ({"unet": "fp8"}, "unet is not there"),
        ({"transformer": "int3"}, "unknown precision 'int3'"),
        ({"nonsense": "fp8"}, "nonsense is not there"),
    ],
)
def test_what_cannot_rest_is_refused(layer: dict[str, str], told: str) -> None:
    """Breaks when a mistyped part or precision is ignored and the card runs out of memory later."""
    with pytest.raises(UsageError, match=told) as caught:
        load_components(FLUX, layerwise(**layer))
    assert "the choices are" in caught.value.hint


def test_four_bits_without_their_package_are_one_line(plain: Components, tmp_path: Path) -> None:
    """Breaks when --memory 16gb falls back silently, or ends in a traceback, where bitsandbytes or a GPU is missing."""
    save_components(plain, tmp_path / "set")
    with pytest.raises(UsageError, match="quantisation of transformer"):
        load_components(Weights(kind="local", path=str(tmp_path / "set")), device_plan(device="cpu", memory="16gb"))


def test_eight_bit_integers_by_torchao(plain: Components, tmp_path: Path) -> None:
    """Breaks when the form that docs/recipes.md gives no longer reaches torchao; runs where the extra is installed."""
    pytest.importorskip("torchao")
    save_components(plain, tmp_path / "set")
    settings = {"default": {"_type": "Int8WeightOnlyConfig", "_version": 2, "_data": {}}}
    options = DeviceOptions(quantization={"transformer": {"quant_method": "torchao", "quant_type": settings}})
    cast = load_components(Weights(kind="local", path=str(tmp_path / "set")), device_plan(options, device="cpu"))
    found, before = velocity(cast), velocity(plain)
    assert 0 < ((found - before).square().mean() / before.square().mean()).sqrt() < 0.05


@pytest.mark.parametrize(
    ("free", "taken"),
    [(40, "full"), (26, "low"), (19, "24gb"), (12, "lowest")],
)
def test_auto_takes_8_bits_before_one_layer_at_a_time(monkeypatch: pytest.MonkeyPatch, free: int, taken: str) -> None:
    """Breaks when a 24 GB card copies 24 GB at every evaluation, or a large one loses precision for nothing.

    The sizes are FLUX.1-dev's in GiB: transformer 22.2 (14 with 8 bits), T5 8.9.
    """
    sizes = {"transformer": round(22.2 * 2**30), "text_encoder_2": round(8.9 * 2**30)}
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free * 2**30, 80 * 2**30))
    plan = DevicePlan(torch.device("cuda"), torch.bfloat16, memory="auto")
    assert residence.preset_for(plan, sizes, sizes | {"transformer": round(14.1 * 2**30)}) == taken
    asked = replace(plan, memory="lowest")
    assert residence.preset_for(asked, sizes, sizes) == "lowest", "what was asked for is kept"


def test_an_edit_with_8_bits_says_so() -> None:
    """Breaks when `auto` saves memory at the result's expense and the user is not told."""
    from faceedit.editors.flux_sculptor.editor import IN_8_BITS, FluxSculptorEditor
    from faceedit.recipe import load_recipe

    recipe = load_recipe("smoke/flux-sculptor")
    assert FluxSculptorEditor(recipe, load_components(FLUX, layerwise(transformer="fp8"))).notes == (IN_8_BITS,)
    assert FluxSculptorEditor(recipe, load_components(FLUX, layerwise())).notes == ()
