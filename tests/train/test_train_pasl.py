"""PASL's objective on drawn discs: the losses by their formulas, the shortcuts exact, absent regions left out."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from faceedit.errors import UsageError
from faceedit.models.pasl import load_pasl
from faceedit.models.random import random_components
from faceedit.models.sentence_features import SentenceFeatures
from faceedit.regions import REGIONS
from faceedit.text2mask.form import open_text2mask
from faceedit.text2mask.portraits import write_portraits
from faceedit.text2mask.prompts import PROMPTS, UNSEEN
from faceedit.train.data import PortraitCache
from faceedit.train.loop import train
from faceedit.train.pasl import EPSILON, PaslObjective, intersection_over_union, mask_loss
from faceedit.train.place_wordings import Wording, attribute_wordings, made_up_wordings, unions
from faceedit.train.region_pictures import RegionPictures, RenderedRegions, split_folder
from faceedit.train.settings import DataSettings, LoopSettings, PaslSettings

LOOP = LoopSettings(steps=4, batch=4, warmup=1, checkpoint_every=2, evaluate_every=100, log_every=1, threads=1)
SETTINGS = PaslSettings(
    LOOP, DataSettings(size=32, grid=16), channels=(4, 4, 8, 8, 8, 8), hidden=16, phrases=2, augment=True
)
PROMPTS_HERE = {"eyes": ("eyes", "a person with large eyes"), "face_shape": ("a face", "a person with a round face")}
UNSEEN_HERE = {"eyes": ("hooded eyes",), "face_shape": ("a moon-shaped face",)}
PHRASES = (
    Wording("eyes and face", ("eyes", "face_shape")),
    Wording("a lens", ("eyes",)),
    Wording("a hat", ("hat",)),
    Wording("eyes", ("hat",)),
)


@pytest.fixture(scope="module")
def encode() -> SentenceFeatures:
    components = random_components(0)
    return SentenceFeatures(components.text_encoder, components.tokenizer)


def objective(
    pictures: RegionPictures, encode: SentenceFeatures, settings: PaslSettings = SETTINGS, unseen: bool = True
) -> PaslObjective:
    said = UNSEEN_HERE if unseen else {}
    return PaslObjective(settings, pictures, pictures, PROMPTS_HERE, said, (PHRASES[:2], PHRASES[2:]), encode)


@pytest.fixture
def made(portraits: PortraitCache, encode: SentenceFeatures) -> PaslObjective:
    return objective(RenderedRegions(portraits), encode)


def test_losses_by_their_formulas() -> None:
    """Breaks when eq. 7 is summed instead of averaged, or eq. 8 is taken over the batch instead of each mask."""
    logits, truth = torch.randn(2, 3, 4, 4), torch.rand(2, 3, 4, 4)
    p = logits.sigmoid()
    cross_entropy = -(truth * p.log() + (1 - truth) * (1 - p).log()).mean((-2, -1))
    dice = 1 - 2 * (p * truth).sum((-2, -1)) / (p.sum((-2, -1)) + truth.sum((-2, -1)))
    found = mask_loss(logits, truth, torch.ones(2, 3))
    torch.testing.assert_close(torch.stack(found), torch.stack([cross_entropy.mean(), dice.mean()]))
    weight = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 1.0]])
    found = mask_loss(logits, truth, weight)
    kept = weight > 0
    torch.testing.assert_close(torch.stack(found), torch.stack([cross_entropy[kept].mean(), dice[kept].mean()]))


def test_an_empty_mask_met_by_an_empty_answer_costs_nothing() -> None:
    """Breaks when the Dice loss divides by zero."""
    loss = mask_loss(torch.full((1, 1, 4, 4), -200.0), torch.zeros(1, 1, 4, 4), torch.ones(1, 1))
    assert float(loss[0]) == pytest.approx(0) and float(loss[1]) == pytest.approx(0) and EPSILON > 0
    nothing = mask_loss(torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 4, 4), torch.zeros(1, 2))
    assert [float(part) for part in nothing] == [0, 0]


def test_one_pass_for_all_sentences_equals_a_pass_for_each(made: PaslObjective) -> None:
    """Breaks when the shared image feature or the text vectors of the run change the loss or its gradient."""
    modules = {"pasl": made.build()["pasl"]}
    batch = made.batch(0)
    loss, _ = made.loss(modules, batch, 0)
    loss.backward()
    shared = [p.grad.clone() for p in modules["pasl"].parameters() if p.grad is not None]
    modules["pasl"].zero_grad()
    pairs = []
    for i in range(len(batch["image"])):
        for k in range(batch["text"].shape[1]):
            logits = modules["pasl"](batch["image"][i : i + 1], batch["text"][i, k : k + 1])
            pairs.append(sum(mask_loss(logits, batch["truth"][i : i + 1, k : k + 1], torch.ones(1, 1))))
    alone = torch.stack(pairs).mean()
    alone.backward()
    torch.testing.assert_close(loss, alone)
    for one, other in zip(shared, (p.grad for p in modules["pasl"].parameters()), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-4)


def test_a_batch_pairs_each_sentence_with_its_own_mask(
    made: PaslObjective, portraits: PortraitCache, encode: SentenceFeatures
) -> None:
    """Breaks when texts and masks are drawn in another order, flips miss the mask, or the rim is not averaged."""
    plain = objective(made.pictures, encode, dataclasses.replace(SETTINGS, augment=False, flip=False))
    batch = plain.batch(3)
    assert batch["image"].shape == (4, 3, 32, 32) and batch["truth"].shape == (4, 5, 4, 4)
    assert batch["text"].shape == (4, 5, 32) and bool((batch["weight"] == 1).all())
    wordings = {wording.text: wording.regions for wording in plain.wordings}
    assert wordings["eyes"] == ("eyes",), "a phrase that a prompt says already keeps the prompt's meaning"
    for i in range(4):
        picture = ((batch["image"][i].permute(1, 2, 0).numpy() + 1) * 127.5).round().astype(np.uint8)
        row = int(np.flatnonzero((portraits.images == picture).all((1, 2, 3)))[0])
        for k in range(5):
            text = plain.wordings[int((plain.vectors == batch["text"][i, k]).all(1).nonzero()[0])]
            union = portraits.masks[row, [REGIONS.index(name) for name in text.regions]].max(0) / np.float32(255)
            wanted = union.reshape(4, 4, 4, 4).mean((1, 3))
            np.testing.assert_allclose(batch["truth"][i, k].numpy(), wanted, atol=1e-6)
    assert all(torch.equal(a, b) for a, b in zip(plain.batch(3).values(), batch.values(), strict=True))


def test_flips_take_the_mask_along(portraits: PortraitCache, encode: SentenceFeatures) -> None:
    """Breaks when the picture is mirrored and the truth is not."""
    plain = dataclasses.replace(SETTINGS, augment=False, phrases=0)
    one = objective(RenderedRegions(portraits), encode, plain).batch(0)
    other = objective(RenderedRegions(portraits), encode, dataclasses.replace(plain, flip=False)).batch(0)
    mirrored = [not torch.equal(a, b) for a, b in zip(one["image"], other["image"], strict=True)]
    assert 0 < sum(mirrored) < 4
    for i, flipped in enumerate(mirrored):
        for name in ("image", "truth"):
            torch.testing.assert_close(one[name][i], other[name][i].flip(-1) if flipped else other[name][i])


def test_absent_regions_are_left_out(portraits: PortraitCache, encode: SentenceFeatures) -> None:
    """Breaks when the network is taught that a thing which a photograph does not show has no place."""

    @dataclasses.dataclass(frozen=True)
    class WithoutEyes(RenderedRegions):
        def read(self, rows):
            found = super().read(rows)
            present = found.present.copy()
            present[:, REGIONS.index("eyes")] = False
            return dataclasses.replace(found, present=present)

    made = objective(WithoutEyes(portraits), encode)
    batch = made.batch(0)
    told = [[made.wordings[int((made.vectors == t).all(1).nonzero()[0])].regions for t in row] for row in batch["text"]]
    wanted = torch.tensor([[float("eyes" not in regions) for regions in row] for row in told])
    assert torch.equal(batch["weight"], wanted) and 0 < float(wanted.mean()) < 1


def test_it_learns_exports_and_is_read_back(portraits: PortraitCache, encode: SentenceFeatures, tmp_path: Path) -> None:
    """Breaks when the loss has no gradient, or the export gives other answers than the averaged weights."""
    loop = dataclasses.replace(LOOP, steps=150, batch=8, learning_rate=1e-2, ema=0.5, log_every=80)
    settings = dataclasses.replace(SETTINGS, loop=loop, augment=False, coordinates=True, dilations=(1, 2))
    made = objective(RenderedRegions(portraits), encode, settings)
    with torch.no_grad():
        fresh = made.evaluate(made.build())
    train(made, loop, tmp_path)
    network = load_pasl(tmp_path / "export")
    trained = made.evaluate({"pasl": network})
    assert trained.figures["seen_face_shape"] > 0.7 > fresh.figures["seen_face_shape"]
    assert set(trained.figures) == {
        "seen",
        "seen_eyes",
        "seen_face_shape",
        "unseen",
        "unseen_eyes",
        "unseen_face_shape",
    }
    assert trained.sheet is not None and trained.sheet.ndim == 3
    again = dataclasses.replace(settings, start_from=str(tmp_path / "export"))
    resumed = objective(RenderedRegions(portraits), encode, again).build()["pasl"]
    assert all(torch.equal(a, b) for a, b in zip(resumed.parameters(), network.parameters(), strict=True))
    alone = objective(RenderedRegions(portraits), encode, settings, unseen=False).evaluate({"pasl": network})
    assert "seen" in alone.figures and "unseen" not in alone.figures


def test_intersection_over_union() -> None:
    a, b = torch.zeros(3, 4, 4, dtype=torch.bool), torch.zeros(3, 4, 4, dtype=torch.bool)
    a[0, :2], b[0, 1:3], a[1, 0, 0] = True, True, True
    found = intersection_over_union(a, b)
    assert found[:2].tolist() == pytest.approx([1 / 3, 0]) and bool(found[2].isnan())


def test_wordings_of_attributes_keep_the_held_out_ones_apart() -> None:
    """Breaks when a removal points elsewhere than what it removes, or an unseen wording is trained on."""
    trained = {wording.text: wording.regions for wording in attribute_wordings()}
    assert trained["a person with rosy cheeks"] == ("cheeks",)
    assert trained["a person without glasses"] == trained["sunglasses"] == ("eyeglasses",)
    assert trained["a person without a beard"] == trained["a full beard"] == ("beard",)
    assert {name for regions in trained.values() for name in regions} <= set(REGIONS)
    held_out = {wording.text for wording in attribute_wordings(held_out=True)}
    assert not held_out & trained.keys()
    unseen = {text for texts in UNSEEN.values() for text in texts}
    assert not unseen & (trained.keys() | {text for texts in PROMPTS.values() for text in texts})


def test_made_up_words_stand_around_known_things() -> None:
    """Breaks when a thing of two regions is among them, or a wording that is kept from training is built."""
    prompts = {"lips": ("red lips", "a person with red lips"), "chin": ("a scar on the face",), "skin": ("pale face",)}
    found = made_up_wordings(prompts | {"cheeks": ("a mole on the face", "a pale cheek")}, 40)
    texts = {wording.text: wording.regions for wording in found}
    assert set(texts.values()) == {("lips",), ("skin",), ("cheeks",)}
    assert all({("lips",): "lips", ("skin",): "face", ("cheeks",): "cheek"}[r] in text for text, r in texts.items())
    assert sum(text.startswith("a person with ") for text in texts) == len(texts) / 2 == 60
    kept = {text for texts in UNSEEN.values() for text in texts}
    assert not kept & {wording.text for wording in made_up_wordings(PROMPTS, 100)}
    assert made_up_wordings(PROMPTS, 3) == made_up_wordings(PROMPTS, 3)


def test_unions_take_the_larger_value() -> None:
    masks = np.stack([np.full((2, 2), 10, np.uint8), np.array([[0, 255], [9, 11]], np.uint8)])
    found = unions(masks, ("eyes", "nose"), [Wording("", ("eyes", "nose")), Wording("", ("nose",))])
    assert found.tolist() == [[[10, 255], [10, 11]], [[0, 255], [9, 11]]]


def test_a_text2mask_folder_serves(tmp_path: Path, encode: SentenceFeatures) -> None:
    """Breaks when a folder's order of regions, its split or its own prompts are not followed."""
    folder = write_portraits(tmp_path / "data", 3, size=64, regions=("nose", "eyes"))
    data = DataSettings(str(tmp_path / "data"), size=64, validation_count=8)
    first, last = split_folder(open_text2mask(tmp_path / "data"), data)
    assert (len(first), len(last), first.regions) == (2, 1, ("nose", "eyes"))
    np.testing.assert_array_equal(last.read(np.array([0])).images[0], folder.picture(2))
    np.testing.assert_array_equal(first.read(np.array([1])).masks[0], folder.masks(1))
    settings = dataclasses.replace(SETTINGS, data=data, loop=dataclasses.replace(LOOP, batch=2), phrases=0)
    made = PaslObjective(settings, first, last, folder.prompts, folder.unseen, (), encode)
    batch = made.batch(0)
    assert batch["truth"].shape == (2, 2, 8, 8) and batch["text"].shape[1] == 2
    with pytest.raises(UsageError, match="64 px"):
        split_folder(folder, dataclasses.replace(data, size=128))


def test_cross_entropy_is_torchs_own(made: PaslObjective) -> None:
    """Breaks when the sum of eqs 7 and 8 is not what is minimised (eq. 9)."""
    modules = {"pasl": made.build()["pasl"]}
    batch = made.batch(0)
    loss, parts = made.loss(modules, batch, 0)
    logits = modules["pasl"](batch["image"], batch["text"])
    torch.testing.assert_close(parts["bce"], F.binary_cross_entropy(logits.sigmoid(), batch["truth"]).detach())
    torch.testing.assert_close(loss.detach(), parts["bce"] + parts["dice"])
