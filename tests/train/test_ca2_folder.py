"""CA-Edit's training on a folder in the LAMask-Caption form, at another size than the mini models'."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from faceedit.errors import UsageError
from faceedit.lamask.form import LocalCaption, read_form, read_parts
from faceedit.lamask.portraits import png_bytes, write_portraits
from faceedit.train import ca2
from faceedit.train.frozen import FrozenEncoders
from faceedit.train.lamask_triples import LamaskExamples, lamask_examples
from faceedit.train.run import run
from faceedit.train.settings import Ca2Settings, DataSettings, MaskSettings

EXACT = MaskSettings(exact=1, eroded=0, dilated=0, hull=0, bezier=0)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "lamask"
    write_portraits(folder, 5, size=64)
    return folder


@pytest.fixture
def settings(backbone: Path, pictures: Path) -> Ca2Settings:
    return Ca2Settings(
        data=DataSettings(folder=str(pictures), size=48),
        unet=str(backbone / "unet"),
        vae=str(backbone / "vae"),
        clip=str(backbone),
        vision=str(backbone / "vision"),
        masks=EXACT,
    )


@pytest.fixture
def encoders(settings: Ca2Settings) -> FrozenEncoders:
    return FrozenEncoders(Path(settings.clip), Path(settings.vae), Path(str(settings.vision)))


def test_run_from_the_recipe(backbone: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Breaks when `train ca2` on a folder of pictures does not go from its recipe to an export."""
    monkeypatch.setattr(ca2, "SHEET_STEPS", 1)
    overrides = {
        "data.folder": str(pictures), "data.size": "48", "unet": str(backbone / "unet"), "vae": str(backbone / "vae"),
        "clip": str(backbone), "vision": str(backbone / "vision"), "loop.steps": "1", "loop.batch": "2",
        "loop.accumulate": "1", "loop.precision": '"no"', "loop.threads": "1",
    }  # fmt: skip
    recipe = Path(__file__).parents[2] / "recipes/train/ca2-sd15.yaml"
    export = run(str(recipe), tmp_path / "run", overrides)
    for name in ("reference_net", "adapter"):
        assert (export / name / "diffusion_pytorch_model.safetensors").is_file()


def test_validation_pictures_are_not_trained_on(settings: Ca2Settings, encoders: FrozenEncoders) -> None:
    """Breaks when a picture is in both parts, or in none."""
    train_part, kept = lamask_examples(settings, encoders)
    assert not set(train_part.images) & set(kept.images)
    assert sorted((*train_part.images, *kept.images)) == list(read_form(Path(settings.data.folder)).images)


def test_triples_are_those_of_the_folder(settings: Ca2Settings, encoders: FrozenEncoders) -> None:
    """Breaks when a caption meets another picture's mask, or a mask is not its region at the training's size."""
    examples = lamask_examples(dataclasses.replace(settings, flip=False), encoders)[0]
    rows = np.arange(len(examples))
    triples = examples.draw(rows, np.random.default_rng(0))
    assert triples.original.shape == (len(rows), 3, 48, 48)
    assert torch.equal(triples.original_latents, triples.target_latents)
    for row, text, mask in zip(rows, triples.captions, triples.masks, strict=True):
        image = examples.images[row]
        regions = {c.region for c in examples.folder.captions[image] if c.text == text}
        assert regions
        assert float(mask.sum()) > 0
        again = examples.draw(rows, np.random.default_rng(0))
        assert torch.equal(again.masks, triples.masks)


def test_captions_with_sides_are_not_mirrored(settings: Ca2Settings, encoders: FrozenEncoders) -> None:
    """Breaks when "a mole on the left cheek" is shown with the mole on the right."""
    folder = read_form(Path(settings.data.folder))
    image = folder.images[0]
    for text, turned in (("a scar on the left cheek", False), ("smooth skin", True)):
        said = {image: (LocalCaption(image, "skin", "direct", text),)}
        examples = LamaskExamples(dataclasses.replace(folder, captions=said), [image], settings, encoders, augment=True)
        drawn = [examples.draw(np.array([0]), np.random.default_rng(i)).original for i in range(8)]
        assert any(not torch.equal(drawn[0], other) for other in drawn) == turned


def test_nothing_to_train_on_is_said(settings: Ca2Settings, encoders: FrozenEncoders) -> None:
    """Breaks when a caption without a place trains on an empty mask."""
    folder = read_form(Path(settings.data.folder))
    bald = next(i for i in folder.images if not (folder.parts(i) == 16).any())
    said = {bald: (LocalCaption(bald, "necklace", "direct", "a string of pearls"),)}
    examples = LamaskExamples(dataclasses.replace(folder, captions=said), [bald], settings, encoders, augment=True)
    with pytest.raises(UsageError, match="shows nothing"):
        examples.draw(np.array([0]), np.random.default_rng(0))


def test_a_mask_of_another_size_is_refused(settings: Ca2Settings, encoders: FrozenEncoders, tmp_path: Path) -> None:
    """Breaks when picture and mask are squeezed to one size, so that the mask lies beside what it marks."""
    write_portraits(tmp_path / "lamask", 1, size=64)
    (mask,) = (tmp_path / "lamask/masks").iterdir()
    mask.write_bytes(png_bytes(read_parts(mask)[:48]))
    folder = read_form(tmp_path / "lamask")
    examples = LamaskExamples(folder, folder.images, settings, encoders, augment=False)
    with pytest.raises(UsageError, match="differ in size"):
        examples.draw(np.array([0]), np.random.default_rng(0))
