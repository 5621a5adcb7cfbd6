"""weights.toml: what it says, what is on this machine, and that damage is found before use."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch

from faceedit import template
from faceedit.errors import UsageError, WeightsError
from faceedit.evaluate.judge import Judge, JudgeConfig, load_judge, save_judge
from faceedit.models import manifest
from faceedit.models.components import Components
from faceedit.models.loader import load_components
from faceedit.models.manifest import DAMAGED, MISSING, PRESENT, WeightFile, WeightSet, check_folder
from faceedit.models.pack import pack
from faceedit.models.places import weights_folder
from faceedit.models.plan import DevicePlan
from faceedit.models.save import save_components
from faceedit.recipe import list_recipes, load_recipe
from faceedit.recipe_schema import Weights
from faceedit.resources import manifest_path


def test_the_shipped_manifest_and_the_recipes_agree() -> None:
    """Breaks when a recipe's weights are not in the manifest, or the manifest names a recipe that is gone."""
    recipes = {name: load_recipe(name) for name in list_recipes()}
    assert {name for known in manifest.weight_sets() for name in known.needed_by} <= set(recipes)
    for name, recipe in recipes.items():
        if recipe.weights.kind == "bundled":
            known = manifest.weight_set(recipe.weights.path)
        elif recipe.weights.kind == "hub":
            known = manifest.by_repository(recipe.weights.repository)
        else:
            continue
        assert known is not None and name in known.needed_by


def test_the_shipped_manifest_is_pinned() -> None:
    """Breaks when what a recipe needs can move, an entry leaves its folder, or carries a malformed hash.

    A set that only builds data may name no commit; then no size and no hash of its files is claimed either.
    """
    for known in manifest.weight_sets():
        assert known.kind in ("bundled", "hub") and known.licence and known.description
        pinned = known.kind == "bundled" or re.fullmatch("[0-9a-f]{40}", known.revision)
        assert pinned or not (known.needed_by or known.revision or any(f.size or f.sha256 for f in known.files))
        for file in known.files:
            assert not file.sha256 or re.fullmatch("[0-9a-f]{64}", file.sha256)
            assert known.kind == "hub" or (file.size and file.sha256)


def test_the_bundled_weights_are_the_ones_in_the_manifest() -> None:
    """Breaks when a bundled file changed and its hash did not: run python -m faceedit.models.pack --name SET."""
    for known in manifest.weight_sets():
        if known.kind == "bundled" and known.files:
            assert manifest.check(known).problems == ()


@pytest.fixture
def small(tmp_path: Path) -> tuple[WeightSet, Path]:
    """A set of two files that is whole."""
    for name, text in (("a.json", "{}"), ("b.bin", "hello")):
        (tmp_path / name).write_text(text)
    files = tuple(
        WeightFile(path.name, path.stat().st_size, manifest.digest(path)) for path in sorted(tmp_path.iterdir())
    )
    return WeightSet("small", "bundled", files=files), tmp_path


def test_a_whole_set_is_present(small: tuple[WeightSet, Path]) -> None:
    """Breaks when intact files are called damaged."""
    assert check_folder(*small).state == PRESENT
    assert small[0].size == 7


def test_a_flipped_bit_is_damage_that_only_the_hash_sees(small: tuple[WeightSet, Path]) -> None:
    """Breaks when corruption of the same size passes verification."""
    (small[1] / "b.bin").write_text("hellp")
    assert check_folder(*small, hashes=False).state == PRESENT
    found = check_folder(*small)
    assert found.state == DAMAGED and "b.bin does not have its hash" in found.problems[0]


def test_another_size_is_damage(small: tuple[WeightSet, Path]) -> None:
    """Breaks when a truncated file is only found by reading it."""
    (small[1] / "b.bin").write_text("hell")
    found = check_folder(*small, hashes=False)
    assert (found.state, found.problems) == (DAMAGED, ("b.bin has 4 bytes instead of 5",))


def test_an_absent_file_is_missing(small: tuple[WeightSet, Path]) -> None:
    """Breaks when an incomplete set counts as present."""
    (small[1] / "a.json").unlink()
    assert check_folder(*small).state == MISSING


def test_files_of_the_cache_are_checked_by_their_own_names(tmp_path: Path) -> None:
    """Breaks when a corrupt download without an entry in the manifest passes: the cache names content by its hash."""
    blobs, snapshot = tmp_path / "blobs", tmp_path / "snapshots/x"
    blobs.mkdir()
    snapshot.mkdir(parents=True)
    (tmp_path / "f").write_text("hello")
    names = {"large": manifest.digest(tmp_path / "f"), "small": manifest.digest(tmp_path / "f", "git")}
    assert names["small"] == "b6fc4c620b67d95f953a5c1c1230aaab5db5a1b0"  # git hash-object of the same five bytes
    for name, blob in names.items():
        (blobs / blob).write_text("hello")
        (snapshot / name).symlink_to(blobs / blob)
    known = WeightSet("x", "hub", files=(WeightFile("large"), WeightFile("small")))
    assert check_folder(known, snapshot).state == PRESENT
    (blobs / names["large"]).write_text("hellp")
    assert check_folder(known, snapshot).state == DAMAGED


@pytest.mark.parametrize(
    "text",
    ["[[set]]\nid = 1\nkind", '[[set]]\nid = "x"', '[[set]]\nid = "x"\nkind = "hub"\nsecret = 1', "set = 3"],
)
def test_a_malformed_manifest_is_said_so(tmp_path: Path, text: str) -> None:
    """Breaks when a broken manifest ends in another error."""
    (tmp_path / "weights.toml").write_text(text)
    with pytest.raises(WeightsError, match="cannot be read"):
        manifest.read_manifest(tmp_path / "weights.toml")


@pytest.mark.parametrize(
    "path",
    ["../x", "/etc/passwd", "a/../../x", "", "..\\x", "C:\\x", "C:x", "\\\\server\\share\\x", "\\x", "a\\..\\..\\x"],
)
def test_a_manifest_cannot_leave_its_folder(tmp_path: Path, path: str) -> None:
    """T8. Breaks when verification reads files outside the set, by the rules of POSIX or of Windows."""
    (tmp_path / "weights.toml").write_text(f"[[set]]\nid = 'x'\nkind = 'hub'\nfile = [{{ path = '{path}' }}]\n")
    with pytest.raises(WeightsError, match="leaves its folder"):
        manifest.read_manifest(tmp_path / "weights.toml")


def test_unknown_bundled_weights_are_a_usage_error() -> None:
    """Breaks when a mistyped set name reads some folder of the package."""
    for name in ("mini-9", "", "..", "sd-1.5"):
        with pytest.raises(UsageError, match="no bundled weights"):
            weights_folder(Weights(kind="bundled", path=name))


@pytest.fixture
def packed(tiny: Components, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Tiny parts as trainings export them, packed as the set `mini-2` of a package of their own."""
    runs = tmp_path / "runs"
    save_components(Components(torch.device("cpu"), vae=tiny.vae), runs / "parts")
    (runs / "vae").mkdir()
    (runs / "parts/vae").rename(runs / "vae/export")
    save_components(Components(torch.device("cpu"), unet=tiny.unet, scheduler=tiny.scheduler), runs / "unet/export")
    save_components(
        Components(
            torch.device("cpu"),
            text_encoder=tiny.text_encoder,
            vision=tiny.vision,
            tokenizer=tiny.tokenizer,
            image_processor=tiny.image_processor,
        ),
        runs / "clip/export",
    )
    (runs / "clip/export/vision").rename(runs / "clip/export/image_encoder")
    (runs / "clip/export/image_processor").rename(runs / "clip/export/feature_extractor")
    with torch.random.fork_rng():
        save_judge(Judge(JudgeConfig(channels=(8, 8), size=32)), runs / "judge/export")
    (tmp_path / "weights.toml").write_bytes(manifest_path().read_bytes())
    size = pack(runs, tmp_path / "weights/mini-2", tmp_path / "weights.toml")
    assert size < 3_000_000
    known = next(s for s in manifest.read_manifest(tmp_path / "weights.toml") if s.id == "mini-2")
    monkeypatch.setattr(manifest, "weight_sets", lambda: (known,))
    monkeypatch.setattr(manifest, "bundled_weights_dir", lambda: tmp_path / "weights")
    manifest.require_intact.cache_clear()
    return tmp_path / "weights/mini-2"


def test_packed_parts_load_as_bundled_weights(tiny: Components, packed: Path, cpu: DevicePlan) -> None:
    """Breaks when what a training exports cannot be shipped: a part lost, a hash not written, weights changed."""
    loaded = load_components(Weights(path="mini-2"), cpu)
    for part in ("vae", "unet", "text_encoder", "vision"):
        for key, value in getattr(tiny, part).state_dict().items():
            assert torch.equal(getattr(loaded, part).state_dict()[key], value.half().float())
    assert loaded.image_processor == tiny.image_processor
    assert loaded.scheduler.config.beta_schedule == "scaled_linear"
    assert loaded.tokenizer("a smile")["input_ids"] == tiny.tokenizer("a smile")["input_ids"]
    assert load_judge(packed / "judge").config.size == 32
    known = manifest.weight_set("mini-2")
    assert known is not None and known.size == sum(p.stat().st_size for p in packed.rglob("*") if p.is_file())
    assert str(packed.parent.parent) not in "".join(p.read_text("latin-1") for p in packed.rglob("*") if p.is_file())


def test_packing_twice_gives_the_same_bytes(packed: Path, tmp_path: Path) -> None:
    """Breaks when packing depends on the clock or the order of files, so that hashes differ without a training."""
    text = (tmp_path / "weights.toml").read_text()
    pack(tmp_path / "runs", packed, tmp_path / "weights.toml")
    assert (tmp_path / "weights.toml").read_text() == text


def test_damaged_bundled_weights_are_never_used(packed: Path, cpu: DevicePlan) -> None:
    """Breaks when a flipped bit in the package reaches a picture."""
    path = packed / "unet/diffusion_pytorch_model.safetensors"
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(WeightsError, match=r"mini-2 are damaged: unet/diffusion_pytorch_model\.safetensors"):
        load_components(Weights(path="mini-2"), cpu, parts=("vae",))


def test_hashes_are_read_once_per_process(packed: Path, cpu: DevicePlan) -> None:
    """Breaks when a batch hashes the weights again for every picture."""
    load_components(Weights(path="mini-2"), cpu, parts=("scheduler",))
    (packed / "judge/config.json").unlink()
    load_components(Weights(path="mini-2"), cpu, parts=("scheduler",))


def test_a_diverged_training_is_not_packed(packed: Path, tmp_path: Path, tiny: Components) -> None:
    """Breaks when weights beyond fp16's range are shipped as infinity."""
    del packed
    state = {key: value.clone() for key, value in tiny.unet.state_dict().items()}
    state["conv_in.bias"][0] = 1e6
    from safetensors.torch import save_file

    save_file(state, tmp_path / "runs/unet/export/unet/diffusion_pytorch_model.safetensors")
    with pytest.raises(WeightsError, match=r"unet: conv_in\.bias does not fit"):
        pack(tmp_path / "runs", tmp_path / "weights/mini-2", tmp_path / "weights.toml")


def test_a_damaged_face_template_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks when the detector's own weights are read without holding them against their hash."""
    known = manifest.weight_set(template.SET)
    assert known is not None
    data = bytearray((manifest.bundled_folder(template.SET) / template.FILE).read_bytes())
    data[-1] ^= 1
    (tmp_path / template.SET).mkdir()
    (tmp_path / template.SET / template.FILE).write_bytes(data)
    monkeypatch.setattr(manifest, "bundled_weights_dir", lambda: tmp_path)
    manifest.require_intact.cache_clear()
    template.load_template.cache_clear()
    with pytest.raises(WeightsError, match=template.FILE):
        template.load_template()
    manifest.require_intact.cache_clear()
