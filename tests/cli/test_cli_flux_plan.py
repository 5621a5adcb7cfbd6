"""`edit --dry-run` with Flux-Sculptor at FLUX.1-dev's full size: its configurations are there, its weights are not."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import pytest
from cli_harness import Call, Outcome
from torch import nn

from faceedit.models import free_memory, sizes
from faceedit.recipe_schema import Weights

GIB = 1024**3
BUILD = sizes.empty_models
CONFIGS = {
    "transformer": {
        "_class_name": "FluxTransformer2DModel", "guidance_embeds": True, "num_layers": 19, "num_single_layers": 38,
        "num_attention_heads": 24, "attention_head_dim": 128, "joint_attention_dim": 4096, "in_channels": 64,
        "pooled_projection_dim": 768, "patch_size": 1,
    },
    "text_encoder": {
        "architectures": ["CLIPTextModel"], "model_type": "clip_text_model", "hidden_size": 768,
        "intermediate_size": 3072, "num_attention_heads": 12, "num_hidden_layers": 12, "vocab_size": 49408,
    },
    "text_encoder_2": {
        "architectures": ["T5EncoderModel"], "model_type": "t5", "d_ff": 10240, "d_kv": 64, "d_model": 4096,
        "feed_forward_proj": "gated-gelu", "num_heads": 64, "num_layers": 24, "vocab_size": 32128,
        "tie_word_embeddings": False,
    },
    "vae": {
        "_class_name": "AutoencoderKL", "block_out_channels": [128, 256, 512, 512], "latent_channels": 16,
        "down_block_types": ["DownEncoderBlock2D"] * 4, "up_block_types": ["UpDecoderBlock2D"] * 4,
        "layers_per_block": 2, "use_quant_conv": False, "use_post_quant_conv": False,
        "scaling_factor": 0.3611, "shift_factor": 0.1159,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """FLUX.1-dev's folder with its configurations and files of no length."""
    root = tmp_path_factory.mktemp("flux")
    index = {"_class_name": "FluxPipeline"}
    for part, config in CONFIGS.items():
        (root / part).mkdir()
        (root / part / "config.json").write_text(json.dumps(config))
        stem = "diffusion_pytorch_model" if "_class_name" in config else "model"
        (root / part / f"{stem}.safetensors").touch()
        name = config.get("_class_name") or config["architectures"][0]
        index[part] = ["library", name]
    (root / "model_index.json").write_text(json.dumps(index))
    return root


@pytest.fixture(autouse=True)
def built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The empty models are the same for every plan of a folder."""
    monkeypatch.setattr(sizes, "empty_models", lambda weights, skip: _built(weights.path, tuple(skip)))


@cache
def _built(path: str, skip: tuple[str, ...]) -> dict[str, nn.Module]:
    return BUILD(Weights(kind="local", path=path), skip)


def planned(call: Call, picture: Path, folder: Path, *settings: str, recipe: str = "flux-sculptor") -> Outcome:
    words = ["weights.kind=local", f"weights.path={folder}", *settings]
    chosen = [part for word in words for part in ("--set", word)]
    return call("edit", picture, "red lips", "-r", recipe, "--device", "cpu", "-n", "--json", *chosen)


def test_the_plan_of_the_papers_recipe(
    call: Call, portrait: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Breaks when the plan leaves out a part, counts other evaluations, or loads what it only has to describe."""
    monkeypatch.setattr("faceedit.models.loader.load_into", lambda *_, **__: pytest.fail("weights were loaded"))
    monkeypatch.setattr(free_memory.psutil, "virtual_memory", lambda: type("M", (), {"available": 200 * GIB}))
    (document,) = planned(call, portrait, folder, "device.dtype=bf16").documents
    assert document["part_bytes"] == {
        "transformer": 23_802_816_640,
        "text_encoder": 246_120_960,
        "text_encoder_2": 9_524_621_312,
        "vae": 335_278_732,
    }
    cost = document["cost"]
    assert (cost["evaluations"], cost["rows"], cost["structure_steps"], cost["value_blocks"]) == (120, 120, 3, 18)
    assert (cost["bank"], cost["bank_bytes"]) == ("store-device", 24_461_180_928)
    weights = sum(document["part_bytes"].values())
    assert weights + 24_461_180_928 < cost["peak_bytes"] < weights + 24_461_180_928 + 4 * GIB


@pytest.mark.parametrize(
    ("recipe", "settings", "free", "found"),
    [
        ("flux-sculptor", ["device.dtype=bf16"], 40, {"bank": "dual", "rows": 174, "bank_bytes": 0}),
        ("flux-sculptor", ["bank=dual"], 200, {"bank": "dual", "evaluations": 120, "rows": 174}),
        ("flux-sculptor", ["solver=fireflow"], 200, {"evaluations": 65, "bank": "store-device"}),
        ("flux-sculptor", ["fusion=none"], 200, {"evaluations": 120, "bank": "none"}),
        ("flux-sculptor-fast", ["device.dtype=bf16"], 200, {"evaluations": 19, "bank_bytes": 7 * 18 * 1024 * 3072 * 2}),
        ("flux-sculptor", ["sampling.strength=0.5"], 200, {"evaluations": 60, "structure_steps": 3}),
    ],
)
def test_the_plan_follows_the_recipe_and_the_memory(
    call: Call,
    portrait: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    recipe: str,
    settings: list[str],
    free: int,
    found: dict[str, object],
) -> None:
    """Breaks when the plan promises a bank that the editor would not make, or other work than the solver's."""
    monkeypatch.setattr(free_memory.psutil, "virtual_memory", lambda: type("M", (), {"available": free * GIB}))
    (document,) = planned(call, portrait, folder, *settings, recipe=recipe).documents
    assert found.items() <= document["cost"].items()


def test_a_preset_shows_in_the_plan(call: Call, portrait: Path, folder: Path) -> None:
    """Breaks when --memory 24gb or 16gb is taken and the plan still counts the files' own precision."""
    (eight,) = planned(call, portrait, folder, "device.memory=24gb", "device.dtype=bf16").documents
    assert (eight["memory"], eight["part_bytes"]["transformer"]) == ("24gb", 15_149_072_512)
    (four,) = planned(call, portrait, folder, "device.memory=16gb", "device.dtype=bf16").documents
    assert four["memory"] == "16gb" and 6.6e9 < four["part_bytes"]["transformer"] < 6.9e9


def test_people_read_the_plan_in_gib(call: Call, portrait: Path, folder: Path) -> None:
    """Breaks when the plan for people is a page of digits."""
    words = ["--set", "weights.kind=local", "--set", f"weights.path={folder}", "--set", "device.dtype=bf16"]
    outcome = call("edit", portrait, "red lips", "-r", "flux-sculptor", "--device", "cpu", "-n", *words)
    for row in (r"transformer bytes +22\.17 GiB", r"evaluations +120", r"bank +\S+", r"peak bytes +[\d.]+ GiB"):
        assert re.search(f"^{row}$", outcome.out, re.MULTILINE), row


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        (["size=1000"], "size must be a multiple of 16 pixels, not 1000"),
        (["structure_steps=31"], "31 structure steps do not fit into 30"),
        (["value_blocks=58"], "58 blocks: the transformer has 57"),
        (["bank=store"], "the value bank needs 48.9 GB"),
    ],
)
def test_what_would_stop_the_edit_stops_the_plan(
    call: Call, portrait: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, settings: list[str], told: str
) -> None:
    """Breaks when a plan is printed for an edit that cannot run: one line, exit code 2."""
    monkeypatch.setattr(free_memory.psutil, "virtual_memory", lambda: type("M", (), {"available": 100 * GIB}))
    outcome = planned(call, portrait, folder, *settings)
    assert outcome.code == 2 and told in outcome.err and len(outcome.err.splitlines()) <= 2
