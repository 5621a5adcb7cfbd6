"""Components come back as they were saved, frozen, on the plan; nothing random, nothing missing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, FluxTransformer2DModel
from safetensors.torch import load_file, save_file
from transformers import CLIPTextModel, T5Config, T5EncoderModel, T5Tokenizer

from faceedit.errors import UsageError, WeightsError
from faceedit.models.components import Components
from faceedit.models.keys import kept_in_fp32
from faceedit.models.loader import load_components, parts_of
from faceedit.models.manifest import WeightFile, WeightSet
from faceedit.models.places import weight_paths, weights_folder
from faceedit.models.plan import DevicePlan, device_plan
from faceedit.models.random import byte_tokenizer, random_components
from faceedit.models.save import save_components
from faceedit.recipe import load_recipe
from faceedit.recipe_schema import DeviceOptions, Weights

Local = Callable[[Path], Weights]
MODULES = ("vae", "unet", "text_encoder", "vision", "reference_net", "adapter")


def assert_same_weights(one: Any, other: Any) -> None:
    a, b = one.state_dict(), other.state_dict()
    assert list(a) == list(b)
    assert all(torch.equal(a[key], b[key]) for key in a)


def test_saved_components_come_back_equal_and_frozen(
    tiny: Components, saved: Path, cpu: DevicePlan, local: Local
) -> None:
    """Breaks when a tensor is dropped, cast or left random, or a part comes back trainable."""
    loaded = load_components(local(saved), cpu)
    assert set(parts_of(loaded)) == {*MODULES, "tokenizer", "image_processor", "scheduler"}
    for part in MODULES:
        module = getattr(loaded, part)
        assert_same_weights(getattr(tiny, part), module)
        assert not module.training
        assert not any(p.requires_grad for p in module.parameters())
        assert {p.device.type for p in module.parameters()} == {"cpu"}
        assert not any(b.is_meta for b in module.buffers())
    assert loaded.image_processor == tiny.image_processor
    assert loaded.tokenizer("red lips")["input_ids"] == tiny.tokenizer("red lips")["input_ids"]


def test_loaded_and_saved_components_predict_the_same(
    tiny: Components, saved: Path, cpu: DevicePlan, local: Local
) -> None:
    """Breaks when equal weights end up in a network that computes something else (a lost buffer)."""
    loaded = load_components(local(saved), cpu)
    ids = torch.tensor([tiny.tokenizer("a face", padding="max_length")["input_ids"]])
    z = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(0))

    def outputs(components: Components) -> tuple[torch.Tensor, torch.Tensor]:
        text = components.text_encoder(ids).last_hidden_state
        return components.unet(z, 10, text).sample, components.vae.decode(z).sample

    torch.testing.assert_close(outputs(loaded), outputs(tiny), rtol=1e-5, atol=1e-6)


def test_the_diffusion_libraries_read_what_is_saved(tiny: Components, saved: Path) -> None:
    """Breaks when the folder is not the layout that diffusers itself reads."""
    assert_same_weights(tiny.vae, AutoencoderKL.from_pretrained(saved / "vae", use_safetensors=True))


def test_only_the_parts_asked_for_are_built(saved: Path, cpu: DevicePlan, local: Local) -> None:
    """Breaks when encoding a picture loads the UNet too."""
    assert set(parts_of(load_components(local(saved), cpu, parts=("vae",)))) == {"vae"}
    with pytest.raises(WeightsError, match="holds no transformer"):
        load_components(local(saved), cpu, parts=("transformer",))


def test_smoke_recipe_loads_and_depends_on_its_seed_only(cpu: DevicePlan) -> None:
    """Breaks when random components differ between runs or disturb the global generator."""
    state = torch.get_rng_state()
    recipe = load_recipe("smoke/inpaint")
    one, two = load_components(recipe.weights, cpu), random_components(recipe.weights.seed)
    assert_same_weights(one.unet, two.unet)
    assert not torch.equal(one.unet.conv_in.weight, random_components(1).unet.conv_in.weight)
    assert torch.equal(state, torch.get_rng_state())
    assert random_components(channels=9).unet.config.in_channels == 9


def test_cross_attention_of_the_tiny_unet_is_on_sixteen_by_sixteen_tokens(tiny: Components) -> None:
    """Breaks when attention-map code can no longer be tested on the tiny UNet."""
    seen = []
    module = tiny.unet.down_blocks[0].attentions[0].transformer_blocks[0].attn2
    hook = module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].shape[1]))
    z = tiny.vae.encode(torch.zeros(1, 3, 64, 64)).latent_dist.mode()
    tiny.unet(z, 0, torch.zeros(1, 77, 32))
    hook.remove()
    assert seen == [256]


def test_byte_tokenizer_keeps_any_text() -> None:
    """Breaks when the vocabulary lacks a byte symbol: unknown ones would become an early end of text."""
    tokenizer = byte_tokenizer()
    from tokenizers.pre_tokenizers import ByteLevel

    assert set(ByteLevel.alphabet()) <= set(tokenizer.get_vocab())
    for text in ("rosy cheeks", "ünïcode, 3 日本 😀!"):
        ids = tokenizer(text)["input_ids"]
        assert ids.count(tokenizer.eos_token_id) == 1
        assert tokenizer.decode(ids, skip_special_tokens=True).replace(" ", "") == text.replace(" ", "")


def test_half_precision_files_are_upcast_on_the_cpu(
    tiny: Components, tmp_path: Path, cpu: DevicePlan, local: Local
) -> None:
    """Breaks when shipped fp16 weights run in fp16 on a CPU, ten times slower."""
    save_components(tiny, tmp_path, torch.float16)
    assert load_file(tmp_path / "unet/diffusion_pytorch_model.safetensors")["conv_in.bias"].dtype == torch.float16
    loaded = load_components(local(tmp_path), cpu)
    for part in MODULES:
        assert {p.dtype for p in getattr(loaded, part).parameters()} == {torch.float32}
        for a, b in zip(getattr(tiny, part).parameters(), getattr(loaded, part).parameters(), strict=True):
            assert torch.equal(a.half().float(), b)


def test_the_vae_stays_in_fp32_in_every_plan(saved: Path, local: Local) -> None:
    """Breaks when a half-precision plan puts the VAE where it overflows to black frames."""
    loaded = load_components(local(saved), device_plan(device="cpu", dtype="bf16"))
    assert loaded.vae.dtype == torch.float32
    assert loaded.unet.dtype == loaded.text_encoder.dtype == torch.bfloat16
    random = load_components(Weights(kind="random"), device_plan(device="cpu", dtype="bf16"))
    assert (random.vae.dtype, random.unet.dtype) == (torch.float32, torch.bfloat16)


def test_a_variant_is_taken_only_when_asked_for(saved: Path, cpu: DevicePlan) -> None:
    """Breaks when another precision's file is loaded silently, or a variant cannot be reached."""
    for file in saved.rglob("*.safetensors"):
        file.rename(file.with_name(file.name.replace(".safetensors", ".fp16.safetensors")))
    assert load_components(Weights(kind="local", path=str(saved), variant="fp16"), cpu).unet is not None
    with pytest.raises(WeightsError, match=r"no safetensors, only .*fp16") as caught:
        load_components(Weights(kind="local", path=str(saved)), cpu)
    assert "weights.variant" in caught.value.hint


def test_a_part_can_come_from_another_folder(tiny: Components, saved: Path, tmp_path: Path, cpu: DevicePlan) -> None:
    """Breaks when `weights.folders` is ignored, or lets a class in that is not allowed."""
    other = random_components(seed=9)
    save_components(other, tmp_path / "other")
    weights = Weights(kind="local", path=str(saved), folders={"vae": str(tmp_path / "other/vae")})
    loaded = load_components(weights, cpu)
    assert_same_weights(loaded.vae, other.vae)
    assert_same_weights(loaded.unet, tiny.unet)
    with pytest.raises(WeightsError, match="there is no part 'vea'"):
        load_components(Weights(kind="local", path=str(saved), folders={"vea": "x"}), cpu)
    with pytest.raises(WeightsError, match="UNet2DConditionModel"):
        load_components(Weights(kind="local", path=str(saved), folders={"vae": str(saved / "unet")}), cpu)


def test_shards_are_read_together(tiny: Components, saved: Path, cpu: DevicePlan, local: Local) -> None:
    """Breaks when only the first shard of a large model is loaded."""
    for file in (saved / "unet").glob("*.safetensors"):
        file.unlink()
    tiny.unet.save_pretrained(saved / "unet", max_shard_size="400KB")
    assert len(list((saved / "unet").glob("*.safetensors"))) > 2
    assert_same_weights(tiny.unet, load_components(local(saved), cpu).unet)


@pytest.mark.parametrize(
    "name", ["../x.safetensors", "/x.safetensors", "C:\\x.safetensors", "a\\b.safetensors", "x.bin", ""]
)
def test_an_index_cannot_point_outside_its_folder(saved: Path, cpu: DevicePlan, local: Local, name: str) -> None:
    """Breaks when a shard index makes the loader read another file."""
    (saved / "unet/diffusion_pytorch_model.safetensors").unlink()
    index = {"weight_map": {"conv_in.weight": name}}
    (saved / "unet/diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(WeightsError, match="as a shard"):
        load_components(local(saved), cpu)


def test_older_schedulers_give_the_same_noise_schedule(saved: Path, cpu: DevicePlan, local: Local) -> None:
    """Breaks when SD 1.x, which names PNDM, is refused or gets another schedule, or its latents are clipped."""
    published = {
        "_class_name": "PNDMScheduler",
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "beta_start": 0.00085,
    }
    published |= {"num_train_timesteps": 1000, "set_alpha_to_one": False, "skip_prk_steps": True, "steps_offset": 1}
    (saved / "scheduler/scheduler_config.json").write_text(json.dumps(published))
    index = json.loads((saved / "model_index.json").read_text())
    (saved / "model_index.json").write_text(json.dumps(index | {"scheduler": ["diffusers", "PNDMScheduler"]}))
    config = load_components(local(saved), cpu, parts=("scheduler",)).scheduler.config
    assert (config.beta_schedule, config.steps_offset, config.clip_sample) == ("scaled_linear", 1, False)
    assert config.set_alpha_to_one is False


def test_published_names_of_the_vision_part(saved: Path, cpu: DevicePlan, local: Local) -> None:
    """Breaks when a published pipeline's `image_encoder` and `feature_extractor` are not found."""
    index = json.loads((saved / "model_index.json").read_text())
    for ours, theirs in (("vision", "image_encoder"), ("image_processor", "feature_extractor")):
        (saved / ours).rename(saved / theirs)
        index[theirs] = index.pop(ours)
    (saved / "model_index.json").write_text(json.dumps(index | {"safety_checker": ["x", "Y"], "unknown": [None, None]}))
    loaded = load_components(local(saved), cpu, parts=("vision", "image_processor"))
    assert loaded.vision is not None and loaded.image_processor is not None


def test_a_preprocessor_without_a_vision_encoder_is_not_needed(saved: Path, cpu: DevicePlan, local: Local) -> None:
    """Breaks when Stable Diffusion 1.5, fetched without its safety checker's preprocessor, no longer loads."""
    for part in ("vision", "image_processor"):
        shutil.rmtree(saved / part)
    index = json.loads((saved / "model_index.json").read_text())
    del index["vision"], index["image_processor"]
    published = {"feature_extractor": ["transformers", "CLIPImageProcessor"], "safety_checker": ["x", "Y"]}
    (saved / "model_index.json").write_text(json.dumps(index | published))
    assert load_components(local(saved), cpu).image_processor is None


def test_statistics_go_with_the_vision_encoder(saved: Path, tmp_path: Path, cpu: DevicePlan) -> None:
    """Breaks when a vision encoder from another folder gets no numbers, or those that the backbone names and lacks."""
    other = Path(shutil.copytree(saved / "vision", tmp_path / "encoder"))
    weights = Weights(kind="local", path=str(saved), folders={"vision": str(other)})

    def mean() -> tuple[float, ...] | None:
        processor = load_components(weights, cpu, parts=("vision", "image_processor")).image_processor
        return processor and processor.mean

    assert mean() == (0.5, 0.5, 0.5)
    numbers = '{"image_mean": [0.1, 0.2, 0.3], "image_std": [1, 1, 1]}'
    (other / "preprocessor_config.json").write_text(numbers)
    assert mean() == (0.1, 0.2, 0.3)
    (other / "preprocessor_config.json").unlink()
    shutil.rmtree(saved / "image_processor")
    assert load_components(weights, cpu).image_processor is None


def flux_parts() -> Components:
    """Tiny FLUX components: T5, CLIP, a transformer of one double and one single block."""
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -1.0), *((chr(c), -2.0) for c in range(97, 123))]
    base = random_components(5)
    return Components(
        torch.device("cpu"),
        vae=base.vae,
        transformer=FluxTransformer2DModel(
            patch_size=1, in_channels=16, num_layers=1, num_single_layers=1, attention_head_dim=16,
            num_attention_heads=2, joint_attention_dim=32, pooled_projection_dim=32, axes_dims_rope=(4, 4, 8),
            guidance_embeds=True,
        ),
        text_encoder=CLIPTextModel(base.text_encoder.config),
        tokenizer=base.tokenizer,
        text_encoder_2=T5EncoderModel(T5Config(vocab_size=32, d_model=32, d_kv=8, d_ff=37, num_layers=2, num_heads=4)),
        tokenizer_2=T5Tokenizer(vocab=pieces, extra_ids=0),
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0, use_dynamic_shifting=True),
    )  # fmt: skip


def test_flux_parts_come_back_equal(tmp_path: Path, cpu: DevicePlan, local: Local) -> None:
    """Breaks when FLUX's classes are refused, or T5's tied embedding counts as missing or stays on the meta device."""
    flux = flux_parts()
    save_components(flux, tmp_path)
    loaded = load_components(local(tmp_path), cpu)
    for part in ("transformer", "text_encoder", "text_encoder_2"):
        assert_same_weights(getattr(flux, part), getattr(loaded, part))
        assert not getattr(loaded, part).training
    t5 = loaded.text_encoder_2
    assert t5.shared.weight is t5.encoder.embed_tokens.weight
    ids = torch.tensor([loaded.tokenizer_2("red lips")["input_ids"]])
    expected = flux.text_encoder_2.eval().requires_grad_(False)(ids).last_hidden_state
    torch.testing.assert_close(t5(ids).last_hidden_state, expected, rtol=1e-5, atol=1e-6)
    assert loaded.scheduler.config.shift == 3.0
    assert kept_in_fp32(t5, torch.float16)("encoder.block.0.layer.1.DenseReluDense.wo.weight") == torch.float32
    assert kept_in_fp32(t5, torch.bfloat16)("encoder.block.0.layer.1.DenseReluDense.wo.weight") is None


def test_a_cached_repository_is_found_at_its_commit_only(
    tiny: Components, tmp_path: Path, cpu: DevicePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Breaks when the cache is not read, a moving revision is taken, or something would be downloaded."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    commit = "0123456789abcdef0123456789abcdef01234567"
    save_components(tiny, tmp_path / "models--owner--tiny/snapshots" / commit)
    weights = Weights(kind="hub", repository="owner/tiny", revision=commit)
    assert_same_weights(load_components(weights, cpu, parts=("vae",)).vae, tiny.vae)
    with pytest.raises(WeightsError, match="is not in the Hugging Face cache"):
        load_components(Weights(kind="hub", repository="owner/other", revision=commit), cpu)
    with pytest.raises(WeightsError, match="is not in the Hugging Face cache"):
        load_components(Weights(kind="hub", repository="owner/tiny", revision="f" * 40), cpu)
    for revision in ("main", "", "0123"):
        with pytest.raises(UsageError, match="revision"):
            load_components(Weights(kind="hub", repository="owner/tiny", revision=revision), cpu)
    for name in ("", "no repository!", "../../etc"):
        with pytest.raises(UsageError, match="repository"):
            load_components(Weights(kind="hub", repository=name, revision=commit), cpu)


def test_a_part_of_a_download_is_no_download(tiny: Components, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks when an interrupted download counts as weights that are there, and `auto` takes it."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    commit = "0123456789abcdef0123456789abcdef01234567"
    folder = tmp_path / "models--owner--tiny/snapshots" / commit
    save_components(tiny, folder)
    weights = Weights(kind="hub", repository="owner/tiny", revision=commit)
    assert weights_folder(weights) == folder
    (folder / "vae/diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(WeightsError, match="vae has no safetensors"):
        weights_folder(weights)


def test_only_files_that_are_read_count(saved: Path, tmp_path: Path, local: Local) -> None:
    """Breaks when other forms of the weights in a snapshot count as memory, or a replaced part's hash is lost."""
    plain = weight_paths(local(saved))
    assert set(plain) == {
        "adapter/diffusion_pytorch_model.safetensors",
        "reference_net/diffusion_pytorch_model.safetensors",
        "text_encoder/model.safetensors",
        "unet/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.safetensors",
        "vision/model.safetensors",
    }
    (saved / "v1-5-pruned.safetensors").write_bytes(b"7 GB")
    (saved / "unet/diffusion_pytorch_model.fp16.safetensors").write_bytes(b"half")
    assert weight_paths(local(saved)) == plain
    finer = shutil.copytree(saved / "vae", tmp_path / "finer")
    replaced = weight_paths(replace(local(saved), folders={"vae": str(finer)}))
    assert replaced == plain | {
        "vae/diffusion_pytorch_model.safetensors": finer / "diffusion_pytorch_model.safetensors"
    }


def test_a_published_file_of_another_size_is_refused(
    tiny: Components, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Breaks when a file that the manifest knows to be another one is loaded."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    commit, file = "0123456789abcdef0123456789abcdef01234567", "vae/diffusion_pytorch_model.safetensors"
    folder = tmp_path / "models--owner--tiny/snapshots" / commit
    save_components(tiny, folder)
    for extra in (0, 1):
        size = (folder / file).stat().st_size + extra
        known = WeightSet("tiny", "hub", "owner/tiny", commit, files=(WeightFile(file, size),))
        monkeypatch.setattr("faceedit.models.manifest.weight_sets", lambda known=known: (known,))
        if extra:
            with pytest.raises(WeightsError, match="owner/tiny is damaged"):
                weights_folder(Weights(kind="hub", repository="owner/tiny"))
        else:
            assert weights_folder(Weights(kind="hub", repository="owner/tiny")) == folder


@pytest.mark.parametrize(("backend", "told"), [("nope", "must be one of"), ("flash", ""), ("native", "only its own")])
def test_an_attention_backend_without_effect_is_said_so(saved: Path, local: Local, backend: str, told: str) -> None:
    """Breaks when a backend that is mistyped, missing or unknown to the UNet is ignored, or ends in a traceback."""
    with pytest.raises(UsageError, match=f"attention backend '{backend}'.*{told}"):
        load_components(local(saved), device_plan(DeviceOptions(attention=backend), device="cpu"))


def test_an_attention_backend_is_set(tmp_path: Path, local: Local) -> None:
    """Breaks when the option is read but not passed on."""
    save_components(flux_parts(), tmp_path)
    plan = device_plan(DeviceOptions(attention="_native_math"), device="cpu")
    processors = load_components(local(tmp_path), plan).transformer.attn_processors.values()
    assert {str(p._attention_backend.value) for p in processors} == {"_native_math"}


def test_quantisation_reaches_the_library(saved: Path, local: Local) -> None:
    """Breaks when a quantisation setting is dropped, or a method that is not there loads the plain weights."""
    for settings in ({"quant_method": "nope"}, {"quant_method": "bitsandbytes", "load_in_8bit": True}):
        plan = device_plan(DeviceOptions(quantization={"unet": settings}), device="cpu")
        with pytest.raises(UsageError, match="quantisation of unet"):
            load_components(local(saved), plan)


def test_quantised_loading_checks_keys_first(saved: Path, local: Local) -> None:
    """Breaks when quantisation becomes a way round the strict check."""
    path = saved / "unet/diffusion_pytorch_model.safetensors"
    state = load_file(path)
    del state["conv_in.bias"]
    save_file(state, path)
    plan = device_plan(DeviceOptions(quantization={"unet": {"quant_method": "bitsandbytes"}}), device="cpu")
    with pytest.raises(WeightsError, match=r"conv_in\.bias"):
        load_components(local(saved), plan)
