"""A recipe takes parts of another recipe's bundled set, under the same hashes, wherever weights are looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from faceedit.errors import UsageError, WeightsError
from faceedit.models import manifest
from faceedit.models.components import Components
from faceedit.models.loader import load_components
from faceedit.models.manifest import WeightFile, WeightSet
from faceedit.models.places import weight_paths
from faceedit.models.plan import DevicePlan
from faceedit.models.random_flux import random_flux_components
from faceedit.models.save import save_components
from faceedit.readiness import RUNS, readiness
from faceedit.recipe_schema import Weights
from faceedit.record import weights_hashes

SHARED = ("vae", "text_encoder", "tokenizer")
WEIGHTS = Weights(path="lone-1", folders={part: f"bundled:whole-1/{part}" for part in SHARED})


@pytest.fixture
def bundled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two bundled sets: a whole FLUX one, and one with nothing but the other four parts of another seed."""
    whole, other = random_flux_components(1), random_flux_components(2)
    alone = {part: getattr(other, part) for part in ("transformer", "text_encoder_2", "tokenizer_2", "scheduler")}
    save_components(whole, tmp_path / "whole-1")
    save_components(Components(other.device, **alone), tmp_path / "lone-1")
    known = tuple(bundled_set(tmp_path / name) for name in ("whole-1", "lone-1"))
    monkeypatch.setattr(manifest, "weight_sets", lambda: known)
    monkeypatch.setattr(manifest, "bundled_weights_dir", lambda: tmp_path)
    manifest.require_intact.cache_clear()
    return tmp_path


def bundled_set(folder: Path) -> WeightSet:
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    entries = (WeightFile(p.relative_to(folder).as_posix(), p.stat().st_size, manifest.digest(p)) for p in files)
    return WeightSet(folder.name, "bundled", files=tuple(entries))


@pytest.mark.usefixtures("bundled")
def test_borrowed_parts_are_the_other_sets(cpu: DevicePlan) -> None:
    """Breaks when a part comes from the wrong set, or a tokenizer that replaces nothing is refused."""
    loaded = load_components(WEIGHTS, cpu)
    for part, seed in (("vae", 1), ("text_encoder", 1), ("transformer", 2), ("text_encoder_2", 2)):
        expected = getattr(random_flux_components(seed), part).state_dict()
        for key, values in getattr(loaded, part).state_dict().items():
            assert (values == expected[key]).all()
    assert loaded.tokenizer("a smile")["input_ids"] == random_flux_components(1).tokenizer("a smile")["input_ids"]


def test_borrowed_parts_count_everywhere(bundled: Path, tmp_path: Path) -> None:
    """Breaks when dry runs, the doctor or a result's record see a part of the weights less than are loaded."""
    assert weight_paths(WEIGHTS) == {
        "text_encoder/model.safetensors": bundled / "whole-1/text_encoder/model.safetensors",
        "text_encoder_2/model.safetensors": bundled / "lone-1/text_encoder_2/model.safetensors",
        "transformer/diffusion_pytorch_model.safetensors": bundled
        / "lone-1/transformer/diffusion_pytorch_model.safetensors",
        "vae/diffusion_pytorch_model.safetensors": bundled / "whole-1/vae/diffusion_pytorch_model.safetensors",
    }
    path = bundled / "whole-1/vae/diffusion_pytorch_model.safetensors"
    assert weights_hashes(WEIGHTS)["vae/diffusion_pytorch_model.safetensors"] == manifest.digest(path)
    recipe = tmp_path / "borrow.yaml"
    folders = "\n".join(f"    {part}: bundled:whole-1/{part}" for part in SHARED)
    recipe.write_text(f"weights:\n  path: lone-1\n  folders:\n{folders}\ndevice: {{device: cpu}}\n")
    assert readiness(str(recipe)).state == RUNS
    path.write_bytes(path.read_bytes()[:-1] + b"\0")
    manifest.require_intact.cache_clear()
    assert "whole-1 are damaged: vae/" in readiness(str(recipe)).why


def test_a_damaged_lender_is_refused(bundled: Path, cpu: DevicePlan) -> None:
    """Breaks when the hashes of the borrowed part's set are not read before the part is."""
    path = bundled / "whole-1/vae/diffusion_pytorch_model.safetensors"
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(WeightsError, match="whole-1 are damaged: vae/"):
        load_components(WEIGHTS, cpu)


@pytest.mark.usefixtures("bundled")
@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("bundled:none/vae", "no bundled weights 'none'"),
        ("bundled:", "no bundled weights ''"),
        ("bundled://host/share", "no bundled weights ''"),
        ("bundled:whole-1", "whole-1 hold no ''"),
        ("bundled:whole-1/unet", "whole-1 hold no 'unet'"),
        ("bundled:whole-1/../lone-1/transformer", "hold no '../lone-1/transformer'"),
    ],
)
def test_what_cannot_be_borrowed(cpu: DevicePlan, place: str, told: str) -> None:
    """Breaks when a mistyped name ends in a traceback, or a name leads out of the package."""
    with pytest.raises(UsageError, match=told):
        load_components(Weights(path="whole-1", folders={"vae": place}), cpu)
