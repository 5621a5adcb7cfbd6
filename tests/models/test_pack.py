"""A set of weights from finished trainings: the parts of a backbone, and those of CA-Edit where they were trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from faceedit.errors import WeightsError
from faceedit.models.components import CONDITION_PARTS, Components
from faceedit.models.condition_adapter import ConditionAdapter
from faceedit.models.loader import load_components
from faceedit.models.pack import pack, pack_flux
from faceedit.models.plan import DevicePlan
from faceedit.models.random_flux import random_flux_components
from faceedit.recipe_schema import Weights

MANIFEST = '[[set]]\nid = "tried-1"\nkind = "bundled"\nfile = [\n]\n'


@pytest.fixture
def runs(tiny: Components, tmp_path: Path) -> Path:
    """What trainings leave behind, CA-Edit's among them."""
    folder = tmp_path / "runs"
    places = {
        "vae": "vae/export",
        "unet": "unet/export/unet",
        "text_encoder": "clip/export/text_encoder",
        "vision": "clip/export/image_encoder",
        "tokenizer": "clip/export/tokenizer",
        "scheduler": "unet/export/scheduler",
        "reference_net": "ca2/export/reference_net",
        "adapter": "ca2/export/adapter",
    }
    for part, place in places.items():
        getattr(tiny, part).save_pretrained(folder / place)
    (folder / "clip/export/feature_extractor").mkdir()
    (folder / "clip/export/feature_extractor/preprocessor_config.json").write_text(
        '{"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]}'
    )
    judge = folder / "judge/export"
    judge.mkdir(parents=True)
    (judge / "config.json").write_text('{"features": ["smile"]}')
    save_file({"layer.weight": torch.ones(2, 2)}, judge / "model.safetensors")
    (tmp_path / "weights.toml").write_text(MANIFEST)
    return folder


def test_trained_conditions_go_into_the_set(tiny: Components, runs: Path, tmp_path: Path, cpu: DevicePlan) -> None:
    """Breaks when a trained reference net or adapter is forgotten, or is not what the loader reads."""
    size = pack(runs, tmp_path / "tried-1", tmp_path / "weights.toml")
    assert size == sum(path.stat().st_size for path in (tmp_path / "tried-1").rglob("*") if path.is_file())
    assert "adapter/diffusion_pytorch_model.safetensors" in (tmp_path / "weights.toml").read_text()
    loaded = load_components(Weights(kind="local", path=str(tmp_path / "tried-1")), cpu)
    for part in CONDITION_PARTS:
        one, other = getattr(tiny, part).state_dict(), getattr(loaded, part).state_dict()
        assert all(torch.equal(one[key].half().float(), other[key]) for key in one)


def test_a_set_may_lack_them(runs: Path, tmp_path: Path, cpu: DevicePlan) -> None:
    """Breaks when a backbone cannot be packed before CA-Edit is trained on it."""
    (runs / "ca2").rename(runs / "ca2-later")
    pack(runs, tmp_path / "tried-1", tmp_path / "weights.toml")
    loaded = load_components(Weights(kind="local", path=str(tmp_path / "tried-1")), cpu)
    assert (loaded.reference_net, loaded.adapter) == (None, None)


def test_conditions_of_another_backbone_are_not_packed(tiny: Components, runs: Path, tmp_path: Path) -> None:
    """Breaks when an adapter that was trained with another vision encoder ships with this one."""
    ConditionAdapter.from_net(tiny.unet, image_dim=48).save_pretrained(runs / "ca2/export/adapter")
    with pytest.raises(WeightsError, match="adapter was made for image_dim 48"):
        pack(runs, tmp_path / "tried-1", tmp_path / "weights.toml")
    assert not (tmp_path / "tried-1").exists()


def test_flux_parts_are_a_set_of_their_own(tmp_path: Path, cpu: DevicePlan) -> None:
    """Breaks when a part of the small FLUX is forgotten, is not what the loader reads, or a borrowed one is packed."""
    flux = random_flux_components()
    for part in ("transformer", "text_encoder_2", "tokenizer_2", "scheduler"):
        getattr(flux, part).save_pretrained(tmp_path / "runs/flux/export" / part)
    (tmp_path / "weights.toml").write_text(MANIFEST)
    size = pack_flux(tmp_path / "runs", tmp_path / "tried-1", tmp_path / "weights.toml")
    assert size == sum(path.stat().st_size for path in (tmp_path / "tried-1").rglob("*") if path.is_file())
    loaded = load_components(Weights(kind="local", path=str(tmp_path / "tried-1")), cpu)
    assert (loaded.vae, loaded.text_encoder, loaded.tokenizer, loaded.unet) == (None,) * 4
    for part in ("transformer", "text_encoder_2"):
        one, other = getattr(flux, part).state_dict(), getattr(loaded, part).state_dict()
        assert all(torch.equal(one[key].half().float(), other[key]) for key in other)
    assert loaded.tokenizer_2("rosy cheeks")["input_ids"] == flux.tokenizer_2("rosy cheeks")["input_ids"]
    assert loaded.scheduler.config.base_shift == flux.scheduler.config.base_shift
