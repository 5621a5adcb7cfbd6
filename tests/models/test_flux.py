"""The FLUX backbone against diffusers' own pipeline, on tiny real components."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import FluxPipeline
from diffusers.models import FluxTransformer2DModel
from transformers import CLIPTextModelWithProjection

from faceedit.errors import NumericError, UsageError, WeightsError
from faceedit.models import residence
from faceedit.models.components import Components
from faceedit.models.flux import Flux, FluxText, image_ids, pack, unpack
from faceedit.models.loader import load_components
from faceedit.models.plan import DevicePlan, device_plan
from faceedit.models.random_flux import random_flux_components
from faceedit.models.save import save_components
from faceedit.recipe import load_recipe
from faceedit.recipe_schema import Weights
from faceedit.run import load_editor
from faceedit.samplers.flow import SOLVERS, Evaluation, euler
from faceedit.samplers.flow_schedule import flow_schedule

TEXTS = ["a man.", "a man with a full beard and a rather long description, über all"]
LENGTH = 80


@pytest.fixture(scope="module")
def parts() -> Components:
    return random_flux_components(seed=3)


@pytest.fixture(scope="module")
def flux(parts: Components) -> Flux:
    return Flux(parts, LENGTH)


@pytest.fixture(scope="module")
def text(flux: Flux) -> FluxText:
    return flux.encode_text(TEXTS)


@pytest.fixture(scope="module")
def folder(parts: Components, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("flux")
    save_components(parts, path)
    return path


@pytest.fixture(scope="module")
def pipeline(folder: Path) -> FluxPipeline:
    """diffusers' pipeline over the folder that faceedit wrote."""
    pipeline = FluxPipeline.from_pretrained(folder, local_files_only=True)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1))


def picture() -> torch.Tensor:
    return torch.linspace(-1, 1, 3 * 64 * 64).view(1, 3, 64, 64)


@pytest.mark.parametrize(("h", "w"), [(16, 16), (8, 12), (2, 2), (6, 4)])
def test_packing_is_diffusers_own(h: int, w: int) -> None:
    """Breaks when tokens lie in another order than the network, or the places told to it, have them."""
    latents = noise(2, 4, h, w)
    tokens = pack(latents)
    assert torch.equal(tokens, FluxPipeline._pack_latents(latents, 2, 4, h, w))
    assert torch.equal(unpack(tokens, (h // 2, w // 2)), latents)
    assert torch.equal(FluxPipeline._unpack_latents(tokens, 8 * h, 8 * w, 8), latents)
    ids = FluxPipeline._prepare_latent_image_ids(2, h // 2, w // 2, torch.device("cpu"), torch.float32)
    assert torch.equal(image_ids((h // 2, w // 2), torch.device("cpu")), ids)


def test_a_map_of_the_tokens_lies_in_the_order_of_their_places() -> None:
    """Breaks when a mask [rows, columns] that is flattened row by row meets other tokens than those at its places."""
    rows, columns = 3, 5
    where = torch.arange(rows * columns).view(rows, columns)
    for place, number in zip(image_ids((rows, columns), torch.device("cpu")), where.flatten(), strict=True):
        assert where[int(place[1]), int(place[2])] == number


def test_text_is_diffusers_own(flux: Flux, pipeline: FluxPipeline, text: FluxText) -> None:
    """Breaks when T5 is masked or padded in another way, or CLIP's vector is taken elsewhere or projected."""
    tokens, pooled, ids = pipeline.encode_prompt(TEXTS, None, max_sequence_length=LENGTH)
    torch.testing.assert_close(text.tokens, tokens, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(text.pooled, pooled, rtol=1e-5, atol=1e-6)
    assert len(ids) == LENGTH
    assert torch.equal(text[1:].tokens, text.tokens[1:]) and torch.equal(text[[1, 0]].pooled, text.pooled[[1, 0]])
    assert not torch.equal(*flux.encode_text(["a man", "a woman"]).pooled)


def test_an_encoder_with_projection_gives_the_vector_before_it(parts: Components, text: FluxText) -> None:
    """Breaks when CLIP with its projection, which PASL needs, changes what the transformer is told."""
    both = CLIPTextModelWithProjection(parts.text_encoder.config).eval()
    both.text_model.load_state_dict(parts.text_encoder.state_dict())
    projected = Flux(dataclasses.replace(parts, text_encoder=both), LENGTH).encode_text(TEXTS)
    assert torch.equal(projected.pooled, text.pooled)


def test_sampling_is_diffusers_own(flux: Flux, pipeline: FluxPipeline, text: FluxText) -> None:
    """Breaks when time, guidance, places or the schedule reach the transformer otherwise than in the pipeline."""
    start = pack(noise(1, 4, 16, 16))
    latents = pipeline(
        prompt=TEXTS[:1],
        height=64,
        width=64,
        num_inference_steps=5,
        guidance_scale=3.5,
        latents=start,
        max_sequence_length=LENGTH,
        output_type="latent",
    ).images
    times = flow_schedule(flux.scheduler_config, 5, 64).descending
    steps = euler(lambda z, where: flux.velocity(z, where.t, text[:1], 3.5, (8, 8)), start, times)
    with torch.no_grad():
        ours = list(steps)[-1][1]
    torch.testing.assert_close(ours, latents, rtol=1e-4, atol=1e-5)


def test_rows_have_their_own_time_text_and_guidance(flux: Flux, text: FluxText) -> None:
    """Breaks when rows of one batch share what each has its own of: value fusion runs source and target in one."""
    z, times, scales = noise(2, 64, 16), (0.4, 0.5), (1.0, 4.0)
    with torch.no_grad():
        both = flux.velocity(z, times, text, scales, (8, 8))
        alone = [flux.velocity(z[i : i + 1], times[i], text[i : i + 1], scales[i], (8, 8)) for i in (0, 1)]
        others = [flux.velocity(z, 0.4, text, scales, (8, 8)), flux.velocity(z, times, text, 1.0, (8, 8))]
    torch.testing.assert_close(both, torch.cat(alone), rtol=1e-4, atol=1e-5)
    assert not any(torch.allclose(both[1], other[1], atol=1e-4) for other in others)


def test_a_transformer_without_guidance(parts: Components, text: FluxText) -> None:
    """Breaks when one that was distilled without guidance (FLUX.1-schnell) is given some."""
    config = {**parts.transformer.config, "guidance_embeds": False}
    plain = Flux(dataclasses.replace(parts, transformer=FluxTransformer2DModel.from_config(config)), LENGTH)
    z = noise(1, 64, 16)
    with torch.no_grad():
        assert torch.equal(*(plain.velocity(z, 0.5, text[:1], scale, (8, 8)) for scale in (1.0, 4.0)))


def test_the_autoencoders_mode_shift_and_scale(parts: Components, flux: Flux) -> None:
    """Breaks when encoding draws a sample, or shift and scale are swapped, lost, or not undone by decoding."""
    z = flux.encode_image(picture())
    assert torch.equal(z, flux.encode_image(picture())) and z.dtype == torch.float32
    mean = parts.vae.encode(picture()).latent_dist.mean
    torch.testing.assert_close(z, (mean - 0.1159) * 0.3611)
    rebuilt = (parts.vae.decode(mean).sample / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1).numpy()
    assert abs(flux.decode_image(z) - rebuilt).max() < 1e-5
    unshifted = Flux(
        dataclasses.replace(parts, vae=type(parts.vae).from_config({**parts.vae.config, "shift_factor": None}))
    )
    assert unshifted.shift_factor == 0
    with pytest.raises(NumericError):
        flux.decode_image(torch.full_like(z, torch.nan))


def test_text_that_t5_does_not_read_is_refused(flux: Flux, parts: Components) -> None:
    """Breaks when words beyond the limit are dropped in silence, or the message does not say how many are too many."""
    limit = "x" * (LENGTH - 2)
    assert flux.encode_text([limit]).tokens.shape == (1, LENGTH, 32)
    with pytest.raises(UsageError, match=rf"reads {LENGTH} tokens and 'x+'… has {LENGTH + 1}"):
        flux.encode_text(["a man", limit + "x"])
    # CLIP reads 77 tokens, here bytes; what it leaves out T5 still carries.
    long = Flux(parts, 200).encode_text(["y" * 100 + "a", "y" * 100 + "b"])
    assert torch.equal(*long.pooled) and not torch.equal(*long.tokens)


@pytest.mark.parametrize("side", [0, 4, 7, 12, 63, 65])
def test_sizes_off_the_grid_are_refused(flux: Flux, side: int) -> None:
    """Breaks when a size that tokens do not divide, or below one of them, ends in a traceback."""
    assert flux.grid(64) == (8, 8) and flux.grid(8) == (1, 1)
    with pytest.raises(UsageError, match=f"a multiple of 8 pixels, not {side}") as caught:
        flux.grid(side)
    assert flux.grid(int(caught.value.hint.partition("size=")[2]))


def test_a_size_is_refused_before_anything_is_loaded(folder: Path, tmp_path: Path) -> None:
    """Breaks when gigabytes are read first, here files that are none."""
    damaged = shutil.copytree(folder, tmp_path / "damaged")
    for path in damaged.rglob("*.safetensors"):
        path.write_bytes(b"no tensors")
    settings = {"weights.kind": "local", "weights.path": str(damaged), "size": "60"}
    with pytest.raises(UsageError, match="a multiple of 8 pixels, not 60"):
        load_editor(load_recipe("smoke/flux-sculptor", settings))
    with pytest.raises(WeightsError, match="safetensors"):
        load_editor(load_recipe("smoke/flux-sculptor", {**settings, "size": "64"}))


@pytest.mark.parametrize("preset", ["low", "lowest"])
def test_offloaded_parts_compute_the_same(
    folder: Path, cpu: DevicePlan, flux: Flux, text: FluxText, monkeypatch: pytest.MonkeyPatch, preset: str
) -> None:
    """Breaks when a part is called round the hook that brings it to the device, or its resting place is asked for."""
    monkeypatch.setattr(residence, "preset_for", lambda *_: preset)
    offloaded = Flux(load_components(Weights(kind="local", path=str(folder)), cpu), LENGTH)
    found = offloaded.encode_text(TEXTS)
    torch.testing.assert_close(found.tokens, text.tokens)
    torch.testing.assert_close(found.pooled, text.pooled)
    z = offloaded.encode_image(picture())
    torch.testing.assert_close(z, flux.encode_image(picture()))
    with torch.no_grad():
        v, expected = (f.velocity(pack(z), 0.3, text[:1], 1.0, (8, 8)) for f in (offloaded, flux))
    torch.testing.assert_close(v, expected)
    assert abs(offloaded.decode_image(z) - flux.decode_image(z)).max() < 1e-5


def test_a_half_precision_transformer_answers_in_fp32(folder: Path, flux: Flux, text: FluxText) -> None:
    """Breaks when the state would be rounded to the network's precision at every step."""
    half = load_components(Weights(kind="local", path=str(folder)), device_plan(device="cpu", dtype="bf16"))
    backbone, z = Flux(half, LENGTH), noise(1, 64, 16)
    assert backbone.dtype == torch.bfloat16 and backbone.encode_image(picture()).dtype == torch.float32
    with torch.no_grad():
        v = backbone.velocity(z, 0.5, backbone.encode_text(TEXTS[:1]), 2.0, (8, 8))
        expected = flux.velocity(z, 0.5, text[:1], 2.0, (8, 8))
    assert v.dtype == torch.float32
    assert (v - expected).norm() < 0.05 * expected.norm()


def test_there_and_back_through_the_transformer(flux: Flux, text: FluxText) -> None:
    """Breaks when inversion and edit disagree on anything: the second order methods must come back to the latents."""
    z0 = pack(flux.encode_image(picture()))

    def error(name: str, steps: int) -> float:
        times = flow_schedule(flux.scheduler_config, steps, 64)

        def velocity(z: torch.Tensor, where: Evaluation) -> torch.Tensor:
            return flux.velocity(z, where.t, text[:1], 1.0, (8, 8))

        noisy = list(SOLVERS[name](velocity, z0, times.times))[-1][1]
        assert (noisy - z0).norm() > 0.5 * z0.norm()
        back = list(SOLVERS[name](velocity, noisy, times.descending))[-1][1]
        return float((back - z0).norm() / z0.norm())

    with torch.no_grad():
        errors = {name: [error(name, steps) for steps in (6, 24)] for name in SOLVERS}
    assert errors["euler"][1] < errors["euler"][0] / 2
    for name in ("rf-solver", "fireflow"):
        # The sines that the transformer is told the time in are too quick for the full 16.
        assert errors[name][1] < errors[name][0] / 4
        assert errors[name][1] < errors["euler"][1] / 10


def test_random_weights_of_flux(cpu: DevicePlan) -> None:
    """Breaks when the smoke recipe gets Stable Diffusion's parts, other weights for the same seed, or loses a part."""
    weights = load_recipe("smoke/flux-sculptor").weights
    one, two = load_components(weights, cpu), random_flux_components(weights.seed)
    assert one.unet is None and one.vision is None
    for part in ("transformer", "text_encoder", "text_encoder_2", "vae"):
        for key, values in getattr(one, part).state_dict().items():
            assert torch.equal(values, getattr(two, part).state_dict()[key])
    assert not torch.equal(one.transformer.x_embedder.weight, random_flux_components(1).transformer.x_embedder.weight)
    half = load_components(weights, device_plan(device="cpu", dtype="bf16"), parts=("transformer",))
    assert half.transformer.dtype == torch.bfloat16 and half.vae is None
